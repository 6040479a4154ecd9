package rpc

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// A redialer is a server that can be lost and found again: each connection meets a new peer,
// as if the process had been restarted.
type redialer struct {
	t   *testing.T
	mux *Mux

	mu      sync.Mutex
	servers []*Peer
	conns   []wire.Conn   // the servers' ends
	gate    chan struct{} // what Redial waits for; nil is nothing
	err     error         // what it then fails with
}

// dial is Options.Redial, and gives the first connection too.
func (r *redialer) dial(ctx context.Context) (wire.Conn, error) {
	r.mu.Lock()
	gate := r.gate
	r.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	ca, cb := wire.Pipe()
	s := NewPeer(cb, r.mux, quiet(nil))
	r.servers, r.conns = append(r.servers, s), append(r.conns, cb)
	return ca, nil
}

// all gives the servers so far, also while another one is being dialled.
func (r *redialer) all() []*Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.servers)
}

func (r *redialer) server() *Peer {
	all := r.all()
	return all[len(all)-1]
}

// cut breaks the connection of now.
func (r *redialer) cut() {
	r.mu.Lock()
	c := r.conns[len(r.conns)-1]
	r.mu.Unlock()
	c.Close()
}

func (r *redialer) hold() (open func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	gate := make(chan struct{})
	r.gate = gate
	return func() { close(gate) }
}

func redialing(t *testing.T, mux *Mux, o *Options) (*Peer, *redialer) {
	t.Helper()
	r := &redialer{t: t, mux: mux}
	conn, err := r.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o = quiet(o)
	o.Redial = r.dial
	p := NewPeer(conn, mux, o)
	t.Cleanup(func() {
		leave(t, p)
		leave(t, r.all()...)
	})
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p, r
}

// What becomes of open calls when the connection is lost and another is found: those that may
// be executed twice go on, the others end as what they are.
func TestRedial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := testMux()
		tries := make(chan *Peer, 10)
		m.Func("once", func(ctx context.Context) error { tries <- PeerFrom(ctx); <-ctx.Done(); return ctx.Err() })
		m.Func("twice-pure", func(ctx context.Context, b []byte) (int, error) {
			tries <- PeerFrom(ctx)
			if len(tries) < 3 {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return len(b), nil
		}, Pure)
		p, r := redialing(t, m, nil)
		first := r.server()
		once := p.Send(t.Context(), "once")
		pure := p.Send(Repeatable(t.Context()), "twice-pure", make([]byte, 50_000)) // long, too
		stream := make(chan error)
		wasCut := make(chan struct{})
		go func() {
			r := Reader(t.Context(), p, zero, 1<<40)
			_, err := r.Read(make([]byte, 10))
			<-wasCut
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			stream <- err
		}()
		synctest.Wait()
		if len(tries) != 2 {
			t.Fatal(len(tries))
		}
		r.cut()
		synctest.Wait()
		close(wasCut)
		fails(t, once.Await(nil), Unavailable, Maybe, "the connection was lost")
		fails(t, <-stream, Unavailable, Maybe, "the connection was lost")
		var n int
		if err := pure.Await(&n); err != nil || n != 50_000 {
			t.Error(n, err)
		}
		if <-tries; r.server() == first {
			t.Error("the same server")
		}
		if s, err := hi.Call(t.Context(), p, "again"); err != nil || s != "hi again" {
			t.Error(s, err)
		}
		if s := p.Stats(); s.Redials != 1 || p.Err() != nil {
			t.Error(s.Redials, p.Err())
		}
		idle(t, p)
	})
}

// While there is no connection calls wait for one, until their time is over or they are
// cancelled; nobody can have executed them.
func TestCallWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, r := redialing(t, testMux(), &Options{CallTimeout: 5 * time.Second})
		open := r.hold()
		r.cut()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancelled := p.Send(ctx, "hi", "x")
		late := p.Send(t.Context(), "hi", "x")
		cancel()
		fails(t, cancelled.Await(nil), Cancelled, Maybe, "") // its frames wait in the line, and go out
		fails(t, late.Await(nil), DeadlineExceeded, Maybe, "")
		waits := hi.Go(t.Context(), p, "you")
		long := echo.Go(t.Context(), p, make([]byte, 300_000))
		items := make(chan error)
		go func() {
			n := 0
			for i, err := range count.Call(t.Context(), p, 1000) {
				if err != nil || i != n {
					items <- err
					return
				}
				n++
			}
			items <- nil
		}()
		synctest.Wait()
		open()
		if s, err := waits.Await(); err != nil || s != "hi you" {
			t.Error(s, err)
		}
		if b, err := long.Await(); err != nil || len(b) != 300_000 {
			t.Error(len(b), err)
		}
		if err := <-items; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if s := r.server().Stats(); s.Strikes != 0 {
			t.Errorf("%+v", s)
		}
		idle(t, p, r.server())
	})
}

