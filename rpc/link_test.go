package rpc

import (
	"io"
	"sync"
	"testing"
	"time"

	"github.com/chumsync/chum/wire"
)

// A path is one direction of a simulated link, in the time of a synctest bubble: messages pass
// its bottleneck one after the other at a rate, then take a delay. A write returns when no more
// than the buffer waits in front of the bottleneck, as in an operating system.
type path struct {
	closed chan struct{}
	once   *sync.Once
	wake   chan struct{}

	mu     sync.Mutex
	rate   float64 // bytes a second
	delay  time.Duration
	jitter time.Duration // every other message takes so much longer
	buffer int
	free   time.Time // when the bottleneck has passed all
	last   time.Time // when the last message arrives
	moving []moving
	bytes  int // that were written
	odd    bool
}

type moving struct {
	msg []byte
	at  time.Time
}

// set changes what the path is like for what is written from now on.
func (p *path) set(rate float64, delay time.Duration) {
	p.mu.Lock()
	p.rate, p.delay = rate, delay
	p.mu.Unlock()
}

// pause lets nothing pass for some time.
func (p *path) pause(d time.Duration) {
	p.mu.Lock()
	if now := time.Now(); p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(d)
	p.mu.Unlock()
}

// wait sleeps, but not beyond the path's end.
func (p *path) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.closed:
		return false
	}
}

func (p *path) write(b []byte) error {
	const overhead = 60 // heads of TCP, IP and WebSocket
	if closed(p.closed) {
		return io.ErrClosedPipe
	}
	p.mu.Lock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(float64(len(b)+overhead) / p.rate * float64(time.Second)))
	at := p.free.Add(p.delay)
	if p.odd = !p.odd; p.odd {
		at = at.Add(p.jitter)
	}
	if at.Before(p.last) {
		at = p.last
	}
	p.last = at
	p.moving = append(p.moving, moving{append([]byte(nil), b...), at})
	p.bytes += len(b)
	full := p.free.Sub(now) - time.Duration(float64(p.buffer)/p.rate*float64(time.Second))
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	if full > 0 && !p.wait(full) {
		return io.ErrClosedPipe
	}
	return nil
}

// passed tells how many bytes have left the bottleneck.
func (p *path) passed() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return float64(p.bytes) - max(0, time.Until(p.free).Seconds())*p.rate
}

func (p *path) read() ([]byte, error) {
	for {
		p.mu.Lock()
		if len(p.moving) > 0 {
			m := p.moving[0]
			p.moving = p.moving[1:]
			p.mu.Unlock()
			if d := time.Until(m.at); d > 0 && !p.wait(d) {
				return nil, io.EOF
			}
			return m.msg, nil
		}
		p.mu.Unlock()
		select {
		case <-p.wake:
		case <-p.closed:
			return nil, io.EOF
		}
	}
}

// linkEnd is one end of a link.
type linkEnd struct{ out, in *path }

func (e linkEnd) ReadMessage() ([]byte, error)   { return e.in.read() }
func (e linkEnd) WriteMessage(b []byte) error    { return e.out.write(b) }
func (e linkEnd) Close() error                   { e.out.once.Do(func() { close(e.out.closed) }); return nil }
func (e linkEnd) both(do func(*path))            { do(e.out); do(e.in) }
func (e linkEnd) set(r float64, d time.Duration) { e.both(func(p *path) { p.set(r, d) }) }

var _ wire.Conn = linkEnd{}

// link makes a link of a rate in bytes a second both ways, and of a round trip.
func link(rate float64, roundTrip time.Duration) (linkEnd, linkEnd) {
	closed, once := make(chan struct{}), new(sync.Once)
	var ways [2]*path
	for i := range ways {
		ways[i] = &path{closed: closed, once: once, wake: make(chan struct{}, 1), rate: rate, delay: roundTrip / 2, buffer: 4 << 20}
	}
	return linkEnd{ways[0], ways[1]}, linkEnd{ways[1], ways[0]}
}

// linked joins two peers by a link.
func linked(t testing.TB, rate float64, roundTrip time.Duration) (a, b *Peer, l linkEnd) {
	t.Helper()
	ca, cb := link(rate, roundTrip)
	mux := testMux()
	a, b = NewPeer(ca, mux, quiet(nil)), NewPeer(cb, mux, quiet(nil))
	t.Cleanup(func() { leave(t, a, b) })
	return a, b, ca
}
