package rpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// What comes before what: arguments, items, ends, answers, the end of the connection.

// An end must not overtake the long arguments of its call.
func TestEndAfterLongArguments(t *testing.T) {
	const head Sink[string, int, int] = "head"
	mux := testMux()
	head.Handle(mux, func(_ context.Context, s string, in iter.Seq2[int, error]) (int, error) {
		n := len(s)
		for _, err := range in {
			if err != nil {
				return 0, err
			}
			n++
		}
		return n, nil
	})
	a, _ := join(t, nil, mux, nil, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, n := range []int{0, 3} {
		if got, err := head.Call(ctx, a, strings.Repeat("x", 1<<20), ints(n)); err != nil || got != 1<<20+n {
			t.Fatalf("%d items: %d, %v", n, got, err)
		}
	}
}

// An item longer than a frame may be sent before the other side has said what it takes.
func TestLongItemBeforeHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, nil, Options{})
		const texts Sink[struct{}, string, int] = "texts"
		result := make(chan error)
		go func() {
			_, err := texts.Call(t.Context(), r.peer, struct{}{}, func(yield func(string, error) bool) {
				yield(strings.Repeat("x", 100<<10), nil)
			})
			result <- err
		}()
		synctest.Wait()
		r.acks = true
		go r.read()
		r.send(goodHello)
		if len(r.got(wire.End)) != 1 {
			t.Error("the stream was not sent")
		}
		r.send(yours(wire.Result, 1, "1"))
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// Whoever still reads a stream when its call is answered must not take that for the stream's
// end.
func TestStreamCutByAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mux := rawMux()
		const leaves Sink[struct{}, []byte, string] = "leaves"
		seen := make(chan error, 1)
		leaves.Handle(mux, func(_ context.Context, _ struct{}, in iter.Seq2[[]byte, error]) (string, error) {
			go func() {
				var last error
				for _, last = range in {
				}
				seen <- last
			}()
			return "done", nil
		})
		r := greeted(t, mux, Options{})
		r.send(request(1, feeds, "leaves", ""))
		r.got(wire.Result)
		if err := <-seen; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the reader saw %v", err)
		}
	})
}

// A stream that is begun when its call has ended already does not wait for credit that will
// never come.
func TestSendAfterTheEnd(t *testing.T) {
	t.Run("handler", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			mux := rawMux()
			const late Source[struct{}, []byte] = "late"
			sent := make(chan error, 1)
			HandleWriter(mux, late, func(ctx context.Context, _ struct{}, w io.Writer) error {
				<-ctx.Done()
				_, err := w.Write(make([]byte, 1<<20))
				sent <- err
				return err
			})
			r := greeted(t, mux, Options{})
			r.send(request(1, takes, "late", ""))
			synctest.Wait()
			r.send(mine(wire.Cancel, 1, ""))
			if err := <-sent; !errors.Is(err, context.Canceled) {
				t.Errorf("Write: %v", err)
			}
			synctest.Wait()
			r.atRest()
		})
	})
	t.Run("caller", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := greeted(t, nil, Options{})
			w := Writer(t.Context(), r.peer, eat, struct{}{})
			r.got(wire.Request)
			r.send(yours(wire.Result, 1, "0"))
			synctest.Wait()
			if _, err := w.Write(make([]byte, 1<<20)); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("Write: %v", err)
			}
			if n, err := w.Result(); n != 0 || err != nil {
				t.Errorf("Result: %d, %v", n, err)
			}
		})
	})
}

// Shutdown lets answers out that are queued, short ones behind a busy line and long ones
// behind the window.
func TestShutdownSendsAnswers(t *testing.T) {
	for _, size := range []int{10, 300 << 10} {
		synctest.Test(t, func(t *testing.T) {
			r := newRaw(t, rawMux(), Options{})
			r.send(goodHello)
			r.send(bytesRequest(1, 0, "echo", bytes.Repeat([]byte("x"), min(size, 50<<10))))
			if size > 50<<10 {
				r.send(long(bytesRequest(2, 0, "echo", append([]byte(uvarint(uint64(size))), make([]byte, 50<<10)...))))
				for sent := 50 << 10; sent < size; sent += 50 << 10 {
					r.send(mine(wire.Part, 2, make([]byte, min(50<<10, size-sent))))
				}
			}
			synctest.Wait() // answered, but nothing of it was read
			down := make(chan error)
			go func() { down <- r.peer.Shutdown(t.Context()) }()
			synctest.Wait()
			r.acks = true
			go r.read()
			if err := <-down; err != nil {
				t.Error(err)
			}
			want := 1
			if size > 50<<10 {
				want = 2
			}
			if n := len(r.got(wire.Result)); n != want {
				t.Errorf("%d results came, want %d", n, want)
			}
			if len(r.got(wire.Bye)) != 1 {
				t.Error("no bye came")
			}
		})
	}
}

// brokenPipe is a Conn that cannot be written to.
type brokenPipe struct{ wire.Conn }

var errBroken = errors.New("no route to host")

func (brokenPipe) WriteMessage([]byte) error { return errBroken }

// A connection that breaks while this side writes says so, not that this side closed it.
func TestErrTellsFailedWrite(t *testing.T) {
	c, _ := wire.Pipe()
	p := NewPeer(brokenPipe{c}, nil, nil)
	<-p.Done()
	if err := p.Err(); !errors.Is(err, errBroken) {
		t.Errorf("Err: %v", err)
	}
}
