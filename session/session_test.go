package session

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// Both sides write; the connection is cut again and again; all arrives once and in order.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		var states []State
		a, b := join(t, n, &Options{OnState: func(s State) { states = append(states, s) }}, nil)
		atA, atB := collect(a), collect(b)
		for k := range 10 {
			write(t, a, 10*k+1, 10*k+10)
			write(t, b, 10*k+1, 10*k+10)
			if k%2 == 0 {
				synctest.Wait()
			}
			n.last().cut()
			if k%3 == 0 {
				synctest.Wait()
			}
		}
		time.Sleep(time.Second)
		atA.numbered(t, 100)
		atB.numbered(t, 100)
		a.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		if _, err := atB.all(); err != io.EOF {
			t.Errorf("the other side ended with %v, want EOF", err)
		}
		if _, err := atA.all(); err != wire.ErrClosed {
			t.Errorf("this side ended with %v", err)
		}
		if all, waiting := n.server.Sessions(); all+waiting != 0 {
			t.Errorf("%d sessions are left, %d wait", all, waiting)
		}
		count := map[Phase]int{}
		for k, s := range states {
			count[s.Phase]++
			if bad := (k == 0) != (s.Phase == Connected) || (k == len(states)-1) != (s.Phase == Over) ||
				s.Phase == Resumed && states[k-1].Phase != Waiting; bad {
				t.Errorf("state %d of %v", k, states)
			}
		}
		if count[Resumed] < 2 { // a cut may come before the last one was noticed, or hit a try to resume
			t.Errorf("resumed %d times", count[Resumed])
		}
		if s := states[1]; s.Attempt != 1 || s.Err == nil || time.Until(s.Next) > 0 {
			t.Errorf("the first try: %+v, want it at once", s)
		}
		idleMemory(t, n.server, a, b)
	})
}

// idleMemory checks that nothing is held when all is acknowledged or over.
func idleMemory(t *testing.T, s *Server, conns ...*conn) {
	t.Helper()
	for i, c := range conns {
		c.mu.Lock()
		if c.kept.bytes != 0 || !c.kept.empty() {
			t.Errorf("end %d: %d bytes are held", i, c.kept.bytes)
		}
		c.mu.Unlock()
	}
	if n := s.bytes.Load(); n != 0 {
		t.Errorf("the server accounts for %d bytes", n)
	}
}

// When there is no traffic to ride on, what came is acknowledged after a second, and then
// nothing is kept and nothing runs.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		a, b := join(t, n, nil, nil)
		atB := collect(b)
		collect(a)
		write(t, a, 1, 5)
		synctest.Wait()
		if a.backlog() != 5 {
			t.Errorf("%d messages are kept, want 5", a.backlog())
		}
		time.Sleep(ackTime + time.Millisecond)
		idleMemory(t, n.server, a, b)
		line := n.last()
		before := line.written() + line.other.written()
		time.Sleep(time.Hour)
		if after := line.written() + line.other.written(); after != before {
			t.Errorf("%d messages in an idle hour", after-before)
		}
		atB.numbered(t, 5)
	})
}

// Much in one direction is acknowledged on the way: by bytes, and by number.
func TestAcknowledgesOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		a, b := join(t, n, nil, nil)
		collect(a)
		go receive(b, func([]byte) {})
		start := time.Now()
		for range 100 {
			a.WriteMessage(make([]byte, 100_000))
			synctest.Wait()
			if a.memory() > ackBytes+300_000 {
				t.Fatalf("%d bytes are held", a.memory())
			}
		}
		for range 2000 {
			a.WriteMessage([]byte("x"))
			synctest.Wait()
			if k := a.backlog(); k > ackCount+3 {
				t.Fatalf("%d messages are kept", k)
			}
		}
		if time.Since(start) > 0 {
			t.Error("a timer was needed")
		}
	})
}

// A writer waits while the buffer is full, with a connection that is stuck and without one.
func TestBufferFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		a, b := join(t, n, &Options{Buffer: leastBuffer}, nil)
		collect(a)
		synctest.Wait()
		n.set(false)
		var wrote atomic.Int64
		go func() {
			for range 100 {
				if err := a.WriteMessage(make([]byte, 30_000)); err != nil {
					t.Error(err)
				}
				wrote.Add(1)
			}
		}()
		time.Sleep(time.Second)
		if w := wrote.Load(); w == 0 || w > 20 || a.memory() > leastBuffer {
			t.Errorf("%d messages of 30000 bytes were taken, %d bytes are held", w, a.memory())
		}
		atB := collect(b)
		n.set(true)
		time.Sleep(longWait + time.Second)
		if text, _ := atB.all(); wrote.Load() != 100 || len(text) != 100 {
			t.Errorf("%d written, %d came", wrote.Load(), len(text))
		}
	})
}

