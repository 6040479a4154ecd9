package ws

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/chumsync/chum/wire"
)

const (
	// closeTime is how long the closing may take before the network connection is simply closed.
	closeTime = time.Second
	// drainLimit is how much is read and thrown away meanwhile: a flood is not listened to.
	drainLimit = 16 << 20
)

// farewell is how a WebSocket ends.
type farewell struct {
	code     closeCode
	reason   string
	answered bool // the other side's Close frame has come: ours is the answer
	failed   bool // the other side broke the rules: what it sends is not understood any more
}

// writeError is the answer to a write behind the Close frame.
func (f *farewell) writeError() error {
	switch {
	case f.answered:
		return errors.New("ws: the other side has closed the WebSocket")
	case f.failed:
		return fmt.Errorf("ws: this side has closed the WebSocket: %w: %s", wire.ErrBroken, f.reason)
	}
	return wire.ErrClosed
}

// Close says goodbye in the WebSocket's way, without waiting for it; a read or a write that is
// under way ends within a second.
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end(farewell{code: closeNormal})
	return nil
}

// end begins the closing, once.
func (c *conn) end(f farewell) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return
	}
	c.ending = true
	timer := time.AfterFunc(closeTime, c.cut)
	go func() {
		c.part(f)
		timer.Stop()
	}()
}

// part goes through the closing handshake (RFC 6455, 7.1.1 and 7.1.2) and closes the network
// connection: the server at once, the client when the server has. What still comes is read
// until then, since a connection that is closed with something unread is reset, and our own
// Close frame lost on the way.
func (c *conn) part(f farewell) {
	defer c.net.Close()
	if !c.sayClose(f) {
		return
	}
	if f.failed {
		c.closeWrite() // that is all from here
	}
	if f.answered && !c.client {
		return
	}
	c.beginReading() // a ReadMessage that waits gets the other side's Close frame first
	defer c.endReading()
	c.in.leave()
	defer c.in.release()
	if c.readErr == nil {
		c.readErr = c.awaitClose()
	}
	if c.client || f.failed {
		c.awaitEnd()
	}
}

// sayClose writes the Close frame and reports whether the connection is good for it.
func (c *conn) sayClose(f farewell) bool {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.writeErr != nil {
		return false // a frame may be cut in two
	}
	c.writeErr = f.writeError()
	return c.out.frame(opClose, appendClose(nil, f.code, f.reason)) == nil
}

// awaitClose throws messages away until the other side's Close frame.
func (c *conn) awaitClose() error {
	for n := 0; n < drainLimit; {
		_, p, err := c.in.next(true)
		if err != nil {
			return wire.ErrClosed
		}
		n += len(p) + maxHead
	}
	return wire.ErrClosed
}

// awaitEnd throws away what comes until the other side closes the network connection.
func (c *conn) awaitEnd() {
	var b *[]byte
	for n := 0; n < drainLimit; {
		var got int
		var err error
		if b, got, err = c.in.src.first(b, minBuffer); err != nil {
			return
		}
		n += got
	}
	give(b)
}

// closeWrite ends our direction of the network connection.
func (c *conn) closeWrite() {
	if half, ok := c.net.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // then the reading ends it
	}
}

// cut closes the network connection without a word.
func (c *conn) cut() {
	if t, ok := c.net.(*tls.Conn); ok {
		t.NetConn().Close() // TLS would say goodbye first, and wait for that
		return
	}
	c.net.Close()
}
