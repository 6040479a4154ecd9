package jsonrpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

// pair makes two peers that speak JSON-RPC with each other: each is the foreign side of the other.
func pair(t *testing.T, muxA, muxB *rpc.Mux, options *rpc.Options) (a, b *rpc.Peer) {
	t.Helper()
	x, y := textPipe()
	a = rpc.NewPeer(New(x, muxA, options), muxA, options)
	b = rpc.NewPeer(New(y, muxB, options), muxB, options)
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	for _, p := range []*rpc.Peer{a, b} {
		if err := p.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return a, b
}

func values[T any](list ...T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func collect[T any](t *testing.T, in iter.Seq2[T, error]) (list []T) {
	t.Helper()
	for v, err := range in {
		if err != nil {
			t.Errorf("after %d items: %v", len(list), err)
			break
		}
		list = append(list, v)
	}
	return list
}

// TestPeers runs everything that peers do over JSON-RPC, in both directions at once.
func TestPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, testMux(), testMux(), nil)
		var wait sync.WaitGroup
		for _, p := range []*rpc.Peer{a, b} {
			for range 2 {
				wait.Go(func() { exercise(t, p) })
			}
		}
		wait.Wait()
		synctest.Wait() // for handlers that were cancelled
		for _, p := range []*rpc.Peer{a, b} {
			if s := p.Stats(); s.Strikes != 0 || s.Out.Open != 0 || s.In.Open != 0 || s.Waiting != 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

func exercise(t *testing.T, p *rpc.Peer) {
	t.Helper()
	ctx := t.Context()
	var n int
	if err := p.Send(ctx, "subtract", 5, 3).Await(&n); err != nil || n != 2 {
		t.Errorf("subtract: %d, %v", n, err)
	}
	raw := bytes.Repeat([]byte{0, 255, 7}, 40_000) // long both ways
	got, err := rpc.Method[[]byte, []byte]("bytes").Call(ctx, p, raw)
	if err != nil || !bytes.Equal(got, raw) {
		t.Errorf("bytes: %d, %v", len(got), err)
	}
	r, err := rpc.Method[put, put]("put").Call(ctx, p, put{"k", raw})
	if err == nil || !strings.Contains(err.Error(), "by name") {
		t.Errorf("put by name: %v", err)
	}
	if err := p.Send(ctx, "put", "k", raw).Await(&r); err != nil || r.Name != "k" || !bytes.Equal(r.Data, raw) {
		t.Errorf("put: %q, %d bytes, %v", r.Name, len(r.Data), err)
	}
	if err := p.Send(ctx, "nothing").Await(nil); err != nil {
		t.Error(err)
	}

	want := make([]int, 1_000)
	for i := range want {
		want[i] = i
	}
	if got := collect(t, count.Call(ctx, p, len(want))); !slices.Equal(got, want) {
		t.Errorf("count: %d items", len(got))
	}
	if n, err := sum.Call(ctx, p, struct{}{}, values(want...)); err != nil || n != 499_500 {
		t.Errorf("sum: %d, %v", n, err)
	}
	long := strings.Repeat("é", 50_000)
	if got := collect(t, twice.Call(ctx, p, struct{}{}, values("a", long, "", "b"))); !slices.Equal(got, []string{"aa", long + long, "", "bb"}) {
		t.Errorf("twice: %d items", len(got))
	}
	if got, err := io.ReadAll(rpc.Reader(ctx, p, rpc.Source[int, []byte]("zeros"), 1_000_000)); err != nil || len(got) != 1_000_000 {
		t.Errorf("zeros: %d, %v", len(got), err)
	}
	w := rpc.Writer(ctx, p, rpc.Sink[struct{}, []byte, int]("length"), struct{}{})
	if _, err := w.Write(make([]byte, 1_000_000)); err != nil {
		t.Error(err)
	}
	if n, err := w.Result(); err != nil || n != 1_000_000 {
		t.Errorf("length: %d, %v", n, err)
	}
	for range count.Call(ctx, p, 1_000_000) {
		break // cancels
	}

	for _, x := range []struct {
		method string
		want   rpc.Error
	}{
		{"none", rpc.Error{Code: rpc.Unimplemented, Message: `no method "none" here`, Executed: rpc.No}},
		{"panics", rpc.Error{Code: rpc.Internal, Message: "the handler panicked", Executed: rpc.Yes}},
		{"fails", rpc.Error{Code: rpc.Internal, Message: "the handler failed; its log says why", Executed: rpc.Yes}},
		{"missing", rpc.Error{Code: rpc.NotFound, Message: "not here", Data: []byte(`{"key":"k"}`), Executed: rpc.Yes}},
		{"long", rpc.Error{Code: rpc.InvalidArgument, Executed: rpc.No}},
	} {
		e, ok := errors.AsType[*rpc.Error](p.Send(ctx, x.method).Await(nil))
		if !ok || e.Code != x.want.Code || x.want.Message != "" && e.Message != x.want.Message || string(e.Data) != string(x.want.Data) || e.Executed != x.want.Executed {
			t.Errorf("%s: %+v, want %+v", x.method, e, x.want)
		}
	}
}

// TestCancelTravels cancels a call: the handler's context ends, and the caller need not wait.
func TestCancelTravels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		m := rpc.NewMux(rpc.Public)
		m.Func("wait", func(ctx context.Context) {
			<-ctx.Done()
			close(ended)
		})
		a, b := pair(t, nil, m, nil)
		ctx, cancel := context.WithCancel(t.Context())
		p := a.Send(ctx, "wait")
		synctest.Wait()
		cancel()
		if err := p.Await(nil); rpc.CodeOf(err) != rpc.Cancelled || rpc.ExecutedOf(err) != rpc.Maybe {
			t.Errorf("the caller got %v", err)
		}
		<-ended
		synctest.Wait()
		if s := b.Stats(); s.In.Open != 0 {
			t.Errorf("%+v", s)
		}
		// The other side answers a call that was cancelled, as JSON-RPC has it: that is late here.
		if s := a.Stats(); s.Strikes != 0 || s.Late != 1 {
			t.Errorf("%d strikes, %d late", s.Strikes, s.Late)
		}
	})
}

