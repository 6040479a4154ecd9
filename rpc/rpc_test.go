package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"testing"

	"go.uber.org/goleak"

	"github.com/chumsync/chum/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	echo  Method[[]byte, []byte]        = "echo"
	hi    Method[string, string]        = "hi"
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
	count.Handle(m, func(_ context.Context, n int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
		}
	})
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
		buf := make([]byte, 64<<10)
		for n > 0 {
			k := min(n, int64(len(buf)))
			if _, err := w.Write(buf[:k]); err != nil {
				return err
			}
			n -= k
		}
		return nil
	})
	HandleReader(m, eat, func(_ context.Context, _ struct{}, r io.Reader) (int64, error) {
		return io.Copy(io.Discard, r)
	})
	m.Func("add", func(a, b int) int { return a + b })
	return m
}

func pair(t testing.TB, mux *Mux) (a, b *Peer) {
	ca, cb := wire.Pipe()
	a, b = NewPeer(ca, mux, nil), NewPeer(cb, mux, nil)
	t.Cleanup(func() {
		a.Close()
		b.Close()
		for _, p := range []*Peer{a, b} {
			if s := p.Stats(); s.Out.Open+s.Streams+s.Waiting != 0 {
				t.Errorf("left open: %+v", s)
			}
		}
	})
	return a, b
}

func TestFirst(t *testing.T) {
	a, b := pair(t, testMux())
	ctx := t.Context()
	for i := range 10 {
		s, err := hi.Call(ctx, a, fmt.Sprint(i))
		if err != nil || s != "hi "+fmt.Sprint(i) {
			t.Fatal(s, err)
		}
	}
	for _, n := range []int{0, 1, 1000, 9000, 100000, 8 << 20} {
		out, err := echo.Call(ctx, b, make([]byte, n))
		if err != nil || len(out) != n {
			t.Fatal(n, len(out), err)
		}
	}
	if _, err := hi.Call(ctx, a, "panic"); CodeOf(err) != Internal {
		t.Fatal(err)
	}
	var n int
	if err := a.Send(ctx, "add", 2, 3).Await(&n); err != nil || n != 5 {
		t.Fatal(n, err)
	}
	n = 0
	for v, err := range count.Call(ctx, a, 10000) {
		if err != nil || v != n {
			t.Fatal(v, err)
		}
		n++
	}
	if n != 10000 {
		t.Fatal(n)
	}
	ints := func(yield func(int, error) bool) {
		for i := range 1000 {
			if !yield(i, nil) {
				return
			}
		}
	}
	if s, err := sum.Call(ctx, a, struct{}{}, ints); err != nil || s != 499500 {
		t.Fatal(s, err)
	}
	n = 0
	for v, err := range twice.Call(ctx, a, struct{}{}, ints) {
		if err != nil || v != 2*n {
			t.Fatal(v, err)
		}
		n++
	}
	if k, err := io.Copy(io.Discard, Reader(ctx, a, zero, 100<<20)); err != nil || k != 100<<20 {
		t.Fatal(k, err)
	}
	w := Writer(ctx, b, eat, struct{}{})
	if _, err := w.Write(make([]byte, 10<<20)); err != nil {
		t.Fatal(err)
	}
	if k, err := w.Result(); err != nil || k != 10<<20 {
		t.Fatal(k, err)
	}
	if err := a.Send(ctx, "nope").Await(nil); CodeOf(err) != Unimplemented || ExecutedOf(err) != No {
		t.Fatal(err)
	}
	cctx, cancel := context.WithCancel(ctx)
	for range count.Call(cctx, a, 1<<30) {
		break
	}
	cancel()
	_, err := hi.Call(cctx, a, "x")
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	t.Logf("%+v", a.Stats())
}
