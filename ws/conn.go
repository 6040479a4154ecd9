package ws

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"unicode/utf8"

	"github.com/chumsync/chum/wire"
)

// conn is a wire.Conn over a WebSocket.
//
// Its reading never waits for its writing: what came and wants an answer (a ping, a Close
// frame, a violation) is answered by a goroutine.
type conn struct {
	net         net.Conn
	client      bool
	subprotocol string

	in      receiver // of who reads: ReadMessage, later the closing
	readErr error    // final

	writing  sync.Mutex // held by who writes a frame
	out      sender
	writeErr error // final

	mu      sync.Mutex // never held while something waits
	reading bool       // somebody does
	readers sync.Cond  // those who wait for it
	closed  bool       // Close was called
	ending  bool       // the closing has begun, by Close or by what came
	pong    []byte     // the payload of the last ping that was not answered
	ponging bool       // a goroutine is about to answer
	asked   int        // pings sent here that were not answered yet
	onPong  func(payload []byte)
}

// newConn makes a Conn after the handshake. early is what has come behind it; r reads what
// comes then, nil means c.
func newConn(c net.Conn, r io.Reader, early []byte, client bool, subprotocol string, limit int) *conn {
	w := &conn{net: c, client: client, subprotocol: subprotocol, out: newSender(c, client)}
	w.in = newReceiver(newSource(c, r), !client, limit, early)
	w.in.onPing, w.in.onPong = w.answerPing, w.takePong
	w.readers.L = &w.mu
	return w
}

func (c *conn) Subprotocol() string { return c.subprotocol }

func (c *conn) ReadMessage() ([]byte, error) {
	_, p, err := c.read(false)
	return p, err
}

func (c *conn) ReadAny() (text bool, p []byte, err error) {
	op, p, err := c.read(true)
	return op == opText, p, err
}

func (c *conn) read(wantText bool) (opcode, []byte, error) {
	if c.isClosed() {
		return 0, nil, wire.ErrClosed
	}
	c.beginReading()
	if c.readErr != nil {
		c.endReading()
		return 0, nil, c.readErr
	}
	op, p, err := c.in.next(wantText) // waits here most of its life: what is on the stack now, stays
	if err != nil {
		c.in.release()
		c.readErr = c.ended(err)
		err = c.readErr
	}
	c.endReading()
	if c.isClosed() { // meanwhile
		return 0, nil, wire.ErrClosed
	}
	return op, p, err
}

// beginReading waits until nobody else reads. A reader may wait for ever, so this is no mutex:
// the fake clock of testing/synctest would stand still while one is waited for.
func (c *conn) beginReading() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.reading {
		c.readers.Wait()
	}
	c.reading = true
}

func (c *conn) endReading() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
	c.readers.Signal()
}

// ended says why nothing more can be read, and begins to answer it. An orderly end is io.EOF.
func (c *conn) ended(err error) error {
	switch e := err.(type) {
	case *violation:
		c.end(farewell{code: e.code, reason: e.text, failed: true})
		return fmt.Errorf("ws: %w", e)
	case *closed:
		c.end(farewell{code: e.code, answered: true})
		switch e.code {
		case closeNormal, closeGoingAway, closeNoStatus:
			return io.EOF
		}
		return fmt.Errorf("ws: the other side closed the WebSocket: code %d %s", e.code, e.reason)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("ws: the network connection ended: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("ws: %w", err)
}

func (c *conn) WriteMessage(p []byte) error { return c.write(opBinary, p) }

func (c *conn) WriteText(p []byte) error {
	if !utf8.Valid(p) {
		return errors.New("ws: a text message must be valid UTF-8 (RFC 6455, 8.1); send it by WriteMessage")
	}
	return c.write(opText, p)
}

func (c *conn) Ping(p []byte) error {
	if len(p) > maxSmall {
		return fmt.Errorf("ws: a ping of %d bytes; it may hold %d (RFC 6455, 5.5)", len(p), maxSmall)
	}
	c.mu.Lock()
	c.asked++
	c.mu.Unlock()
	return c.write(opPing, p)
}

func (c *conn) OnPong(f func(p []byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onPong = f
}

func (c *conn) write(op opcode, p []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.writeErr != nil {
		return c.writeErr
	}
	if err := c.out.frame(op, p); err != nil {
		c.writeErr = fmt.Errorf("ws: %w", err)
		if c.isClosed() {
			c.writeErr = wire.ErrClosed
		}
	}
	return c.writeErr
}

// answerPing has the payload of the last ping sent back (RFC 6455, 5.5.3 asks for no more).
func (c *conn) answerPing(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pong = append(c.pong[:0], payload...)
	if !c.ponging && !c.ending {
		c.ponging = true
		go c.sendPong()
	}
}

// takePong passes a pong on. It tells whether that may be the answer to a ping.
func (c *conn) takePong(payload []byte) (asked bool) {
	c.mu.Lock()
	f := c.onPong
	if asked = c.asked > 0; asked {
		c.asked--
	}
	c.mu.Unlock()
	if f != nil {
		f(payload)
	}
	return asked
}

func (c *conn) sendPong() {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	var payload [maxSmall]byte
	n := copy(payload[:], c.pong)
	c.ponging = false
	c.mu.Unlock()
	if c.writeErr != nil {
		return
	}
	if err := c.out.frame(opPong, payload[:n]); err != nil {
		c.writeErr = fmt.Errorf("ws: %w", err)
	}
}

func (c *conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}
