package rpc

import (
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// Shutdown lets what is open finish, in both directions, and takes nothing new from either
// side.
func TestShutdown(t *testing.T) {
	for _, side := range []string{"caller's", "server's"} {
		t.Run(side, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				mux := testMux()
				mux.Func("wait", func(b []byte) []byte { <-gate; return b })
				const tick Source[struct{}, int] = "tick"
				tick.Handle(mux, func(context.Context, struct{}) iter.Seq2[int, error] {
					return func(yield func(int, error) bool) {
						for i := range 100 {
							if i == 50 {
								<-gate
							}
							yield(i, nil)
						}
					}
				})
				a, b := pair(t, mux)
				leaving := a
				if side == "server's" {
					leaving = b
				}
				var open sync.WaitGroup
				for _, p := range []*Peer{a, b} {
					for _, n := range []int{0, 100, 4 << 20} { // the last is answered in many frames
						open.Go(func() {
							var out []byte
							if err := p.Send(t.Context(), "wait", make([]byte, n)).Await(&out); err != nil || len(out) != n {
								t.Errorf("%d bytes: %d, %v", n, len(out), err)
							}
						})
					}
					open.Go(func() {
						n := 0
						for _, err := range tick.Call(t.Context(), p, struct{}{}) {
							if err != nil {
								t.Error(err)
							}
							n++
						}
						if n != 100 {
							t.Errorf("the stream gave %d of 100 items", n)
						}
					})
					open.Go(func() {
						w := Writer(t.Context(), p, eat, struct{}{})
						w.Write(make([]byte, 100))
						<-gate
						if _, err := io.CopyN(w, zeros{}, 1<<20); err != nil {
							t.Error(err)
						}
						if n, err := w.Result(); err != nil || n != 1<<20+100 {
							t.Error(n, err)
						}
					})
				}
				synctest.Wait()
				done := make(chan error, 2)
				for range 2 { // twice is as good as once
					go func() { done <- leaving.Shutdown(t.Context()) }()
				}
				synctest.Wait()
				for _, p := range []*Peer{a, b} {
					text := "other side is shutting down"
					if p == leaving {
						text = "at this end"
					}
					fails(t, p.Send(t.Context(), "hi", "x").Await(nil), Unavailable, No, text)
					for _, err := range count.Call(t.Context(), p, 1) {
						fails(t, err, Unavailable, No, text)
					}
				}
				select {
				case err := <-done:
					t.Fatal("Shutdown did not wait:", err)
				case <-a.Done():
					t.Fatal("the connection ended")
				default:
				}
				close(gate)
				open.Wait()
				for range 2 {
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				<-a.Done()
				<-b.Done()
				if a.Err() != nil || b.Err() != nil {
					t.Error("an orderly end gives errors:", a.Err(), b.Err())
				}
				if err := leaving.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The answer of the very last call, however it is sent, comes before the end.
func TestShutdownWritesTheAnswer(t *testing.T) {
	for _, n := range []int{10, bulkFrom, 1 << 20, 8 << 20} {
		synctest.Test(t, func(t *testing.T) {
			a, b := pair(t, testMux())
			promise := a.Send(t.Context(), "echo", make([]byte, n))
			if n%3 == 0 {
				synctest.Wait()
			}
			for b.Stats().In.Started == 0 {
				synctest.Wait()
			}
			if err := b.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			var out []byte
			if err := promise.Await(&out); err != nil || len(out) != n {
				t.Errorf("%d bytes: %d, %v", n, len(out), err)
			}
		})
	}
}

func TestShutdownOfBothAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, testMux())
		var promises []*Promise
		for range 100 {
			promises = append(promises, a.Send(t.Context(), "echo", []byte("x")), b.Send(t.Context(), "echo", []byte("x")))
		}
		var wait sync.WaitGroup
		for _, p := range []*Peer{a, b} {
			wait.Go(func() {
				if err := p.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		for _, p := range promises {
			if err := p.Await(nil); err != nil {
				fails(t, err, Unavailable, No, "shutting down")
			}
		}
	})
}

func TestShutdownOfNothing(t *testing.T) {
	for _, when := range []string{"before the hello", "idle"} {
		synctest.Test(t, func(t *testing.T) {
			ca, cb := wire.Pipe()
			a := NewPeer(ca, nil, nil)
			if when == "idle" {
				b := NewPeer(cb, nil, nil)
				if err := a.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				defer leave(t, b)
			}
			begin := time.Now()
			if err := a.Shutdown(t.Context()); err != nil || time.Since(begin) > 2*time.Second {
				t.Error(when, err, time.Since(begin))
			}
			leave(t, a)
			cb.Close()
		})
	}
}

// When the context of Shutdown ends, what is still open ends, too.
func TestShutdownRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, testMux())
		ours, theirs := b.Send(t.Context(), "hang"), a.Send(t.Context(), "hang")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		begin := time.Now()
		err := b.Shutdown(ctx)
		if d := time.Since(begin); d != 7*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(d, err)
		}
		fails(t, ours.Await(nil), Unavailable, Maybe, "closed at this end")
		fails(t, theirs.Await(nil), Unavailable, Maybe, "other side closed")
	})
}

