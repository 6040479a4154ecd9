package jsonrpc

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

const (
	// firstCredit is the credit of a stream to the other side that says nothing about it: what may
	// be on its way between the peer and the connection.
	firstCredit = 256 << 10
	// owedLimit is how many bytes of answers may wait that the reading side caused. Who lets more
	// pile up asks without listening, and is cut.
	owedLimit = 1 << 20
	// owedFree is how many may also where there is no memory to spare.
	owedFree = 64 << 10
	// openLimit is how many calls of the other side may wait for an answer beyond those that the
	// peer runs at once: such as it has refused.
	openLimit = 4096
	// flushAt is how many bytes of messages are gathered before they are written.
	flushAt = 64 << 10
	// keepBuffer is the largest buffer that is kept.
	keepBuffer = 16 << 10
)

// A TextConn is a Conn that carries text messages and pings as well, as a WebSocket of package ws
// does. ReadAny counts as ReadMessage, WriteText and Ping as WriteMessage.
type TextConn interface {
	wire.Conn

	// ReadAny returns the next message of either kind. The slice is valid until the next one is
	// read or the Conn is closed.
	ReadAny() (text bool, p []byte, err error)

	// WriteText sends p, which is valid UTF-8, as one text message.
	WriteText(p []byte) error

	// Ping asks the other side to send p back, at most 125 bytes, once it has read all that was
	// written before. It need not answer one behind which another has come.
	Ping(p []byte) error

	// OnPong has f called with what comes back, by whoever reads the next message meanwhile. It
	// is called once, before or between reads; f does not wait.
	OnPong(f func(p []byte))
}

// New returns a Conn for a peer whose other side speaks JSON-RPC 2.0 on conn, which it then owns.
// The peer must be made with the same services and options, nil as well. Calls made before
// [rpc.Peer.Ready] returns fail if they hold raw bytes.
func New(conn TextConn, services *rpc.Mux, options *rpc.Options) wire.Conn {
	t := newTranslator(conn, services, options)
	go t.read(nil)
	return t
}

// translator is the Conn of New. Its fields up to mu never change.
type translator struct {
	conn    TextConn
	mux     *rpc.Mux
	limits  limits
	logger  *slog.Logger
	watched bool      // who is silent is given up, see rpc.Options.KeepAlive
	start   time.Time // where our clock begins

	ready   chan struct{} // a token: there is something for the peer to read
	taken   chan struct{} // a token: the peer has taken all that was there
	greeted chan struct{} // closed when the peer's hello is here
	closed  chan struct{}
	close   func() error

	mu      sync.Mutex
	in      []byte // frames for the peer, whole, in order
	end     error  // what the peer's reading ends with behind them
	out     texts  // messages for the other side
	writing int    // bytes of those that are being written
	owed    int    // bytes of out that the reading side caused
	called  bool   // a ping will bring the writing side here
	after   []byte // frames for the peer, due when out is written
	table   table
	account *rpc.Account
	path    path

	reading, unread []byte // what the peer reads now; its read loop's
}

// texts are messages one behind the other.
type texts struct {
	b    []byte
	ends []int
}

