package rpc

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// A caller writes one message and goes: what was queued meanwhile goes out all the same, though nobody else comes to write it.
func TestLineIsHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, nil, Options{CallTimeout: -1, KeepAlive: -1})
		if _, err := r.conn.ReadMessage(); err != nil { // its hello
			t.Fatal(err)
		}
		r.send(goodHello)
		if _, err := r.conn.ReadMessage(); err != nil { // its first ping
			t.Fatal(err)
		}
		synctest.Wait()
		var calls sync.WaitGroup
		for _, name := range []string{"a", "b"} {
			calls.Go(func() { _, _ = hi.Call(t.Context(), r.peer, name) })
			synctest.Wait() // the first stands in its write, since nobody reads
		}
		began := time.Now()
		for want := uint64(1); want <= 2; {
			msg, err := r.conn.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			for len(msg) > 0 {
				f, rest, err := wire.Next(msg)
				if err != nil {
					t.Fatal(err)
				}
				if f.Kind == wire.Request && f.ID == want {
					want++
				}
				msg = rest
			}
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("the second request lay there for %v, until something else woke the line", waited)
		}
		r.conn.Close()
		calls.Wait()
	})
}

// That a call was never sent is a matter of the call, not of the connection it waits for.
func TestExecutedAcrossAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := testMux()
		m.Func("stuck", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, Pure)
		ours, its := wire.Pipe()
		server := NewPeer(its, m, nil)
		p := NewPeer(ours, nil, &Options{Redial: func(context.Context) (wire.Conn, error) { return nil, errors.New("there is no way") }})
		carried := p.Send(Repeatable(t.Context()), "stuck")
		synctest.Wait()
		its.Close()
		fails(t, carried.Await(nil), Unavailable, Maybe, "there is no way")
		p.Close()
		server.Close()
	})
}
