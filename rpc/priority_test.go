package rpc

import (
	"context"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// Streams share the connection by bytes, as their priorities say, whatever the size of their
// items, in both directions, beside long values.
func TestPrioritiesShare(t *testing.T) {
	const endless Source[int, []byte] = "endless"
	const swallow Sink[string, []byte, int] = "swallow"
	same := func(size int) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			for b := make([]byte, size); yield(b, nil); {
			}
		}
	}
	sizes := []int{500, wire.MaxFrame, 4000, 200_000}
	for _, way := range []string{"down", "up"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mux := testMux()
				endless.Handle(mux, func(_ context.Context, size int) iter.Seq2[[]byte, error] { return same(size) })
				swallow.Handle(mux, func(_ context.Context, _ string, in iter.Seq2[[]byte, error]) (n int, err error) {
					for _, err = range in {
					}
					return n, err
				})
				var sent [3]map[uint64]int // bytes of frames by priority and call
				for i := range sent {
					sent[i] = map[uint64]int{}
				}
				var mu sync.Mutex // guards sent and counting
				counting := false
				count := func(on bool) {
					mu.Lock()
					counting = on
					mu.Unlock()
				}
				trace := func(f TraceFrame) {
					mu.Lock()
					defer mu.Unlock()
					if f.Sent && counting && f.Frame.Bulk() {
						id := f.Frame.ID
						sent[(id-2)/uint64(len(sizes))][id] += len(wire.Append(nil, f.Frame))
					}
				}
				ca, cb := link(25e6, 20*time.Millisecond)
				optA, optB := &Options{}, &Options{}
				if way == "up" {
					optA.Trace = trace
				} else {
					optB.Trace = trace
				}
				a, b := NewPeer(ca, mux, quiet(optA)), NewPeer(cb, mux, quiet(optB))
				t.Cleanup(func() { leave(t, a, b) })
				if _, err := hi.Call(t.Context(), a, "x"); err != nil { // call 1
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error)
				n := 0
				for _, priority := range []Priority{Background, Normal, Interactive} {
					for _, size := range sizes {
						n++
						ctx := WithPriority(ctx, priority)
						go func() {
							var last error
							if way == "up" {
								_, last = swallow.Call(ctx, a, "", same(size))
							} else {
								for _, last = range endless.Call(ctx, a, size) {
								}
							}
							ended <- last
						}()
						synctest.Wait() // ids in this order
					}
				}
				time.Sleep(2 * time.Second)
				count(true)
				time.Sleep(4 * time.Second)
				count(false)
				stop()
				for range n {
					if err := <-ended; CodeOf(err) != Cancelled {
						t.Error(err)
					}
				}
				sum := func(m map[uint64]int) (n int) {
					for _, v := range m {
						n += v
					}
					return n
				}
				normal := sum(sent[1]) / len(sizes)
				for i, want := range []float64{1. / 8, 1, 8} {
					for id, got := range sent[i] {
						if r := float64(got) / float64(normal); r < want*0.7 || r > want*1.4 {
							t.Errorf("priority %d, items of %d bytes: %.3f times what normal ones get, want %.3f", i-1, sizes[(id-2)%uint64(len(sizes))], r, want)
						}
					}
				}
				time.Sleep(time.Second)
				idle(t, a, b)
			})
		})
	}
}

// A priority goes on to the calls of the handler; one that nobody knows is the nearest.
func TestPriorityGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ask Method[struct{}, string] = "ask"
		const back Method[struct{}, string] = "back"
		mux, other := NewMux(Public), NewMux(Public)
		ask.Handle(mux, func(ctx context.Context, _ struct{}) (string, error) {
			return back.Call(ctx, PeerFrom(ctx), struct{}{})
		})
		back.Handle(other, func(ctx context.Context, _ struct{}) (string, error) {
			return Metadata(ctx, metaPriority), nil
		})
		a, _ := join(t, other, mux, nil, nil)
		for priority, want := range map[Priority]string{Normal: "", Background: "-1", Interactive: "1", 100: "1", -100: "-1"} {
			if got, err := ask.Call(WithPriority(t.Context(), priority), a, struct{}{}); got != want || err != nil {
				t.Errorf("priority %d went on as %q, %v", priority, got, err)
			}
		}
	})
	for text, want := range map[string]Priority{"": Normal, "0": Normal, "1": Interactive, "-1": Background, "7": Interactive, "-7": Background, "x": Normal} {
		if got := priorityOf(appendMetadata(nil, metaPriority, text)); got != want {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}