// Close never hangs: while the connection is down, while the other side takes nothing, while a
// writer waits for room.
func TestCloseWhileDown(t *testing.T) {
	for _, harm := range []string{"down", "stalled", "dialing"} {
		t.Run(harm, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := new(network)
				a, b := join(t, n, &Options{Buffer: 1}, nil)
				atA, atB := collect(a), collect(b)
				synctest.Wait()
				switch harm {
				case "down":
					n.set(false)
				case "stalled":
					n.last().stall()
				case "dialing":
					n.mu.Lock()
					n.hang = true
					n.mu.Unlock()
					n.last().cut()
				}
				done := make(chan error, 1)
				go func() {
					var err error
					for err == nil {
						err = a.WriteMessage(make([]byte, 200_000))
					}
					done <- err
				}()
				time.Sleep(time.Second)
				a.Close()
				a.Close()
				if err := <-done; !errors.Is(err, wire.ErrClosed) {
					t.Errorf("the writer got %v", err)
				}
				time.Sleep(closeTime + time.Millisecond)
				if _, err := atA.all(); err != wire.ErrClosed {
					t.Errorf("the reader got %v", err)
				}
				time.Sleep(61 * time.Second)
				if _, err := atB.all(); !errors.Is(err, ErrLost) {
					t.Errorf("the other side, which was told nothing: %v", err)
				}
				idleMemory(t, n.server, a, b)
			})
		})
	}
}

// Who is away for longer than the grace has lost the session, on both sides.
func TestGraceExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		a, b := join(t, n, nil, nil)
		atA, atB := collect(a), collect(b)
		start := time.Now()
		synctest.Wait()
		n.set(false)
		go write(t, a, 1, 3)
		time.Sleep(59 * time.Second)
		if _, err := atA.all(); err != nil {
			t.Errorf("ended after %v: %v", time.Since(start), err)
		}
		time.Sleep(2 * time.Second)
		for _, i := range []*inbox{atA, atB} {
			if _, err := i.all(); !errors.Is(err, ErrLost) || errors.Is(err, io.EOF) {
				t.Errorf("%v, want ErrLost", err)
			}
		}
		_, err := atA.all()
		if !strings.Contains(err.Error(), "no connection within 1m0s") || !strings.Contains(err.Error(), errDown.Error()) {
			t.Errorf("%v does not say why", err)
		}
		if err := a.WriteMessage([]byte("x")); !errors.Is(err, ErrLost) {
			t.Errorf("write: %v", err)
		}
		idleMemory(t, n.server, a, b)
	})
}

// Another process answers: it refuses, and the client learns at once.
func TestServerRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		a, b := join(t, n, nil, nil)
		atA := collect(a)
		synctest.Wait()
		n.server = NewServer(nil)
		n.last().cut()
		synctest.Wait()
		_, err := atA.all()
		if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "another process") {
			t.Errorf("%v", err)
		}
		b.Close()
	})
}

// The back-off grows, and never is longer than it may be; the first try is made at once.
func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		var tries []State
		a, _ := join(t, n, &Options{OnState: func(s State) {
			if s.Phase == Waiting {
				tries = append(tries, s)
			}
		}}, nil)
		collect(a)
		synctest.Wait()
		n.set(false)
		time.Sleep(50 * time.Second)
		n.set(true)
		start := time.Now()
		for a.isDown() {
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("resumed %v after the end of the partition", d)
		}
		if len(tries) < 20 || len(tries) > 200 {
			t.Errorf("%d tries in 50 s", len(tries))
		}
		var longest time.Duration
		for k, s := range tries {
			if s.Attempt != k+1 {
				t.Errorf("try %d is numbered %d", k+1, s.Attempt)
			}
			if k > 0 {
				longest = max(longest, s.Next.Sub(tries[k-1].Next))
			}
		}
		if longest > longWait || longest < longWait/4 {
			t.Errorf("the longest wait was %v", longest)
		}
		if !errors.Is(tries[5].Err, errDown) {
			t.Errorf("the reason: %v", tries[5].Err)
		}
	})
}

// A connection that is cut as soon as it stands, time and again, is a try that brought nothing; one
// that brought something is followed by another at once.
func TestCutAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		const enough = 1000
		var cutting atomic.Bool
		var waits []time.Duration
		a, b := join(t, n, &Options{OnState: func(s State) {
			switch {
			case s.Phase == Waiting:
				waits = append(waits, time.Until(s.Next))
			case s.Phase == Resumed && cutting.Load() && n.count() < enough:
				n.last().cut()
			}
		}}, nil)
		atA, atB := collect(a), collect(b)
		time.Sleep(time.Minute)
		cutting.Store(true)
		before := n.count()
		n.last().cut()
		time.Sleep(time.Minute)
		if dials := n.count() - before; dials < 20 || dials > 200 {
			t.Errorf("%d dials in a minute", dials)
		}
		cutting.Store(false)
		if time.Sleep(longWait); a.isDown() {
			t.Errorf("no connection after %v", longWait)
		}
		// Either direction counts; what arrived there, from when the next connection tells.
		for k := 1; k <= 8; k++ {
			from := b
			if k > 4 {
				from = a
			}
			write(t, from, (k-1)%4+1, (k-1)%4+1)
			synctest.Wait()
			n.last().cut()
			time.Sleep(longWait)
			synctest.Wait()
			if d := waits[len(waits)-1]; d > 0 && k != 5 {
				t.Errorf("a wait of %v after connection %d that brought something", d, k)
			}
		}
		atA.numbered(t, 4)
		atB.numbered(t, 4)
	})
}

func (c *conn) isDown() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link == nil
}

// backlog is how many messages are not acknowledged, memory what they hold.
func (c *conn) backlog() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept.next() - c.kept.first
}

func (c *conn) memory() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept.bytes
}
