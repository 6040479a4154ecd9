package rpc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

const gigabyte = 1 << 30

// heldPerStream is what a stream whose reader stopped may hold on both sides together: the
// window at its largest, an item beyond it, and what waits to be sent.
const heldPerStream = maxWindow + sendAhead + 2*wire.MaxFrame

// heap is what is live now.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// beside checks that a stream that does not go on holds little and holds up nothing: calls
// beside it, both ways, are answered without a moment passing.
func beside(t *testing.T, before int, a, b *Peer) {
	t.Helper()
	synctest.Wait()
	if held := a.Stats().Waiting + b.Stats().Waiting; held == 0 || held > heldPerStream {
		t.Errorf("%d bytes are held, at most %d may be", held, heldPerStream)
	}
	if grown := heap() - before; grown > heldPerStream+2<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	begin := time.Now()
	for _, p := range []*Peer{a, b} {
		if s, err := hi.Call(t.Context(), p, "there"); err != nil || s != "hi there" {
			t.Error(s, err)
		}
	}
	if d := time.Since(begin); d != 0 {
		t.Errorf("the calls took %v", d)
	}
}

func TestReaderStops(t *testing.T) {
	t.Run("source", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := pair(t, testMux())
			before := heap()
			r := Reader(t.Context(), a, zero, gigabyte)
			beside(t, before, a, b)
			if _, err := io.CopyN(io.Discard, r, 100<<20); err != nil {
				t.Fatal(err)
			}
			beside(t, before, a, b)
			if n, err := io.Copy(io.Discard, r); err != nil || n != gigabyte-100<<20 {
				t.Fatal(n, err)
			}
			idle(t, a, b)
		})
	})
	t.Run("sink", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const slow Sink[struct{}, []byte, int64] = "slow"
			mux := testMux()
			gate := make(chan int64)
			HandleReader(mux, slow, func(_ context.Context, _ struct{}, r io.Reader) (int64, error) {
				if n, err := io.CopyN(io.Discard, r, <-gate); err != nil {
					return n, err
				}
				<-gate
				return io.Copy(io.Discard, r)
			})
			a, b := pair(t, mux)
			before := heap()
			w := Writer(t.Context(), a, slow, struct{}{})
			done := make(chan int64)
			go func() {
				n, err := io.Copy(w, io.LimitReader(zeros{}, gigabyte/4))
				if err != nil {
					t.Error(err)
				}
				done <- n
			}()
			beside(t, before, a, b)
			gate <- 100 << 20
			beside(t, before, a, b)
			gate <- 0
			if n := <-done; n != gigabyte/4 {
				t.Error(n)
			}
			if n, err := w.Result(); err != nil || n != gigabyte/4-100<<20 {
				t.Error(n, err)
			}
			idle(t, a, b)
		})
	})
}

// However many streams stop, and however large they grew before, there is one bound to all of
// it, and calls pass them by.
func TestManyReadersStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, testMux())
		const n = 64
		var readers []io.ReadCloser
		for range n {
			r := Reader(t.Context(), a, zero, gigabyte)
			if _, err := io.CopyN(io.Discard, r, 4<<20); err != nil {
				t.Fatal(err)
			}
			readers = append(readers, r)
		}
		synctest.Wait()
		most := 32<<20 + n*2*wire.MaxFrame // windows, and an item beyond each
		if held := a.Stats().Waiting; held > most {
			t.Errorf("%d bytes are received and not read, at most %d may be", held, most)
		}
		if held := b.Stats().Waiting; held > n*(sendAhead+wire.MaxFrame) {
			t.Errorf("%d bytes wait to be sent", held)
		}
		if s, err := hi.Call(t.Context(), b, "x"); err != nil || s != "hi x" {
			t.Error(s, err)
		}
		for _, r := range readers {
			r.Close()
		}
		synctest.Wait()
		idle(t, a, b)
	})
}