func newTranslator(conn TextConn, services *rpc.Mux, options *rpc.Options) *translator {
	t := &translator{
		conn:    conn,
		mux:     services,
		limits:  limitsFrom(options),
		logger:  slog.Default(),
		start:   time.Now(),
		ready:   make(chan struct{}, 1),
		taken:   make(chan struct{}, 1),
		greeted: make(chan struct{}),
		closed:  make(chan struct{}),
	}
	var budget *rpc.Budget
	t.watched = true
	if options != nil {
		budget = options.Budget
		t.watched = options.KeepAlive >= 0
		if options.Logger != nil {
			t.logger = options.Logger
		}
	}
	t.account = rpc.NewAccount(budget)
	t.close = sync.OnceValue(func() error {
		close(t.closed)
		t.mu.Lock()
		t.account.Close()
		t.path.heard()
		t.mu.Unlock()
		return conn.Close()
	})
	t.table.begin(t.limits)
	t.in = appendHello(nil, t.limits)
	signal(t.ready)
	conn.OnPong(t.pong)
	return t
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (t *translator) Close() error { return t.close() }

// ReadMessage gives the peer the frames that are there for it.
func (t *translator) ReadMessage() ([]byte, error) {
	for {
		select {
		case <-t.closed:
			return nil, wire.ErrClosed
		default:
		}
		if len(t.unread) > 0 {
			return t.next(), nil
		}
		t.mu.Lock()
		if cap(t.reading) > keepBuffer {
			t.reading = nil
		}
		t.reading, t.in = t.in, t.reading[:0]
		t.unread = t.reading
		end := t.end
		t.mu.Unlock()
		signal(t.taken)
		switch {
		case len(t.unread) > 0:
			continue
		case end != nil:
			return nil, end
		}
		select {
		case <-t.ready:
		case <-t.closed:
		}
	}
}

// next takes off as many frames as one message may hold: translated, a message can be a little
// longer than it was.
func (t *translator) next() []byte {
	n := len(t.unread)
	if n > wire.MaxMessage {
		rest := t.unread
		for n = 0; ; {
			_, after, err := wire.Next(rest)
			if err != nil {
				panic("jsonrpc: own frame is malformed: " + err.Error())
			}
			size := len(rest) - len(after)
			if n+size > wire.MaxMessage {
				break
			}
			n, rest = n+size, after
		}
	}
	msg := t.unread[:n:n]
	t.unread = t.unread[n:]
	return msg
}

// forPeer queues a frame for the peer. With t.mu held.
func (t *translator) forPeer(f wire.Frame) {
	t.in = wire.Append(t.in, f)
	signal(t.ready)
}

// WriteMessage takes frames of the peer and writes the messages that come of them.
func (t *translator) WriteMessage(p []byte) error {
	for len(p) > 0 {
		f, rest, err := wire.Next(p)
		if err != nil {
			return fmt.Errorf("jsonrpc: %w", err)
		}
		p = rest
		t.mu.Lock()
		err = t.translate(f)
		t.cover() // what no room was found for is text now, and soon written
		full := len(t.out.b) >= flushAt
		t.mu.Unlock()
		if err == nil && full {
			err = t.flush()
		}
		if err != nil {
			return err
		}
	}
	return t.flush()
}

// flush writes what is queued, and asks then what is to be asked.
func (t *translator) flush() error {
	t.mu.Lock()
	out := t.out
	t.out = texts{}
	t.owed, t.called = 0, false
	t.writing = cap(out.b)
	t.mu.Unlock()
	start := 0
	for _, end := range out.ends {
		if err := t.conn.WriteText(out.b[start:end]); err != nil {
			return fmt.Errorf("jsonrpc: %w", err)
		}
		start = end
	}
	t.written(out)
	if err := t.probe(); err != nil {
		return fmt.Errorf("jsonrpc: %w", err)
	}
	return nil
}

// written tells the peer what depends on the messages that were written.
func (t *translator) written(out texts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writing = 0
	if t.out.b == nil && cap(out.b) <= keepBuffer {
		t.out = texts{out.b[:0], out.ends[:0]}
	}
	t.cover()
	if len(t.after) > 0 {
		t.in = append(t.in, t.after...)
		t.after = t.after[:0]
		signal(t.ready)
	}
}

// cover accounts for what is held for the other side, and tells whether there is room for it.
func (t *translator) cover() bool {
	return t.account.Hold(t.table.size + t.table.held + cap(t.out.b) + t.writing)
}

// say queues the message that write appends. With t.mu held.
func (t *translator) say(write func(b []byte) []byte) {
	t.out.b = write(t.out.b)
	t.out.ends = append(t.out.ends, len(t.out.b))
}

// read takes messages in until the connection ends, beginning with first if it is not nil. It
// waits for the peer to take what a message has become before it reads the next.
func (t *translator) read(first []byte) {
	select {
	case <-t.greeted:
	case <-t.closed:
		return
	}
	if first != nil && !t.take(true, first) {
		return
	}
	for {
		text, p, err := t.conn.ReadAny()
		if err != nil {
			t.finish(err)
			return
		}
		if !t.take(text, p) {
			return
		}
	}
}

// take takes one message in. It reports whether to read on.
func (t *translator) take(text bool, p []byte) bool {
	t.mu.Lock()
	t.path.heard()
	t.mu.Unlock()
	if text {
		t.receive(p)
	} else {
		t.apply(func() { t.refuse(nil, null, parseError, "a binary message came: JSON-RPC is text here") })
	}
	for {
		t.mu.Lock()
		waiting, gone := len(t.in) > 0, t.end != nil
		t.mu.Unlock()
		switch {
		case gone:
			return false
		case !waiting:
			return true
		}
		select {
		case <-t.taken:
		case <-t.closed:
			return false
		}
	}
}

// apply does something that came from the other side, with t.mu held. If that queues messages, it
// sees to it that they get written: the peer answers a ping by a pong, and that brings its writer
// here.
func (t *translator) apply(do func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.out.b)
	do()
	n := len(t.out.b) - before
	if n == 0 {
		return
	}
	switch t.owed += n; {
	case t.owed > owedLimit:
		t.cut(fmt.Errorf("%d bytes of answers wait for it and it takes none; %d may", t.owed, owedLimit))
	case t.owed > owedFree && !t.cover():
		t.cut(fmt.Errorf("%d bytes of answers wait for it and it takes none; there is no memory for more", t.owed))
	case !t.called:
		t.called = true
		t.forPeer(wire.Frame{Kind: wire.Ping})
	}
}

// finish ends the peer's reading because the other side has gone. JSON-RPC has no last word: an
// orderly end of the connection is one.
func (t *translator) finish(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if errors.Is(err, io.EOF) {
		t.forPeer(wire.Frame{Kind: wire.Bye, Payload: []byte(`{"code":""}`)})
	}
	t.stop(err)
}

// cut ends the connection because of what the other side does. With t.mu held.
func (t *translator) cut(why error) {
	if t.end == nil {
		t.logger.Warn("jsonrpc: connection cut", "reason", why)
	}
	t.stop(fmt.Errorf("jsonrpc: the other side broke a rule: %w", why))
}

// stop ends the peer's reading with err. With t.mu held.
func (t *translator) stop(err error) {
	if t.end == nil {
		t.end = err
	}
	signal(t.ready)
}
