package rpc

import (
	"context"
	"errors"
	"io"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// The caller's context ends while the call is in some state: the handler's context ends too,
// nothing is kept on either side, and the next call has another id.
func TestCancel(t *testing.T) {
	const (
		hangBytes  Method[[]byte, struct{}]         = "hangBytes"
		hangSource Source[struct{}, int]            = "hangSource"
		endless    Source[struct{}, []byte]         = "endless"
		hangSink   Sink[struct{}, []byte, int]      = "hangSink"
		eatSink    Sink[struct{}, []byte, int]      = "eatSink"
		both       Duplex[struct{}, []byte, []byte] = "both"
		callBack   Method[struct{}, struct{}]       = "callBack"
	)
	feed := func(yield func([]byte, error) bool) {
		for yield(make([]byte, 1000), nil) {
		}
	}
	dry := func(ctx context.Context) iter.Seq2[[]byte, error] {
		return func(func([]byte, error) bool) { <-ctx.Done() }
	}
	last := func(seq iter.Seq2[[]byte, error]) (err error) {
		for _, err = range seq {
		}
		return err
	}
	tests := []struct {
		name string
		ran  Executed
		runs bool // a handler runs, and its context must end
		call func(ctx context.Context, p *Peer) error
	}{
		{"call", Maybe, true, func(ctx context.Context, p *Peer) error {
			_, err := hang.Call(ctx, p, struct{}{})
			return err
		}},
		{"Send", Maybe, true, func(ctx context.Context, p *Peer) error { return p.Send(ctx, "hang").Await(nil) }},
		{"Go", Maybe, true, func(ctx context.Context, p *Peer) error {
			_, err := hang.Go(ctx, p, struct{}{}).Await()
			return err
		}},
		{"long arguments", Maybe, true, func(ctx context.Context, p *Peer) error {
			_, err := hangBytes.Call(ctx, p, make([]byte, 4<<20))
			return err
		}},
		{"call back", Maybe, true, func(ctx context.Context, p *Peer) error {
			_, err := callBack.Call(ctx, p, struct{}{})
			return err
		}},
		{"source that is silent", Maybe, true, func(ctx context.Context, p *Peer) (err error) {
			for _, err = range hangSource.Call(ctx, p, struct{}{}) {
			}
			return err
		}},
		{"source whose caller does not read", Maybe, true, func(ctx context.Context, p *Peer) (err error) {
			for _, err = range endless.Call(ctx, p, struct{}{}) {
				<-ctx.Done()
			}
			return err
		}},
		{"source of bytes", Maybe, true, func(ctx context.Context, p *Peer) error {
			r := Reader(ctx, p, endless, struct{}{})
			defer r.Close()
			if _, err := io.CopyN(io.Discard, r, 1<<20); err != nil {
				return err
			}
			<-ctx.Done()
			_, err := io.Copy(io.Discard, r)
			return err
		}},
		{"sink that does not read", Maybe, true, func(ctx context.Context, p *Peer) error {
			_, err := hangSink.Call(ctx, p, struct{}{}, feed)
			return err
		}},
		{"sink that has nothing to read", Maybe, true, func(ctx context.Context, p *Peer) error {
			_, err := eatSink.Call(ctx, p, struct{}{}, dry(ctx))
			return err
		}},
		{"sink of bytes", Maybe, true, func(ctx context.Context, p *Peer) error {
			w := Writer(ctx, p, hangSink, struct{}{})
			_, err := io.Copy(w, zeros{})
			if _, result := w.Result(); CodeOf(result) != CodeOf(err) {
				t.Errorf("Write says %v, Result %v", err, result)
			}
			return err
		}},
		{"duplex", Maybe, true, func(ctx context.Context, p *Peer) error {
			return last(both.Call(ctx, p, struct{}{}, func(yield func([]byte, error) bool) {
				for range 1000 {
					yield(make([]byte, 1000), nil)
				}
				<-ctx.Done()
			}))
		}},
		{"duplex without items", Maybe, true, func(ctx context.Context, p *Peer) error { return last(both.Call(ctx, p, struct{}{}, dry(ctx))) }},
		{"duplex whose caller does not read", Maybe, true, func(ctx context.Context, p *Peer) (err error) {
			for _, err = range both.Call(ctx, p, struct{}{}, feed) {
				<-ctx.Done()
			}
			return err
		}},
		{"a call that has been answered", "", false, func(ctx context.Context, p *Peer) error {
			promise := p.Send(ctx, "echo", make([]byte, 1<<20))
			<-promise.Done()
			<-ctx.Done()
			return promise.Await(nil)
		}},
	}
	for _, how := range []string{"cancelled", "deadline"} {
		for _, tt := range tests {
			t.Run(how+" "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ended := make(chan error, 4) // what handlers saw
					wait := func(ctx context.Context) error {
						<-ctx.Done()
						ended <- ctx.Err()
						return ctx.Err()
					}
					mux, back := NewMux(Public), NewMux(Public)
					for _, m := range []*Mux{mux, back} {
						hangBytes.Handle(m, func(ctx context.Context, _ []byte) (struct{}, error) { return struct{}{}, wait(ctx) })
					}
					echo.Handle(mux, func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
					hang.Handle(mux, func(ctx context.Context, _ struct{}) (struct{}, error) { return struct{}{}, wait(ctx) })
					callBack.Handle(mux, func(ctx context.Context, _ struct{}) (struct{}, error) {
						return hangBytes.Call(ctx, PeerFrom(ctx), nil)
					})
					hangSource.Handle(mux, func(ctx context.Context, _ struct{}) iter.Seq2[int, error] {
						return func(yield func(int, error) bool) { yield(0, wait(ctx)) }
					})
					endless.Handle(mux, func(ctx context.Context, _ struct{}) iter.Seq2[[]byte, error] {
						return func(yield func([]byte, error) bool) {
							feed(yield)
							wait(ctx)
						}
					})
					hangSink.Handle(mux, func(ctx context.Context, _ struct{}, _ iter.Seq2[[]byte, error]) (int, error) {
						return 0, wait(ctx)
					})
					eatSink.Handle(mux, func(ctx context.Context, _ struct{}, in iter.Seq2[[]byte, error]) (int, error) {
						err := last(in)
						if CodeOf(err) != Cancelled && CodeOf(err) != DeadlineExceeded {
							t.Errorf("the handler's stream ended with %v", err)
						}
						return 0, wait(ctx)
					})
					both.Handle(mux, func(ctx context.Context, _ struct{}, in iter.Seq2[[]byte, error]) iter.Seq2[[]byte, error] {
						return func(yield func([]byte, error) bool) {
							for v, err := range in {
								if !yield(v, err) {
									break
								}
							}
							wait(ctx)
						}
					})
					a, b := join(t, back, mux, nil, nil)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					result := make(chan error, 1)
					start := time.Now()
					go func() { result <- tt.call(ctx, a) }()
					synctest.Wait()
					code := DeadlineExceeded
					if how == "cancelled" {
						code = Cancelled
						cancel()
					}
					err := <-result
					if took := time.Since(start); how == "cancelled" && took != 0 {
						t.Errorf("the caller got away after %v", took)
					}
					if tt.ran == "" {
						if err != nil {
							t.Error(err)
						}
					} else {
						ran := tt.ran
						if how == "deadline" && ExecutedOf(err) == Yes {
							ran = Yes // the handler's clock went off first, and its answer got through
						}
						fails(t, err, code, ran, "")
						want := context.Canceled
						if how == "deadline" {
							want = context.DeadlineExceeded
						}
						if !errors.Is(err, want) {
							t.Errorf("%v does not match %v", err, want)
						}
					}
					if tt.runs {
						if err := <-ended; err == nil {
							t.Error("the handler's context has no error")
						}
					}
					synctest.Wait()
					idle(t, a, b)
					first := a.lastCall
					if _, err := echo.Call(t.Context(), a, []byte("x")); err != nil {
						t.Error(err)
					}
					if a.lastCall != first+1 {
						t.Errorf("the next call has id %d after %d", a.lastCall, first)
					}
				})
			})
		}
	}
}

