package session

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

// A partition that says nothing is noticed within 25 s and healed after its end; a dial here hangs
// for its whole 8 s, where TCP would have sent another SYN. A call
// that was under way ends as if nothing had been.
func TestSilentPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{server: NewServer(nil)}
		x := newTrial(t, 0)
		options := &rpc.Options{Logger: silent, CallTimeout: -1}
		accepted := make(chan *rpc.Peer, 1)
		n.accept = func(c wire.Conn) { accepted <- rpc.NewPeer(c, x.mux(), options) }
		states := make(chan State, 100)
		c, err := Dial(t.Context(), n.dial, &Options{OnState: func(s State) { states <- s }})
		if err != nil {
			t.Fatal(err)
		}
		a := rpc.NewPeer(c, nil, options)
		b := <-accepted
		a.Ready(t.Context())
		<-states // connected
		promise := once.Go(t.Context(), a, task{Number: 1, Wait: 40_000, Size: 10})
		synctest.Wait()
		start := time.Now()
		n.mu.Lock()
		n.hang = true // who dials hears nothing, too
		n.mu.Unlock()
		n.last().stall()
		n.last().other.stall()
		<-states
		if d := time.Since(start); d > 25*time.Second {
			t.Errorf("noticed after %v", d)
		}
		time.Sleep(10 * time.Second)
		n.mu.Lock()
		n.hang = false
		n.mu.Unlock()
		end := time.Now()
		for s := range states {
			if s.Phase == Resumed {
				break
			}
		}
		if d := time.Since(end); d > tryTime+longWait {
			t.Errorf("healed %v after the end", d)
		}
		if v, err := promise.Await(); err != nil || len(v) != 10 || x.ran[1] != 1 {
			t.Errorf("%d bytes, %v, executed %d times", len(v), err, x.ran[1])
		}
		a.Close()
		b.Close()
		time.Sleep(2 * closeTime)
		n.wait.Wait()
		n.server.Close()
	})
}
