package jsonrpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

// textEnd is one end of a connection in memory that carries text, binary messages and pings. It
// holds no message, like wire.Pipe, on which it stands: one byte before each says what it is. Like
// a WebSocket it answers pings while it reads, and its reading does not wait for that.
type textEnd struct {
	wire.Conn
	mute    atomic.Bool // it answers no pings
	writing sync.Mutex
	onPong  func([]byte)
}

func textPipe() (a, b *textEnd) {
	x, y := wire.Pipe()
	return &textEnd{Conn: x}, &textEnd{Conn: y}
}

func (e *textEnd) ReadAny() (text bool, p []byte, err error) {
	for {
		p, err = e.Conn.ReadMessage()
		if err != nil {
			return false, nil, err
		}
		switch p[0] {
		case '?':
			if !e.mute.Load() {
				pong := bytes.Clone(p[1:])
				go e.write('!', pong)
			}
		case '!':
			if e.onPong != nil {
				e.onPong(p[1:])
			}
		default:
			return p[0] == 't', p[1:], nil
		}
	}
}

func (e *textEnd) ReadMessage() ([]byte, error) {
	text, p, err := e.ReadAny()
	if err == nil && text {
		return nil, errors.New("a text message came")
	}
	return p, err
}

func (e *textEnd) write(kind byte, p []byte) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	return e.Conn.WriteMessage(append([]byte{kind}, p...))
}

func (e *textEnd) WriteText(p []byte) error    { return e.write('t', p) }
func (e *textEnd) WriteMessage(p []byte) error { return e.write('b', p) }
func (e *textEnd) Ping(p []byte) error         { return e.write('?', p) }
func (e *textEnd) OnPong(f func(p []byte))     { e.onPong = f }

// client is a foreign side that writes text and reads what comes.
type client struct {
	t    *testing.T
	conn *textEnd
	peer *rpc.Peer
	log  *strings.Builder
}

// connect makes a peer that serves mux, and a client of it.
func connect(t *testing.T, mux *rpc.Mux, options rpc.Options) *client {
	t.Helper()
	ours, theirs := textPipe()
	c := &client{t: t, conn: theirs, log: new(strings.Builder)}
	options.Logger = slog.New(slog.NewTextHandler(c.log, nil))
	c.peer = rpc.NewPeer(New(ours, mux, &options), mux, &options)
	t.Cleanup(func() {
		theirs.Close()
		c.peer.Close()
	})
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.conn.WriteText([]byte(text)); err != nil {
		c.t.Fatalf("writing %.100s: %v", text, err)
	}
}

// read gives the next message that comes.
func (c *client) read() string {
	c.t.Helper()
	text, p, err := c.conn.ReadAny()
	if err != nil || !text {
		c.t.Fatalf("reading: text %v, %v", text, err)
	}
	return string(p)
}

// want reads the next message and compares it.
func (c *client) want(want string) {
	c.t.Helper()
	if got := c.read(); got != want {
		c.t.Errorf("got\n  %s\nwant\n  %s", got, want)
	}
}

// ask sends a message and compares the answer.
func (c *client) ask(text, want string) {
	c.t.Helper()
	c.send(text)
	c.want(want)
}

// The services of the tests.
type (
	put struct {
		Name string `json:"name"`
		Data []byte `json:"data"`
	}
	subtraction struct {
		Minuend    int `json:"minuend"`
		Subtrahend int `json:"subtrahend"`
	}
)

const (
	count rpc.Source[int, int]                 = "count"
	sum   rpc.Sink[struct{}, int, int]         = "total"
	twice rpc.Duplex[struct{}, string, string] = "twice"
)

// testMux serves what JSON-RPC's own examples call, and one method of each kind.
func testMux() *rpc.Mux { return makeMux(1 << 30) }

// makeMux is testMux with a limit to what is asked for.
func makeMux(limit int) *rpc.Mux {
	m := rpc.NewMux(rpc.Public)
	rpc.Method[subtraction, int]("subtract").Handle(m, func(_ context.Context, s subtraction) (int, error) {
		return s.Minuend - s.Subtrahend, nil
	})
	m.Func("sum", func(a, b, c int) int { return a + b + c })
	m.Func("get_data", func() []any { return []any{"hello", 5} })
	m.Func("update", func(a, b, c, d, e int) {})
	m.Func("foobar2", func() {})
	m.Func("notify_hello", func(int) {})
	m.Func("notify_sum", func(a, b, c int) {})
	m.Func("echo", func(v rpc.Value) rpc.Value { return v })
	m.Func("bytes", func(b []byte) []byte { return b })
	m.Func("put", func(name string, data []byte) put { return put{name, data} })
	m.Func("nothing", func() {})
	m.Func("panics", func() { panic("on purpose") })
	m.Func("fails", func() error { return errors.New("secret") })
	m.Func("missing", func() error {
		return &rpc.Error{Code: rpc.NotFound, Message: "not here", Data: []byte(`{"key":"k"}`)}
	})
	m.Func("hang", func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	m.Func("long", func(n int) string { return strings.Repeat("x", min(n, limit)) })
	count.Handle(m, func(ctx context.Context, n int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range min(n, limit) {
				if ctx.Err() != nil || !yield(i, nil) {
					return
				}
			}
		}
	})
	sum.Handle(m, func(_ context.Context, _ struct{}, in iter.Seq2[int, error]) (int, error) {
		n := 0
		for v, err := range in {
			if err != nil {
				return 0, err
			}
			n += v
		}
		return n, nil
	})
	twice.Handle(m, func(_ context.Context, _ struct{}, in iter.Seq2[string, error]) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for v, err := range in {
				if !yield(v+v, err) || err != nil {
					return
				}
			}
		}
	})
	rpc.Sink[struct{}, string, string]("deaf").Handle(m, func(ctx context.Context, _ struct{}, _ iter.Seq2[string, error]) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	})
	rpc.HandleWriter(m, rpc.Source[int, []byte]("zeros"), func(_ context.Context, n int, w io.Writer) error {
		_, err := w.Write(make([]byte, min(n, limit)))
		return err
	})
	rpc.HandleReader(m, rpc.Sink[struct{}, []byte, int]("length"), func(_ context.Context, _ struct{}, r io.Reader) (int, error) {
		n, err := io.Copy(io.Discard, r)
		return int(n), err
	})
	return m
}