// A request that waits in the line is followed by its cancel; whether it runs is not known.
// A request whose long arguments have not all left cannot run.
func TestCancelWhileQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, h := withPuppet(t, nil, nil)
		ctx, cancel := context.WithCancel(t.Context())
		stuck := p.Send(t.Context(), "stuck")
		synctest.Wait() // its message is being written, nobody reads it
		short := p.Send(ctx, "short")
		long := p.Send(ctx, "long", make([]byte, 1<<20))
		stream := Writer(ctx, p, Sink[[]byte, []byte, int]("stream"), make([]byte, 1<<20))
		cancel()
		synctest.Wait()
		fails(t, short.Await(nil), Cancelled, Maybe, "")
		fails(t, long.Await(nil), Cancelled, No, "")
		_, err := stream.Result()
		fails(t, err, Cancelled, No, "")
		h.expect(wire.Request)
		open := map[uint64]bool{}
		for len(open) < 3 || open[2] || open[3] || open[4] {
			switch f := h.next(); f.Kind {
			case wire.Request:
				if open[f.ID] {
					t.Errorf("request %d comes twice", f.ID)
				}
				open[f.ID] = true
			case wire.Cancel:
				if !open[f.ID] {
					t.Errorf("a cancel for %d, which is not open", f.ID)
				}
				open[f.ID] = false
			default:
				t.Errorf("a %s frame came", f.Kind)
			}
		}
		h.send(wire.Frame{Kind: wire.Result, ID: 1})
		if err := stuck.Await(nil); err != nil {
			t.Error(err)
		}
		idle(t, p)
	})
}