// Streams that always have something to send get the same share of bytes, whatever the size
// of their items, and so does a long result.
func TestFairShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const endless Source[int, []byte] = "endless"
		mux := NewMux(Public)
		endless.Handle(mux, func(_ context.Context, size int) iter.Seq2[[]byte, error] {
			return func(yield func([]byte, error) bool) {
				for yield(make([]byte, size), nil) {
				}
			}
		})
		mux.Func("long", func() []byte { return make([]byte, 64<<20) })
		_, h := withPuppet(t, mux, nil)
		h.send(
			ask(1, takes, 0, "endless", "[1]"), // the heads of frames count, or this would get five times as much
			ask(2, takes, 0, "endless", "[1000]"),
			ask(3, takes, 0, "endless", "[32768]"),
			ask(4, takes, 0, "endless", fmt.Sprintf("[%d]", wire.MaxFrame)),
			ask(5, takes, 0, "endless", "[1000000]"),
			ask(6, 0, 0, "long", ""),
		)
		share, bulk := map[uint64]int{}, 0
		for bulk < 12<<20 {
			synctest.Wait() // every flow is full again
			for first := true; first || len(h.msg) > 0; first = false {
				f := h.next()
				if !f.Bulk() {
					continue
				}
				bulk += len(f.Payload)
				share[f.ID] += len(wire.Append(nil, f))
			}
			h.send(wire.Frame{Kind: wire.Ack, Payload: append(varint(uint64(bulk)), 0)})
		}
		fair := 0
		for _, n := range share {
			fair += n / 6
		}
		for id := range uint64(6) {
			if n := share[id+1]; n < fair*4/5 || n > fair*6/5 {
				t.Errorf("stream %d got %d bytes, a fair share is %d", id+1, n, fair)
			}
		}
	})
}

// What one ends up with is what the other sent, whatever the size of an item.
func TestHugeItems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const same Duplex[struct{}, []byte, []byte] = "same"
		mux := testMux()
		same.Handle(mux, func(_ context.Context, _ struct{}, in iter.Seq2[[]byte, error]) iter.Seq2[[]byte, error] { return in })
		a, b := pair(t, mux)
		sizes := []int{0, 1, 8 << 20, 5, wire.MaxFrame, wire.MaxFrame + 1, 8 << 20, 8 << 20, 0, 100_000}
		var sent [][]byte
		for i, n := range sizes {
			c := rand.NewChaCha8([32]byte{byte(i)})
			p := make([]byte, n)
			c.Read(p)
			sent = append(sent, p)
		}
		var wait sync.WaitGroup
		for _, p := range []*Peer{a, b} {
			wait.Go(func() {
				i := 0
				for got, err := range same.Call(t.Context(), p, struct{}{}, func(yield func([]byte, error) bool) {
					for _, p := range sent {
						if !yield(p, nil) {
							return
						}
					}
				}) {
					if err != nil || !bytes.Equal(got, sent[i]) {
						t.Errorf("item %d: %d bytes, %v", i, len(got), err)
						return
					}
					i++
				}
				if i != len(sent) {
					t.Errorf("%d items", i)
				}
			})
			wait.Go(func() { // long arguments and results beside
				for range 5 {
					if got, err := echo.Call(t.Context(), p, sent[2]); err != nil || !bytes.Equal(got, sent[2]) {
						t.Error(len(got), err)
					}
				}
			})
			wait.Go(func() {
				for range 200 {
					if _, err := hi.Call(t.Context(), p, "x"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		idle(t, a, b)
	})
}

// Items that are longer than the other side takes break their stream off, and nothing else.
func TestTooLongItems(t *testing.T) {
	small := &Options{MaxValue: 100_000}
	over := make([]byte, 100_001)
	const far Source[struct{}, []byte] = "far"
	const near Sink[struct{}, []byte, int] = "near"
	for _, known := range []bool{true, false} { // whether the sender can know
		t.Run(fmt.Sprintf("known %v", known), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mux := testMux()
				handler := make(chan error, 1)
				far.Handle(mux, func(_ context.Context, _ struct{}) iter.Seq2[[]byte, error] {
					return func(yield func([]byte, error) bool) {
						yield([]byte("ok"), nil)
						yield(over, nil)
					}
				})
				near.Handle(mux, func(_ context.Context, _ struct{}, in iter.Seq2[[]byte, error]) (n int, err error) {
					for _, err = range in {
						n++
					}
					handler <- err
					return n, err
				})
				a, b := join(t, mux, mux, small, small)
				if err := a.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := b.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				if !known { // as if the limit were not said
					for _, p := range []*Peer{a, b} {
						p.mu.Lock()
						p.remote.Limits.Value = 8 << 20
						p.mu.Unlock()
					}
				}
				n, last := 0, error(nil)
				for _, err := range far.Call(t.Context(), a, struct{}{}) {
					n, last = n+1, err
				}
				if n != 2 || CodeOf(last) != ResourceExhausted {
					t.Errorf("after %d items: %v", n, last)
				}
				_, err := near.Call(t.Context(), a, struct{}{}, func(yield func([]byte, error) bool) {
					_ = yield([]byte("ok"), nil) && yield(over, nil) && yield([]byte("more"), nil)
				})
				if CodeOf(err) != ResourceExhausted {
					t.Error(err)
				}
				if err := <-handler; err == nil {
					t.Error("the handler's stream ended well")
				}
				if s, err := hi.Call(t.Context(), a, "x"); err != nil {
					t.Error(s, err)
				}
				synctest.Wait()
				idle(t, a, b)
			})
		})
	}
}

