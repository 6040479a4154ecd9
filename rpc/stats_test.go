package rpc

import (
	"context"
	"crypto/sha256"
	"iter"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/chumsync/chum/wire"
)

// What one side counts as sent the other counts as received, and each call has one outcome on
// either side.
func TestStatsAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, testMux())
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 3))
				for range 50 {
					if err := anyCall(t.Context(), []*Peer{a, b}[i%2], r); err != nil {
						t.Error(err)
					}
				}
			})
		}
		fails(t, a.Send(t.Context(), "hi", "panic").Await(nil), Internal, Yes, "")
		wait.Wait()
		synctest.Wait()
		idle(t, a, b)
		sa, sb := a.Stats(), b.Stats()
		if sa.Sent != sb.Received || sb.Sent != sa.Received {
			t.Errorf("bytes and messages:\n%+v\n%+v", sa, sb)
		}
		if sa.Out != sb.In || sb.Out != sa.In {
			t.Errorf("calls:\n%+v\n%+v", sa, sb)
		}
		if sa.Out.Failed == 0 || sa.Out.Succeeded == 0 || sa.Strikes+sb.Strikes != 0 {
			t.Errorf("%+v\n%+v", sa, sb)
		}
	})
}

func TestStatsOfOpenCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, testMux())
		first := a.Send(t.Context(), "hang")
		a.Send(t.Context(), "hang")
		r := Reader(t.Context(), a, zero, 1<<20)
		w := Writer(t.Context(), b, eat, struct{}{})
		synctest.Wait()
		sa, sb := a.Stats(), b.Stats()
		if sa.Out.Open != 3 || sa.In.Open != 1 || sb.Out.Open != 1 || sb.In.Open != 3 || sa.Streams != 2 || sb.Streams != 2 {
			t.Errorf("%+v\n%+v", sa, sb)
		}
		if sa.Waiting == 0 || first.c.id != 1 {
			t.Errorf("%+v\n%+v", sa, sb)
		}
		r.Close()
		w.Cancel()
		synctest.Wait()
		sa, sb = a.Stats(), b.Stats()
		if sa.Out.Open != 2 || sb.In.Open != 2 || sa.Streams != 0 || sb.Streams != 0 || sa.Waiting != 0 || sb.Waiting != 0 {
			t.Errorf("%+v\n%+v", sa, sb)
		}
	})
}

// The trace sees each frame once, on either side, in the order of the connection.
// A long value that was sent does not wait any more, though its call goes on.
func TestSentValuesDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMux(Public)
		Method[[]byte, struct{}]("hold").Handle(m, func(ctx context.Context, _ []byte) (struct{}, error) {
			<-ctx.Done()
			return struct{}{}, nil
		})
		a, b := pair(t, m)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		a.Send(ctx, "hold", make([]byte, 300_000))
		synctest.Wait()
		if na, nb := a.Stats().Waiting, b.Stats().Waiting; na != 0 || nb != 0 {
			t.Errorf("%d and %d bytes wait", na, nb)
		}
	})
}

// A call whose error still waits behind its items is counted once, also when it is cancelled
// meanwhile.
func TestErrorThatWaitsIsCountedOnce(t *testing.T) {
	const broken Source[struct{}, []byte] = "broken"
	m := NewMux(Public)
	broken.Handle(m, func(context.Context, struct{}) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			if yield(make([]byte, 20_000), nil) {
				yield(nil, Errorf(NotFound, "asked for"))
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p, h := withPuppet(t, m, nil)
		h.send(wire.Frame{Kind: wire.Ping})
		synctest.Wait() // the pong is being written, and nobody reads it
		h.send(ask(1, takes, 0, "broken", ""))
		synctest.Wait() // items and error wait behind it
		h.send(wire.Frame{Kind: wire.Cancel, Own: true, ID: 1})
		synctest.Wait()
		if s := p.Stats().In; s.Started != 1 || s.Failed != 1 || s.Succeeded != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type seen struct {
			mu       sync.Mutex
			sent     []wire.Frame
			received []wire.Frame
		}
		var sa, sb seen
		trace := func(s *seen) *Options {
			return &Options{Trace: func(f TraceFrame) {
				sum := sha256.Sum256(f.Frame.Payload)
				f.Frame.Payload = sum[:]
				s.mu.Lock()
				defer s.mu.Unlock()
				if f.Sent {
					s.sent = append(s.sent, f.Frame)
				} else {
					s.received = append(s.received, f.Frame)
				}
			}}
		}
		a, b := join(t, testMux(), testMux(), trace(&sa), trace(&sb))
		r := rand.New(rand.NewPCG(4, 4))
		for range 50 {
			if err := anyCall(t.Context(), a, r); err != nil {
				t.Error(err)
			}
			if err := anyCall(t.Context(), b, r); err != nil {
				t.Error(err)
			}
		}
		if _, err := echo.Call(t.Context(), a, make([]byte, 2*startWindow)); err != nil {
			t.Error(err)
		}
		a.Shutdown(t.Context())
		<-b.Done()
		for _, way := range [][2][]wire.Frame{{sa.sent, sb.received}, {sb.sent, sa.received}} {
			if !reflect.DeepEqual(way[0], way[1]) {
				t.Error(cmp.Diff(way[0], way[1]))
			}
		}
		kinds := map[wire.Kind]bool{}
		for _, f := range append(sa.sent, sb.sent...) {
			kinds[f.Kind] = true
		}
		for k := wire.Hello; k <= wire.Bye; k++ {
			if !kinds[k] && k != wire.Cancel {
				t.Errorf("no %s frame was seen", k)
			}
		}
		if sa.sent[0].Kind != wire.Hello || sa.sent[len(sa.sent)-1].Kind != wire.Bye {
			t.Error("the first is no hello, or the last no bye")
		}
	})
}