// A cancel while long arguments are under way: the rest is not sent.
func TestCancelAmidArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, h := withPuppet(t, nil, nil)
		ctx, cancel := context.WithCancel(t.Context())
		long := p.Send(ctx, "long", make([]byte, 8<<20))
		h.expect(wire.Request)
		h.expect(wire.Part)
		cancel()
		synctest.Wait()
		fails(t, long.Await(nil), Cancelled, No, "")
		parts := 0
		for f := h.next(); f.Kind != wire.Cancel; f = h.next() {
			if f.Kind == wire.Part {
				parts++
			}
		}
		if parts > 3 {
			t.Errorf("%d more parts came after the cancel", parts)
		}
		idle(t, p)
	})
}

// A cancel while a long result is under way: the rest is not sent.
func TestCancelAmidResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mux := NewMux(Public)
		mux.Func("long", func() []byte { return make([]byte, 8<<20) })
		p, h := withPuppet(t, mux, nil)
		h.send(ask(1, 0, 0, "long", ""))
		h.expect(wire.Result)
		h.send(wire.Frame{Kind: wire.Cancel, Own: true, ID: 1}, wire.Frame{Kind: wire.Ping, Payload: []byte("p")})
		synctest.Wait()
		parts := 0
		for f := h.next(); f.Kind != wire.Pong; f = h.next() {
			parts++
		}
		if parts > 4 {
			t.Errorf("%d more parts came after the cancel", parts)
		}
		synctest.Wait()
		idle(t, p)
	})
}

// Leaving a loop early, in whatever way, cancels the call.
func TestLeavingTheLoop(t *testing.T) {
	for _, how := range []string{"break", "panic"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const endless Source[struct{}, int] = "endless"
				ended := make(chan error, 1)
				mux := NewMux(Public)
				endless.Handle(mux, func(ctx context.Context, _ struct{}) iter.Seq2[int, error] {
					return func(yield func(int, error) bool) {
						for i := 0; yield(i, nil); i++ {
						}
						<-ctx.Done()
						ended <- ctx.Err()
					}
				})
				a, b := pair(t, mux)
				func() {
					defer func() { _ = recover() }()
					for i, err := range endless.Call(t.Context(), a, struct{}{}) {
						if err != nil {
							t.Error(err)
						}
						if i == 10 {
							if how == "panic" {
								panic("out")
							}
							break
						}
					}
				}()
				if err := <-ended; !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				synctest.Wait()
				idle(t, a, b)
			})
		})
	}
}

