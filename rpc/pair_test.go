package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chumsync/chum/wire"
)

// What the tests of this package call.
const (
	echo  Method[[]byte, []byte]        = "echo"
	hi    Method[string, string]        = "hi"
	hang  Method[struct{}, struct{}]    = "hang"
	count Source[int, int]              = "count"
	sum   Sink[struct{}, int, int]      = "sum"
	twice Duplex[struct{}, int, int]    = "twice"
	zero  Source[int64, []byte]         = "zero"
	eat   Sink[struct{}, []byte, int64] = "eat"
)

func testMux() *Mux {
	m := NewMux(Public)
	echo.Handle(m, func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
	hi.Handle(m, func(_ context.Context, s string) (string, error) {
		if s == "panic" {
			panic("asked for")
		}
		return "hi " + s, nil
	})
	hang.Handle(m, func(ctx context.Context, _ struct{}) (struct{}, error) {
		<-ctx.Done()
		return struct{}{}, ctx.Err()
	})
	count.Handle(m, func(_ context.Context, n int) iter.Seq2[int, error] { return ints(n) })
	sum.Handle(m, func(_ context.Context, _ struct{}, in iter.Seq2[int, error]) (int, error) {
		t := 0
		for v, err := range in {
			if err != nil {
				return 0, err
			}
			t += v
		}
		return t, nil
	})
	twice.Handle(m, func(_ context.Context, _ struct{}, in iter.Seq2[int, error]) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for v, err := range in {
				if !yield(2*v, err) {
					return
				}
			}
		}
	})
	HandleWriter(m, zero, func(_ context.Context, n int64, w io.Writer) error {
		_, err := io.Copy(w, io.LimitReader(zeros{}, n))
		return err
	})
	HandleReader(m, eat, func(_ context.Context, _ struct{}, r io.Reader) (int64, error) {
		return io.Copy(io.Discard, r)
	})
	m.Func("add", func(a, b int) int { return a + b })
	return m
}

// ints yields 0 to n-1.
func ints(n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// pair joins two peers that serve the same methods by an unbuffered pipe. When the test has
// ended they are closed, and must hold nothing any more.
func pair(t testing.TB, mux *Mux) (a, b *Peer) {
	return join(t, mux, mux, nil, nil)
}

// join is pair for two sides that differ.
func join(t testing.TB, muxA, muxB *Mux, optA, optB *Options) (a, b *Peer) {
	t.Helper()
	ca, cb := wire.Pipe()
	a, b = NewPeer(ca, muxA, quiet(optA)), NewPeer(cb, muxB, quiet(optB))
	t.Cleanup(func() { leave(t, a, b) })
	return a, b
}

// quiet keeps expected errors out of the test's output.
func quiet(o *Options) *Options {
	var q Options
	if o != nil {
		q = *o
	}
	if q.Logger == nil {
		q.Logger = slog.New(slog.DiscardHandler)
	}
	return &q
}

// leave closes peers and checks that nothing is left of any call on them.
func leave(t testing.TB, peers ...*Peer) {
	t.Helper()
	for _, p := range peers {
		p.Close()
	}
	for i, p := range peers {
		if left := eventually(func() string { return p.leftover() }); left != "" {
			t.Errorf("peer %d: %s", i, left)
		}
	}
}

// idle checks that no call is open on peers that go on.
func idle(t testing.TB, peers ...*Peer) {
	t.Helper()
	for i, p := range peers {
		if left := eventually(func() string { return p.leftover() }); left != "" {
			t.Errorf("peer %d: %s", i, left)
		}
	}
}

// leftover says what a peer without open calls still holds of former ones; "" is nothing.
func (p *Peer) leftover() string {
	s := p.Stats()
	p.mu.Lock()
	defer p.mu.Unlock()
	var left []string
	for _, g := range []struct {
		name string
		n    int
	}{
		{"calls open", s.Out.Open},
		{"handlers running", s.In.Open},
		{"calls served", len(p.servings)},
		{"streams", s.Streams + p.streaming},
		{"bytes waiting", s.Waiting},
		{"bytes of long values", p.assembling},
		{"growth of windows", p.grown},
		{"calls made and not settled", int(s.Out.Started - s.Out.Succeeded - s.Out.Failed)},
		{"calls taken and not settled", int(s.In.Started - s.In.Succeeded - s.In.Failed)},
	} {
		if g.n != 0 {
			left = append(left, fmt.Sprintf("%s: %d", g.name, g.n))
		}
	}
	return strings.Join(left, ", ")
}

// eventually asks until the answer is "" and gives the last one. Handlers end on goroutines
// of their own, so a gauge may be back at zero a moment later only.
func eventually(ask func() string) (last string) {
	for range 100_000 {
		if last = ask(); last == "" {
			break
		}
		runtime.Gosched()
	}
	return last
}

// fails checks how a call failed.
func fails(t testing.TB, err error, code Code, ran Executed, text string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want a *rpc.Error with code %s", err, err, code)
	}
	if e.Code != code || e.Executed != ran || !strings.Contains(e.Message, text) {
		t.Fatalf("error %q: code %s, executed %s; want %s, %s and a text with %q", e.Message, e.Code, e.Executed, code, ran, text)
	}
}