// A call that meets the other side's going away halfway is proven not to have run.
func TestGoAwayCrossesRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, h := withPuppet(t, nil, nil)
		taken := p.Send(t.Context(), "taken")
		h.expect(wire.Request)
		crossing := p.Send(t.Context(), "crossing", make([]byte, 1<<20))
		synctest.Wait()
		h.send(wire.Frame{Kind: wire.GoAway, Payload: varint(1)})
		fails(t, crossing.Await(nil), Unavailable, No, "shutting down")
		synctest.Wait()
		if closed(taken.Done()) {
			t.Error("the call that was taken ended:", taken.Await(nil))
		}
		go func() { // what was on its way
			for {
				if _, err := h.conn.ReadMessage(); err != nil {
					return
				}
			}
		}()
		h.send(wire.Frame{Kind: wire.Error, ID: 2, Payload: []byte(`{"code":"unavailable"}`)}, wire.Frame{Kind: wire.Result, ID: 1})
		if err := taken.Await(nil); err != nil {
			t.Error(err)
		}
		if p.Stats().Late != 1 {
			t.Errorf("%+v", p.Stats())
		}
	})
}

// Close ends everything at once, whatever is going on.
func TestCloseDuringEverything(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			a, b := pair(t, testMux())
			var busy, closing sync.WaitGroup
			for i := range 12 {
				p := []*Peer{a, b}[i%2]
				own := rand.New(rand.NewPCG(seed, uint64(i)))
				busy.Go(func() {
					for {
						if err := anyCall(t.Context(), p, own); err != nil {
							if CodeOf(err) != Unavailable && !errors.Is(err, io.ErrClosedPipe) {
								t.Errorf("seed %d: %v", seed, err)
							}
							return
						}
					}
				})
			}
			for range r.IntN(3000) {
				a.Stats() // lets some calls pass
			}
			for _, p := range []*Peer{a, b, a, b}[r.IntN(3):] {
				closing.Go(func() {
					if err := p.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			closing.Wait()
			busy.Wait()
			<-a.Done()
			<-b.Done()
		})
	}
}

func TestCloseTellsBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, testMux())
		ours, theirs := a.Send(t.Context(), "hang"), b.Send(t.Context(), "hang")
		r := Reader(t.Context(), a, zero, gigabyte)
		synctest.Wait()
		begin := time.Now()
		a.Close()
		<-b.Done()
		if d := time.Since(begin); d != 0 {
			t.Errorf("it took %v", d)
		}
		fails(t, ours.Await(nil), Unavailable, Maybe, "closed at this end")
		fails(t, theirs.Await(nil), Unavailable, Maybe, "the other side closed")
		_, err := io.Copy(io.Discard, r)
		fails(t, err, Unavailable, Maybe, "closed at this end")
		if a.Err() != nil || b.Err() != nil {
			t.Error(a.Err(), b.Err())
		}
		fails(t, a.Send(t.Context(), "hi", "x").Await(nil), Unavailable, No, "closed")
		fails(t, b.Send(t.Context(), "hi", "x").Await(nil), Unavailable, No, "closed")
	})
}

// A handler may end its own connection.
func TestCloseWithinHandler(t *testing.T) {
	for _, how := range []string{"close", "shutdown"} {
		synctest.Test(t, func(t *testing.T) {
			mux := testMux()
			mux.Func("close", func(ctx context.Context) error {
				err := PeerFrom(ctx).Close()
				if ctx.Err() == nil {
					t.Error("the context goes on after the connection")
				}
				return err
			})
			mux.Func("shutdown", func(ctx context.Context) { // the handler itself is what is still open
				go PeerFrom(ctx).Shutdown(context.WithoutCancel(ctx))
			})
			a, b := pair(t, mux)
			err := a.Send(t.Context(), how).Await(nil)
			if how == "close" {
				fails(t, err, Unavailable, Maybe, "the other side closed")
			} else if err != nil {
				t.Error(err)
			}
			<-a.Done()
			<-b.Done()
		})
	}
}

// Nobody takes our last word: the connection is closed all the same.
func TestCloseWithoutReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, cb := wire.Pipe()
		p := NewPeer(ca, nil, nil)
		defer cb.Close()
		synctest.Wait()
		begin := time.Now()
		p.Close()
		if d := time.Since(begin); d > time.Second {
			t.Errorf("Close took %v", d)
		}
		leave(t, p)
	})
}

func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, cb := wire.Pipe()
		p := NewPeer(ca, nil, quiet(nil))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		fails(t, p.Ready(ctx), DeadlineExceeded, No, "")
		if p.Agent() != "" {
			t.Error(p.Agent())
		}
		q := NewPeer(cb, nil, &Options{Agent: "cat/1"})
		if err := errors.Join(p.Ready(t.Context()), q.Ready(t.Context())); err != nil {
			t.Fatal(err)
		}
		if p.Agent() != "cat/1" || q.Agent() != "chum-go" {
			t.Error(p.Agent(), q.Agent())
		}
		leave(t, p, q)

		ca, cb = wire.Pipe()
		p = NewPeer(ca, nil, quiet(nil))
		cb.Close()
		fails(t, p.Ready(t.Context()), Unavailable, Maybe, "lost")
		leave(t, p)

		ca, cb = wire.Pipe()
		p = NewPeer(ca, nil, quiet(nil))
		p.Close()
		fails(t, p.Ready(t.Context()), Unavailable, No, "closed at this end")
		cb.Close()
	})
}