// All long values that arrive or wait share one account.
func TestAssemblyLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mux := testMux()
		gate := make(chan struct{})
		mux.Func("keep", func(b []byte) int { <-gate; return len(b) })
		a, b := join(t, nil, mux, nil, &Options{MaxAssembly: 2_500_000})
		mega := make([]byte, 1_000_000)
		first, second := a.Send(t.Context(), "keep", mega), a.Send(t.Context(), "keep", mega)
		synctest.Wait()
		fails(t, a.Send(t.Context(), "keep", mega).Await(nil), ResourceExhausted, No, "2500000 are taken at once")
		if _, err := hi.Call(t.Context(), a, "x"); err != nil {
			t.Error(err)
		}
		close(gate)
		for _, p := range []*Promise{first, second, nil} {
			if p == nil { // there is room again
				p = a.Send(t.Context(), "keep", mega)
			}
			var n int
			if err := p.Await(&n); err != nil || n != len(mega) {
				t.Error(n, err)
			}
		}
		idle(t, a, b)
	})
}

// The same for answers: the account is the caller's.
func TestAssemblyLimitOfAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, h := withPuppet(t, nil, &Options{MaxAssembly: 1_500_000})
		var promises []*Promise
		for range 2 {
			promises = append(promises, p.Send(t.Context(), "long"))
			h.expect(wire.Request)
		}
		part := func(n int) []byte { return make([]byte, n) }
		for id := range uint64(2) {
			h.send(wire.Frame{Kind: wire.Result, Form: wire.Bytes, Long: true, ID: id + 1, Payload: append(varint(1_000_000), part(40_000)...)})
		}
		fails(t, promises[1].Await(nil), ResourceExhausted, Yes, "1500000 are taken at once")
		if f := h.expect(wire.Cancel); f.ID != 2 {
			t.Errorf("call %d was cancelled", f.ID)
		}
		for range 24 {
			h.send(wire.Frame{Kind: wire.Part, ID: 1, Payload: part(40_000)})
		}
		var got []byte
		if err := promises[0].Await(&got); err != nil || len(got) != 1_000_000 {
			t.Error(len(got), err)
		}
		idle(t, p)
	})
}

func TestCallLimits(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options Options
		method  func(ctx context.Context, p *Peer) error
		open    func(ctx context.Context, p *Peer) *Promise
		text    string
	}{
		{"calls", Options{MaxCalls: 3}, func(ctx context.Context, p *Peer) error { return p.Send(ctx, "hi", "x").Await(nil) }, func(ctx context.Context, p *Peer) *Promise { return p.Send(ctx, "hang") }, "3 calls are"},
		{"streams", Options{MaxStreams: 3}, func(ctx context.Context, p *Peer) (err error) {
			for _, err = range count.Call(ctx, p, 1) {
			}
			return err
		}, func(ctx context.Context, p *Peer) *Promise { return &Promise{Writer(ctx, p, eat, struct{}{}).call} }, "3 streams are"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := join(t, nil, testMux(), nil, &tt.options)
				if err := a.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var open []*Promise
				for range 3 {
					open = append(open, tt.open(ctx, a))
				}
				synctest.Wait()
				fails(t, tt.method(t.Context(), a), ResourceExhausted, No, tt.text)
				// The one who serves holds to it, too, if the caller does not.
				a.mu.Lock()
				a.remote.Limits.Calls, a.remote.Limits.Streams = 100, 100
				a.mu.Unlock()
				fails(t, tt.method(t.Context(), a), ResourceExhausted, No, tt.text)
				cancel()
				for _, p := range open {
					fails(t, p.Await(nil), Cancelled, Maybe, "")
				}
				synctest.Wait()
				if err := tt.method(t.Context(), a); err != nil {
					t.Error(err)
				}
				idle(t, a, b)
			})
		})
	}
}

// The slot of a cancelled call is its handler's until that returns.
func TestSlotIsTheHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mux := testMux()
		gate := make(chan struct{})
		mux.Func("deaf", func() { <-gate })
		a, b := join(t, nil, mux, nil, &Options{MaxCalls: 1})
		ctx, cancel := context.WithCancel(t.Context())
		p := a.Send(ctx, "deaf")
		synctest.Wait()
		cancel()
		fails(t, p.Await(nil), Cancelled, Maybe, "")
		fails(t, a.Send(t.Context(), "hi", "x").Await(nil), ResourceExhausted, No, "1 calls are")
		close(gate)
		synctest.Wait()
		if err := a.Send(t.Context(), "hi", "x").Await(nil); err != nil {
			t.Error(err)
		}
		idle(t, a, b)
	})
}
