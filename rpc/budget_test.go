package rpc

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/chumsync/chum/wire"
)

// What a peer makes another hold, beside what the others do.
func TestBudget(t *testing.T) {
	const some = 4 << 20
	for _, test := range []struct {
		name string
		fill func(r *raw) // with as much as will be taken
	}{
		{"long arguments that never end", func(r *raw) {
			for id := range uint64(10) {
				r.send(long(request(id+1, 0, "echo", uvarint(400_000))))
				for range 6 { // and the rest never
					r.send(mine(wire.Part, id+1, make([]byte, 60_000)))
				}
			}
		}},
		{"arguments of calls that run", func(r *raw) {
			for id := range uint64(200) {
				r.send(bytesRequest(id+1, 0, "hold", make([]byte, 60_000)))
			}
		}},
		{"items that nobody reads", func(r *raw) {
			for id := range uint64(200) {
				item := formed(mine(wire.Item, id+1, make([]byte, firstWindow-itemCost-1)), wire.Bytes)
				r.send(request(id+1, feeds, "deaf", ""), item, formed(mine(wire.Item, id+1, make([]byte, 20_000)), wire.Bytes))
			}
		}},
		{"long answers that are not acknowledged", func(r *raw) {
			for id := range uint64(200) {
				r.send(bytesRequest(id+1, 0, "echo", make([]byte, 60_000)))
				synctest.Wait()
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := NewBudget(some)
				m := limitMux()
				const hold Method[[]byte, string] = "hold"
				hold.Handle(m, func(ctx context.Context, _ []byte) (string, error) { <-ctx.Done(); return "", ctx.Err() })
				options := Options{Budget: b, KeepAlive: -1, CallTimeout: -1}
				var greedy []*raw
				for i := range 3 {
					r := greeted(t, m, options)
					test.fill(r)
					synctest.Wait()
					greedy = append(greedy, r)
					if want := int64(some) / 2 >> i; b.Used() == 0 || some-b.Used() < want-portion {
						t.Errorf("%d of %d bytes are drawn by %d peers: the next has no share", b.Used(), some, i+1)
					}
					if err := r.peer.Err(); err != nil {
						t.Errorf("cut: %v", err)
					}
					found := false
					for _, f := range r.got(wire.Error) {
						found = found || CodeOf(parseError(f.Payload)) == ResourceExhausted
					}
					if !found {
						t.Error("nothing was refused")
					}
				}
				// Somebody who asks for little is served, and who is there keeps what it has.
				r := greeted(t, m, options)
				r.send(request(1, 0, "hi", `["x"]`), bytesRequest(2, 0, "echo", make([]byte, 8<<10)))
				if n := len(r.got(wire.Result)); n != 2 {
					t.Errorf("%d results of 2 beside the greedy", n)
				}
				for _, g := range append(greedy, r) {
					if err := g.peer.Err(); err != nil {
						t.Errorf("cut: %v", err)
					}
					g.conn.Close()
					g.gone()
				}
				if n := b.Used(); n != 0 {
					t.Errorf("%d bytes are still drawn when all have gone", n)
				}
			})
		})
	}
}

// Whatever is called, all is given back, and while nothing is open nothing is held.
func TestBudgetComesBack(t *testing.T) {
	budget := NewBudget(1 << 30)
	o := Options{Budget: budget}
	a, b := join(t, testMux(), testMux(), &o, &o)
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 7))
			for k := range 40 {
				p := []*Peer{a, b}[k%2]
				if err := anyCall(t.Context(), p, r); err != nil {
					t.Error(err)
				}
				big := make([]byte, r.IntN(1<<20))
				if _, err := echo.Call(t.Context(), p, big); err != nil {
					t.Error(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				promise := p.Send(ctx, "echo", big)
				cancel()
				promise.Await(nil)
			}
		})
	}
	wait.Wait()
	a.Close()
	<-b.Done()
	if n := budget.Used(); n != 0 {
		t.Errorf("%d bytes are still drawn", n)
	}
	for _, p := range []*Peer{a, b} {
		p.mu.Lock()
		if p.account.used < 0 || p.assembling != 0 || p.answering != 0 {
			t.Errorf("%+v, assembling %d, answering %d", p.account, p.assembling, p.answering)
		}
		p.mu.Unlock()
	}
}

// The figures of an account, without a peer.
func TestAccount(t *testing.T) {
	b := NewBudget(8 << 20)
	x, y := NewAccount(b), NewAccount(b)
	if !x.draw(freeBytes) || b.Used() != 0 {
		t.Errorf("small things draw %d", b.Used())
	}
	if !x.draw(1) || b.Used() != portion {
		t.Errorf("drawn: %d", b.Used())
	}
	n := 0
	for x.draw(100_000) {
		n++
	}
	if used := b.Used(); used > 4<<20 || used < 4<<20-100_000 {
		t.Errorf("one alone may have %d of %d", used, 8<<20)
	}
	if !y.draw(1<<20) || y.draw(2<<20) {
		t.Error("the second has half of what is left, and no more")
	}
	for range n {
		x.give(100_000)
		if x.drawn > max(x.used-freeBytes, 0)+2*portion {
			t.Fatalf("%+v keeps too much", x)
		}
	}
	x.give(1 + freeBytes)
	y.Close()
	y.give(1 << 20)
	if b.Used() != 0 || x.used != 0 || y.used != 0 {
		t.Errorf("%d left; %+v %+v", b.Used(), x, y)
	}
	z := NewAccount(b)
	if !z.Hold(2<<20) || z.Hold(5<<20) || z.used != 2<<20 || !z.Hold(1<<20) || !z.Hold(0) || b.Used() != 0 {
		t.Errorf("%d left; %+v", b.Used(), z)
	}
}

// Long answers that wait add up to Options.MaxAssembly and no more; what is refused was run.
func TestUntakenLongAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMux(Public)
		m.Func("mega", func() []byte { return make([]byte, 1<<20) })
		r := greeted(t, m, Options{MaxAssembly: 8 << 20, KeepAlive: -1})
		for id := range uint64(20) {
			r.send(request(id+1, 0, "mega", ""))
			synctest.Wait()
		}
		refused := r.got(wire.Error)
		if len(refused) != 12 {
			t.Errorf("%d of 20 were refused, want 12", len(refused))
		}
		for _, f := range refused {
			if e := parseError(f.Payload); e.Code != ResourceExhausted || e.Executed != Yes {
				t.Errorf("%s", f.Payload)
			}
		}
		for id := range uint64(8) {
			r.send(mine(wire.Cancel, id+1, ""))
		}
		synctest.Wait()
		r.atRest()
	})
}