// A server that shuts down finishes what it has taken; what comes later goes to the next.
func TestRedialWhenTheOtherSideLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := testMux()
		gate := make(chan struct{})
		m.Func("wait", func() int { <-gate; return 42 })
		p, r := redialing(t, m, nil)
		taken := p.Send(t.Context(), "wait")
		synctest.Wait()
		first := r.server()
		done := make(chan error)
		go func() { done <- first.Shutdown(t.Context()) }()
		crossing := hi.Go(t.Context(), p, "crossing") // the going away may be on its way
		synctest.Wait()
		later := hi.Go(t.Context(), p, "later")
		fails(t, firstError(count.Call(t.Context(), p, 3)), Unavailable, No, "shutting down")
		synctest.Wait()
		select {
		case <-later.Done():
			t.Error(later.Await())
		default:
		}
		close(gate)
		var n int
		if err := taken.Await(&n); err != nil || n != 42 {
			t.Error(n, err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, c := range []*PromiseOf[string]{crossing, later} {
			if _, err := c.Await(); err != nil {
				t.Error(err)
			}
		}
		if r.server() == first || p.Stats().Redials != 1 {
			t.Error("no other server was asked")
		}
	})
}

func firstError[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

// An orderly end, a broken protocol and a Close are final.
func TestNoRedial(t *testing.T) {
	for name, end := range map[string]func(*Peer, *redialer){
		"the other side closes": func(_ *Peer, r *redialer) { r.server().Close() },
		"nonsense": func(_ *Peer, r *redialer) {
			s := r.server()
			s.mu.Lock()
			s.line.control(wire.Frame{Kind: wire.Hello, Payload: []byte("{}")})
			s.kick()
			s.mu.Unlock()
		},
		"closed here": func(p *Peer, _ *redialer) { p.Close() },
		"closed here while down": func(p *Peer, r *redialer) {
			r.hold()
			r.cut()
			synctest.Wait()
			p.Close()
		},
		"Redial gives up": func(_ *Peer, r *redialer) {
			r.mu.Lock()
			r.err = errors.New("no such host")
			r.mu.Unlock()
			r.cut()
		},
		"shut down here while down": func(p *Peer, r *redialer) {
			r.hold()
			r.cut()
			synctest.Wait()
			p.Shutdown(context.Background())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, r := redialing(t, testMux(), nil)
				open := hang.Go(t.Context(), p, struct{}{})
				if name == "shut down here while down" {
					ctx, cancel := context.WithCancel(t.Context())
					open = hang.Go(ctx, p, struct{}{})
					time.AfterFunc(time.Second, cancel)
				}
				synctest.Wait()
				end(p, r)
				<-p.Done()
				if _, err := open.Await(); ExecutedOf(err) != Maybe {
					t.Error(err)
				}
				if p.Stats().Redials != 0 {
					t.Error("it redialled")
				}
				_, err := hi.Call(t.Context(), p, "x")
				fails(t, err, Unavailable, No, "")
			})
		})
	}
}

// A server that says hello and is gone, time and again, is not called as fast as it answers; once
// there is one that stays, and has answered, the next redial is made at once.
func TestRedialBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &redialer{t: t, mux: testMux()}
		const enough = 1000
		var mu sync.Mutex
		var dials []time.Time
		cutting := true
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(dials)
		}
		o := quiet(nil)
		o.Redial = func(ctx context.Context) (wire.Conn, error) {
			mu.Lock()
			dials = append(dials, time.Now())
			cut := cutting && len(dials) < enough
			mu.Unlock()
			c, err := r.dial(ctx)
			if s := r.server(); cut {
				go func() {
					_ = s.Ready(ctx)
					r.cut()
				}()
			}
			return c, err
		}
		conn, err := r.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p := NewPeer(conn, nil, o)
		t.Cleanup(func() { leave(t, append(r.all(), p)...) })
		if _, err := hi.Call(t.Context(), p, "you"); err != nil {
			t.Fatal(err)
		}
		r.cut()
		time.Sleep(time.Minute)
		if n := count(); n < 20 || n > 200 {
			t.Errorf("%d redials in a minute", n)
		}
		mu.Lock()
		cutting = false
		mu.Unlock()
		if _, err := hi.Call(t.Context(), p, "again"); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			before, n := time.Now(), count()
			r.cut()
			synctest.Wait()
			if _, err := hi.Call(t.Context(), p, "and again"); err != nil {
				t.Error(err)
			}
			if d := time.Since(before); d > 0 || count() != n+1 {
				t.Errorf("%d redials in %v after a connection that brought something", count()-n, d)
			}
		}
	})
}

// Cut after cut while calls run: each settles once, the repeatable ones all go well, ids are
// never used twice on one connection.
func TestManyCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := testMux()
		slow := Method[int, int]("slow")
		slow.Handle(m, func(ctx context.Context, n int) (int, error) {
			select {
			case <-time.After(time.Duration(n%7) * time.Millisecond):
			case <-ctx.Done():
			}
			return n, ctx.Err()
		}, Pure)
		p, r := redialing(t, m, nil)
		var wait sync.WaitGroup
		for caller := range 10 {
			wait.Go(func() {
				for i := range 100 {
					if n, err := slow.Call(Repeatable(t.Context()), p, caller*1000+i); err != nil || n != caller*1000+i {
						t.Error(n, err)
						return
					}
				}
			})
		}
		stop := make(chan struct{})
		go func() { wait.Wait(); close(stop) }()
		cuts := 0
		for {
			select {
			case <-stop:
				if cuts < 20 || p.Stats().Redials < 20 {
					t.Error(cuts, p.Stats().Redials)
				}
				for _, s := range r.all() {
					if s.Stats().Strikes != 0 {
						t.Errorf("%+v", s.Stats())
					}
				}
				idle(t, p)
				return
			case <-time.After(9 * time.Millisecond):
				r.cut()
				cuts++
			}
		}
	})
}
