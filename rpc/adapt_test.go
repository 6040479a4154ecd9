package rpc

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What the connection's window makes of a link, in a bubble's time: a wait is exact there.

// A lab runs bulk over a link, and small calls beside it.
type lab struct {
	t    *testing.T
	a, b *Peer
	link linkEnd // a's
	ctx  context.Context
	wait sync.WaitGroup
	stop func()
}

func newLab(t *testing.T, rate float64, roundTrip time.Duration) *lab {
	l := &lab{t: t}
	l.a, l.b, l.link = linked(t, rate, roundTrip)
	l.ctx, l.stop = context.WithCancel(t.Context())
	if err := l.a.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// end stops the bulk.
func (l *lab) end() {
	l.stop()
	l.wait.Wait()
	l.link.in.wait(5 * time.Second) // what is on its way arrives
	idle(l.t, l.a, l.b)
}

// down starts streams to a, up streams from it, without end.
func (l *lab) down(n int) {
	for range n {
		l.wait.Go(func() { _, _ = io.Copy(io.Discard, Reader(l.ctx, l.a, zero, 1<<50)) })
	}
}

func (l *lab) up(n int) {
	for range n {
		l.wait.Go(func() {
			w := Writer(l.ctx, l.a, eat, struct{}{})
			_, _ = io.Copy(w, zeros{})
			_, _ = w.Result()
		})
	}
}

// seen is what was measured for some time.
type seen struct {
	down, up float64 // bytes a second that passed the link
	p50, p99 time.Duration
}

// watch makes a call every few milliseconds for some time.
func (l *lab) watch(during time.Duration) (s seen) {
	l.t.Helper()
	count := func() (down, up float64) { return l.link.in.passed(), l.link.out.passed() }
	begin := time.Now()
	down, up := count()
	var took []time.Duration
	for time.Since(begin) < during {
		start := time.Now()
		if _, err := hi.Call(l.ctx, l.a, "x"); err != nil {
			l.t.Fatal(err)
		}
		took = append(took, time.Since(start))
		l.link.in.wait(7 * time.Millisecond)
	}
	s.down, s.up = count()
	s.down, s.up = (s.down-down)/time.Since(begin).Seconds(), (s.up-up)/time.Since(begin).Seconds()
	slices.Sort(took)
	s.p50, s.p99 = took[len(took)/2], took[len(took)*99/100]
	return s
}

// connWindow tells how many bulk bytes p may have on their way.
func connWindow(p *Peer) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.line.window.size
}

// At any rate and round trip bulk fills the link, and small calls hardly wait for it.
func TestWindowFitsTheLink(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		rate      float64 // bytes a second
		roundTrip time.Duration
		wait      time.Duration // beyond the round trip
	}{
		{250e3, 20 * ms, 130 * ms}, // 2 Mbit/s: 30 KB are 120 ms
		{2.5e6, 20 * ms, 20 * ms},
		{25e6, 10 * ms, 5 * ms},
		{3.4e6, 80 * ms, 60 * ms},
		{25e6, 80 * ms, 60 * ms},
		{60e6, 30 * ms, 20 * ms},
	} {
		for streams, way := range map[int]string{1: "down", 8: "up"} {
			name := fmt.Sprintf("%.2f MB a second, %v, %d %s", test.rate/1e6, test.roundTrip, streams, way)
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, test.rate, test.roundTrip)
					defer l.end()
					start, sender := l.down, l.b
					if way == "up" {
						start, sender = l.up, l.a
					}
					start(streams)
					time.Sleep(1500 * time.Millisecond)
					s := l.watch(2 * time.Second)
					if got := max(s.down, s.up) / test.rate; got < 0.97 {
						t.Errorf("%.3f of the link was used", got)
					}
					if s.p99 > test.roundTrip+test.wait {
						t.Errorf("a call's p99 is %v, p50 %v", s.p99, s.p50)
					}
					path := test.rate * test.roundTrip.Seconds()
					if n := float64(connWindow(sender)); n < path*3/4 || n > 1.5*path+32<<10 {
						t.Errorf("the window is %.0f bytes, the path holds %.0f", n, path)
					}
				})
			})
		}
	}
}

