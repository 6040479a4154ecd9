package session

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// Random schedules of cuts, delays, stalls and refused dials: what one side writes, the other
// reads once and in order, all of it, and a Close is the end for both.
func TestSchedules(t *testing.T) {
	rounds := 500
	if testing.Short() {
		rounds = 200
	}
	for seed := range uint64(rounds) {
		synctest.Test(t, func(t *testing.T) { schedule(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// schedule is one run.
func schedule(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	n := &network{random: rand.New(rand.NewPCG(seed, 2)), faults: r.IntN(8), stalls: 8}
	a, b := join(t, n, nil, nil)
	ends := [2]*conn{a, b}
	var sent [2]int
	for i := range sent {
		sent[i] = r.IntN(30)
	}
	var readers, writers sync.WaitGroup
	var errs [2]error
	begin := make(chan struct{})
	for i, c := range ends {
		own := rand.New(rand.NewPCG(seed, uint64(10+i)))
		writers.Go(func() {
			<-begin
			talk(t, seed, c, own, sent[i])
		})
		whole := make(chan struct{})
		count := 0
		readers.Go(func() {
			if sent[1-i] == 0 {
				close(whole)
			}
			errs[i] = receive(c, func(p []byte) {
				if count++; !is(p, count) {
					t.Errorf("seed %d: end %d: message %d is %d bytes, %.20x", seed, i, count, len(p), p)
				}
				if count == sent[1-i] {
					close(whole)
				}
			})
		})
		writers.Go(func() { <-whole })
	}
	synctest.Wait() // a session that was never opened cannot be resumed
	n.harmFirst()
	close(begin)
	for range r.IntN(3) { // somebody loses patience
		after, who := time.Duration(r.IntN(30))*time.Millisecond, r.IntN(2)
		writers.Go(func() {
			pass(after)
			ends[who].Renew(0, fmt.Errorf("asked for"))
		})
	}
	n.unstall(&writers)
	writers.Wait()
	pass(20 * time.Second) // until both have a connection, and the last acks are there
	for i, c := range ends {
		if c.isDown() {
			t.Errorf("seed %d: end %d has no connection", seed, i)
		}
	}
	idleMemory(t, n.server, a, b)
	closer := r.IntN(2)
	n.heal()
	ends[closer].Close()
	readers.Wait()
	if errs[closer] != wire.ErrClosed || errs[1-closer] != io.EOF {
		t.Errorf("seed %d: the ends were %v for who closed and %v for the other", seed, errs[closer], errs[1-closer])
	}
}

// unstall cuts connections that hang, as the layer above does after a while.
func (n *network) unstall(done *sync.WaitGroup) {
	stop := make(chan struct{})
	n.wait.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
			}
			n.mu.Lock()
			lines := n.lines
			n.mu.Unlock()
			for _, l := range lines {
				for _, c := range []*cable{l, l.other} {
					c.mu.Lock()
					stalled := c.stallAt > 0 && c.writes >= c.stallAt
					c.mu.Unlock()
					if stalled {
						c.cut()
					}
				}
			}
		}
	})
	go func() {
		done.Wait()
		pass(10 * time.Second)
		close(stop)
	}()
}

// heal takes away what was still to go wrong.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = 0
	for _, l := range n.lines {
		for _, c := range []*cable{l, l.other} {
			c.mu.Lock()
			c.cutAt, c.stallAt, c.delay = 0, 0, 0
			c.mu.Unlock()
		}
	}
}

// talk writes n messages, each telling its number, in either way.
func talk(t *testing.T, seed uint64, c *conn, r *rand.Rand, n int) {
	for k := 1; k <= n; k++ {
		size := r.IntN(200)
		if r.IntN(6) == 0 {
			size = r.IntN(70_000)
		}
		p := binary.BigEndian.AppendUint32(make([]byte, 0, size+5), uint32(k)) // begins like a control message
		for i := range size {
			p = append(p, byte(k+i))
		}
		if r.IntN(2) == 0 {
			p[0] = 1
		}
		var err error
		if r.IntN(3) == 0 {
			err = c.WriteOwned(p, func(p []byte) { clear(p) })
		} else {
			err = c.WriteMessage(p)
			clear(p)
		}
		if err != nil {
			t.Errorf("seed %d: message %d: %v", seed, k, err)
			return
		}
		if r.IntN(3) == 0 {
			pass(time.Duration(r.IntN(10)) * time.Millisecond)
		}
	}
}

// is tells whether p is message k of talk.
func is(p []byte, k int) bool {
	if len(p) < 4 || p[0] > 1 || int(p[2])<<8|int(p[3]) != k {
		return false
	}
	for i, b := range p[4:] {
		if b != byte(k+i) {
			return false
		}
	}
	return true
}