// TestReaderStops reads nothing of one stream: others go on beside it.
func TestReaderStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, testMux(), testMux(), nil)
		for _, p := range []*rpc.Peer{a, b} {
			next, stop := iter.Pull2(count.Call(t.Context(), p, 1_000_000))
			defer stop()
			if v, err, ok := next(); v != 0 || err != nil || !ok {
				t.Fatal(v, err, ok)
			}
			synctest.Wait()
		}
		exercise(t, a)
		exercise(t, b)
		if s := a.Stats(); s.Waiting > 1<<20 {
			t.Errorf("%d bytes are held", s.Waiting)
		}
	})
}

// TestIdle keeps a connection on which nobody says anything, over many pings of the peer.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, testMux(), testMux(), nil)
		<-time.After(time.Hour)
		var n int
		if err := a.Send(t.Context(), "subtract", 2, 1).Await(&n); err != nil || n != 1 {
			t.Error(n, err)
		}
		if a.Err() != nil || b.Err() != nil {
			t.Error(a.Err(), b.Err())
		}
	})
}

// TestClose closes either way: in order, so no error is left.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, testMux(), testMux(), nil)
		p := b.Send(t.Context(), "hang")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := a.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := p.Await(nil); rpc.CodeOf(err) != rpc.Unavailable || rpc.ExecutedOf(err) != rpc.Maybe {
			t.Error(err)
		}
		<-b.Done()
		if a.Err() != nil || b.Err() != nil {
			t.Errorf("%v, %v", a.Err(), b.Err())
		}
	})
}

// TestReadyFirst calls with raw bytes before it is known that the other side takes JSON only.
func TestReadyFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := textPipe()
		held := &heldConn{Conn: New(x, nil, nil), open: make(chan struct{})}
		a := rpc.NewPeer(held, nil, nil)
		defer a.Close()
		m := testMux()
		b := rpc.NewPeer(New(y, m, nil), m, nil)
		defer b.Close()
		early := a.Send(t.Context(), "bytes", []byte("x"))
		close(held.open)
		if err := early.Await(nil); rpc.CodeOf(err) != rpc.FailedPrecondition || rpc.ExecutedOf(err) != rpc.No {
			t.Error(err)
		}
		var got []byte
		if err := a.Send(t.Context(), "bytes", []byte("x")).Await(&got); err != nil || string(got) != "x" {
			t.Error(string(got), err)
		}
	})
}

// heldConn lets nothing be read until it is told.
type heldConn struct {
	wire.Conn
	open chan struct{}
}

func (c *heldConn) ReadMessage() ([]byte, error) {
	<-c.open
	return c.Conn.ReadMessage()
}

// TestHeld sends long arguments until no more are held at once: those calls are refused, and none
// that goes beside them is.
func TestHeld(t *testing.T) {
	o := &rpc.Options{MaxAssembly: 300_000}
	a, _ := pair(t, testMux(), testMux(), o)
	long := strings.Repeat("x", 200_000)
	var refused int
	promises := make([]*rpc.Promise, 20)
	for i := range promises {
		promises[i] = a.Send(t.Context(), "echo", long)
	}
	for _, p := range promises {
		err := p.Await(nil)
		switch {
		case rpc.CodeOf(err) == rpc.ResourceExhausted:
			refused++
		case err != nil:
			t.Error(err)
		}
	}
	if refused == 0 {
		t.Error("none was refused")
	}
	var v rpc.Value
	if err := a.Send(t.Context(), "echo", 1).Await(&v); err != nil || string(v.JSON) != "[1]" {
		t.Error(fmt.Sprint(v, err))
	}
}