// When the link becomes slower, faster, longer, or stands still for a while, the window follows
// within seconds.
func TestWindowFollowsTheLink(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name      string
		rate      float64
		roundTrip time.Duration
		change    func(*lab)
		within    time.Duration
		rate2     float64
		trip2     time.Duration
		wait      time.Duration
	}{
		{"slower", 2.5e6, 20 * ms, func(l *lab) { l.link.set(250e3, 10*ms) }, 4 * time.Second, 250e3, 20 * ms, 130 * ms},
		{"faster", 250e3, 20 * ms, func(l *lab) { l.link.set(25e6, 10*ms) }, 2 * time.Second, 25e6, 20 * ms, 15 * ms},
		{"longer", 2.5e6, 20 * ms, func(l *lab) { l.link.set(2.5e6, 50*ms) }, 16 * time.Second /* with the next ping */, 2.5e6, 100 * ms, 80 * ms},
		{"shorter", 2.5e6, 100 * ms, func(l *lab) { l.link.set(2.5e6, 10*ms) }, 4 * time.Second, 2.5e6, 20 * ms, 25 * ms},
		{"still for 3 s", 25e6, 80 * ms, func(l *lab) { l.link.both(func(p *path) { p.pause(3 * time.Second) }) }, 6 * time.Second, 25e6, 80 * ms, 80 * ms},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, test.rate, test.roundTrip)
				defer l.end()
				l.down(2)
				time.Sleep(3 * time.Second)
				test.change(l)
				time.Sleep(test.within)
				s := l.watch(4 * time.Second)
				if got := s.down / test.rate2; got < 0.95 {
					t.Errorf("%.3f of the link was used", got)
				}
				if s.p99 > test.trip2+test.wait {
					t.Errorf("a call's p99 is %v, p50 %v", s.p99, s.p50)
				}
			})
		})
	}
}

// Bulk both ways: acks wait behind the other side's bulk, and neither starves the other. Which
// goroutine goes first decides how the two windows meet, so the bounds are wide: seen are 0.57
// to 0.8 of the link, and calls that wait five round trips.
func TestWindowBothWays(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		rate      float64
		roundTrip time.Duration
	}{{2.5e6, 20 * ms}, {25e6, 10 * ms}, {25e6, 80 * ms}} {
		t.Run(fmt.Sprintf("%.2f MB a second, %v", test.rate/1e6, test.roundTrip), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, test.rate, test.roundTrip)
				defer l.end()
				l.down(4)
				l.up(4)
				time.Sleep(3 * time.Second)
				s := l.watch(6 * time.Second)
				if got := min(s.down, s.up) / test.rate; got < 0.45 {
					t.Errorf("%.3f and %.3f of the link were used", s.down/test.rate, s.up/test.rate)
				}
				if s.p99 > 8*test.roundTrip {
					t.Errorf("a call's p99 is %v, p50 %v", s.p99, s.p50)
				}
			})
		})
	}
}

// What a program sends now and then does not make the window smaller, and what comes back in
// one go, or late, does not make it larger than the path.
func TestWindowOfAPausingProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 25e6, 20*time.Millisecond)
		defer l.end()
		ctx, stop := context.WithCancel(l.ctx)
		l.wait.Go(func() { _, _ = io.Copy(io.Discard, Reader(ctx, l.a, zero, 1<<50)) })
		time.Sleep(3 * time.Second)
		stop()
		before := connWindow(l.b)
		for range 50 { // a little, ten times a second
			if _, err := io.Copy(io.Discard, Reader(l.ctx, l.a, zero, 100<<10)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if after := connWindow(l.b); after < before*9/10 || after > before*11/10 {
			t.Errorf("the window was %d bytes, now it is %d", before, after)
		}
	})
}