// record is a log that a test can read.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

func (r *record) options() *Options {
	return &Options{Logger: slog.New(slog.NewTextHandler(r, nil))}
}

// A puppet is the other end of a peer's connection, played by the test frame by frame. It
// reads only when it is told to, so that it can also be an end that does not read.
type puppet struct {
	t    testing.TB
	conn wire.Conn
	msg  []byte
}

// withPuppet makes a peer, and has its greetings exchanged: the peer has seen a hello that
// allows everything, and its own hello and first ping were read.
func withPuppet(t testing.TB, mux *Mux, o *Options) (*Peer, *puppet) {
	t.Helper()
	ca, cb := wire.Pipe()
	p := NewPeer(ca, mux, quiet(o))
	h := &puppet{t: t, conn: cb}
	t.Cleanup(func() {
		cb.Close()
		<-p.Done()
		leave(t, p)
	})
	h.expect(wire.Hello)
	h.send(wire.Frame{Kind: wire.Hello, Payload: []byte(
		`{"version":1,"agent":"puppet","limits":{"calls":1000,"streams":1000,"value":100000000,"window":100000000}}`)})
	h.expect(wire.Ping)
	return p, h
}

// send sends frames in one message.
func (h *puppet) send(frames ...wire.Frame) {
	h.t.Helper()
	var msg []byte
	for _, f := range frames {
		msg = wire.Append(msg, f)
	}
	if err := h.conn.WriteMessage(msg); err != nil {
		h.t.Fatal(err)
	}
}

// next reads the next frame.
func (h *puppet) next() wire.Frame {
	h.t.Helper()
	for len(h.msg) == 0 {
		var err error
		if h.msg, err = h.conn.ReadMessage(); err != nil {
			h.t.Fatal(err)
		}
	}
	f, rest, err := wire.Next(h.msg)
	if err != nil {
		h.t.Fatal(err)
	}
	h.msg = rest
	return f
}

// expect reads the next frame, which must be of the kind given.
func (h *puppet) expect(k wire.Kind) wire.Frame {
	h.t.Helper()
	f := h.next()
	if f.Kind != k {
		h.t.Fatalf("%s frame %q came, want %s", f.Kind, f.Payload, k)
	}
	return f
}

// ask makes the frame of a call; args are JSON.
func ask(id uint64, m mode, left time.Duration, method, args string) wire.Frame {
	var b []byte
	for _, n := range []uint64{uint64(m), uint64(left / time.Millisecond), 0, uint64(len(method))} {
		b = append(b, varint(n)...)
	}
	return wire.Frame{Kind: wire.Request, Own: true, ID: id, Payload: []byte(string(b) + method + args)}
}