// A stream's own error cancels the call, and is what the caller gets; a panic in it does not
// leave the call open either.
func TestFeedFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, testMux())
		broken := errors.New("disk on fire")
		feed := func(yield func(int, error) bool) {
			for i := range 10 {
				yield(i, nil)
			}
			yield(0, broken)
		}
		_, err := sum.Call(t.Context(), a, struct{}{}, feed)
		fails(t, err, Cancelled, Maybe, "disk on fire")
		if !errors.Is(err, broken) {
			t.Errorf("%v does not match the stream's error", err)
		}
		for _, err = range twice.Call(t.Context(), a, struct{}{}, feed) {
		}
		fails(t, err, Cancelled, Maybe, "disk on fire")
		if !errors.Is(err, broken) {
			t.Errorf("%v does not match the stream's error", err)
		}
		func() {
			defer func() { _ = recover() }()
			sum.Call(t.Context(), a, struct{}{}, func(yield func(int, error) bool) {
				yield(1, nil)
				panic("out")
			})
		}()
		synctest.Wait()
		idle(t, a, b)
	})
}

// A handler may start to ask for its context only after the call was cancelled.
func TestHandlerAsksLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, got := make(chan struct{}), make(chan error, 1)
		mux := NewMux(Public)
		mux.Func("late", func(ctx context.Context) {
			<-gate
			if PeerFrom(ctx) == nil {
				t.Error("no peer")
			}
			<-ctx.Done()
			got <- ctx.Err()
		})
		a, _ := pair(t, mux)
		ctx, cancel := context.WithCancel(t.Context())
		p := a.Send(ctx, "late")
		synctest.Wait()
		cancel()
		fails(t, p.Await(nil), Cancelled, Maybe, "")
		synctest.Wait()
		close(gate)
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// All that package context can do with a handler's context.
func TestHandlerContext(t *testing.T) {
	type key struct{}
	use := func(t *testing.T, f func(ctx context.Context)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			mux := NewMux(Public)
			mux.Func("use", f)
			a, b := pair(t, mux)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			p := a.Send(ctx, "use")
			time.Sleep(5 * time.Second)
			if !closed(p.Done()) {
				cancel()
			}
			p.Await(nil)
			synctest.Wait()
			idle(t, a, b)
		})
	}
	t.Run("Deadline", func(t *testing.T) {
		use(t, func(ctx context.Context) {
			if d, ok := ctx.Deadline(); !ok || time.Until(d) != 10*time.Second {
				t.Error(time.Until(d), ok)
			}
			if err := ctx.Err(); err != nil {
				t.Error(err)
			}
			if ctx.Value(key{}) != nil || PeerFrom(ctx) == nil || PeerFrom(context.WithValue(ctx, key{}, 1)) != PeerFrom(ctx) {
				t.Error("wrong values")
			}
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		use(t, func(ctx context.Context) {
			begin := time.Now()
			<-ctx.Done()
			if d := time.Since(begin); d != 5*time.Second || !errors.Is(ctx.Err(), context.Canceled) || !errors.Is(context.Cause(ctx), context.Canceled) {
				t.Error(d, ctx.Err(), context.Cause(ctx))
			}
		})
	})
	t.Run("WithTimeout", func(t *testing.T) {
		use(t, func(ctx context.Context) {
			sooner, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			begin := time.Now()
			<-sooner.Done()
			if d := time.Since(begin); d != time.Second || !errors.Is(sooner.Err(), context.DeadlineExceeded) || ctx.Err() != nil {
				t.Error(d, sooner.Err(), ctx.Err())
			}
			later, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			if d, _ := later.Deadline(); time.Until(d) != 9*time.Second {
				t.Error("the derived context's deadline is later than its parent's:", time.Until(d))
			}
			<-later.Done()
			if d := time.Since(begin); d != 5*time.Second || !errors.Is(later.Err(), context.Canceled) {
				t.Error(d, later.Err())
			}
		})
	})
	t.Run("WithCancel", func(t *testing.T) {
		use(t, func(ctx context.Context) {
			derived, cancel := context.WithCancel(ctx)
			cancel()
			if derived.Err() == nil || ctx.Err() != nil {
				t.Error(derived.Err(), ctx.Err())
			}
			derived, cancel = context.WithCancel(ctx)
			defer cancel()
			<-derived.Done()
			if !errors.Is(derived.Err(), context.Canceled) || ctx.Err() == nil {
				t.Error(derived.Err(), ctx.Err())
			}
			again, cancel := context.WithCancel(ctx) // of one that has ended
			defer cancel()
			<-again.Done()
		})
	})
	t.Run("AfterFunc", func(t *testing.T) {
		use(t, func(ctx context.Context) {
			ran := make(chan struct{})
			context.AfterFunc(ctx, func() { close(ran) })
			stop := context.AfterFunc(ctx, func() { t.Error("a stopped function ran") })
			if !stop() || stop() {
				t.Error("stop says something else")
			}
			<-ran
			if ctx.Err() == nil {
				t.Error("it ran before the end")
			}
			again := make(chan struct{}) // of one that has ended: at once
			context.AfterFunc(ctx, func() { close(again) })
			<-again
		})
	})
	t.Run("after the handler", func(t *testing.T) {
		var kept context.Context
		use(t, func(ctx context.Context) { kept = ctx })
		if kept.Err() == nil {
			t.Error("the context of a handler that returned goes on")
		}
	})
}

// The handler's own clock ends its context, even if no cancel comes.
func TestHandlerDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 2)
		mux := NewMux(Public)
		mux.Func("wait", func(ctx context.Context) {
			<-ctx.Done()
			ended <- ctx.Err()
		})
		mux.Func("ask", func(ctx context.Context) {
			time.Sleep(time.Second)
			ended <- ctx.Err()
		})
		p, h := withPuppet(t, mux, nil)
		begin := time.Now()
		h.send(ask(1, 0, time.Second, "wait", ""), ask(2, 0, time.Second, "ask", ""))
		for range 2 {
			if err := <-ended; !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
				t.Error(err, time.Since(begin))
			}
		}
		h.expect(wire.Result)
		h.expect(wire.Result)
		idle(t, p)
	})
}

// A calls B calls A calls B: each has what is left of the first one's time.
func TestDeadlineTravels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hop Method[int, []time.Duration] = "hop"
		mux := NewMux(Public)
		hop.Handle(mux, func(ctx context.Context, n int) ([]time.Duration, error) {
			d, ok := ctx.Deadline()
			if !ok {
				return nil, Errorf(Internal, "no deadline at hop %d", n)
			}
			left := time.Until(d)
			time.Sleep(time.Second)
			if n == 0 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			if n == 1 {
				return []time.Duration{left}, nil
			}
			rest, err := hop.Call(ctx, PeerFrom(ctx), n-1)
			return append([]time.Duration{left}, rest...), err
		})
		a, b := pair(t, mux)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		got, err := hop.Call(ctx, a, 5)
		if err != nil || len(got) != 5 {
			t.Fatal(got, err)
		}
		for i, d := range got {
			if want := time.Duration(10-i) * time.Second; d != want {
				t.Errorf("hop %d had %v left, want %v", i, d, want)
			}
		}
		// And when it is over, it is over everywhere.
		begin := time.Now()
		_, err = hop.Call(t.Context(), a, -1) // the default of 30 s, never ending
		if d := time.Since(begin); CodeOf(err) != DeadlineExceeded || d > 31*time.Second {
			t.Error(err, d)
		}
		synctest.Wait()
		idle(t, a, b)
	})
}

// Nothing in a chain runs on when its head is cancelled.
func TestCancelTravels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hop Method[int, int] = "hop"
		ended := make(chan int, 10)
		mux := NewMux(Public)
		hop.Handle(mux, func(ctx context.Context, n int) (int, error) {
			defer func() { ended <- n }()
			if n == 0 {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return hop.Call(ctx, PeerFrom(ctx), n-1)
		})
		a, b := pair(t, mux)
		ctx, cancel := context.WithCancel(t.Context())
		p := hop.Go(ctx, a, 6)
		synctest.Wait()
		if s := a.Stats(); s.In.Open != 3 || s.Out.Open != 4 {
			t.Errorf("%+v", s)
		}
		cancel()
		if _, err := p.Await(); CodeOf(err) != Cancelled {
			t.Error(err)
		}
		for range 7 {
			<-ended
		}
		idle(t, a, b)
	})
}
