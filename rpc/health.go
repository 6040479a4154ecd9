package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/chumsync/chum/wire"
)

const (
	// helloTime is how long the other side may take to say hello, pongTime to answer a ping,
	// writeTime to take a message off us.
	helloTime = 10 * time.Second
	pongTime  = 10 * time.Second
	writeTime = 10 * time.Second
	// ackTime is how long it may acknowledge nothing of the bulk it was sent. That is longer,
	// since bulk may be slow to arrive. Who reads nothing at all may not be noticed by a write,
	// since the kernel takes a window in, and is gone by then all the same.
	ackTime = 15 * time.Second
	// expireEvery bounds how often the open calls are searched for those whose time is over.
	expireEvery = 100 * time.Millisecond
	// idleWorkers is how long a worker is kept that has nothing to do. Its stack is a good part of
	// what an idle connection costs; calls that come more seldom do not notice a fresh one.
	idleWorkers = 500 * time.Millisecond
)

// errCancelled is the reason of a handler's context that ends because the caller cancelled.
var errCancelled = context.Canceled

// health watches over a connection with a single timer: is the other side still there, does
// it take what we write, is a call's time over. Guarded by Peer.mu.
type health struct {
	start    time.Time // the peer's clock counts from here
	timer    *time.Timer
	tickAt   time.Duration // when the timer fires
	lastTick time.Duration

	since     time.Duration // when the connection came
	brought   bool          // a frame of a call came on it
	heardAny  bool          // a message came since the last ping
	nextPing  time.Duration // 0: none
	pongBy    time.Duration // when to give up; 0: no ping is out
	greetBy   time.Duration
	writeBy   time.Duration // when a write has taken too long; 0: none is under way
	ackBy     time.Duration // when to give up waiting for an ack; 0: no mark is out
	roundTrip time.Duration

	loginBy   time.Duration // when a stranger's time is over; 0: it is none, or its handler runs
	loginLeft time.Duration // what was left when that began
	sweepAt   time.Duration // when to look for idle streams; 0: there are none
}

func (h *health) now() time.Duration { return time.Since(h.start) }

// age is how long the connection has been there.
func (h *health) age() time.Duration { return h.now() - h.since }

// begin starts the peer's clock. With p.mu held.
func (h *health) begin(p *Peer) {
	h.start = time.Now()
	h.greetBy = helloTime
	h.tickAt = h.greetBy
	if p.stranger {
		h.loginBy = strangerTime
		h.tickAt = h.loginBy
	}
	h.timer = time.AfterFunc(h.tickAt, p.tick)
}

func (h *health) stop() { h.timer.Stop() }

// interrupted forgets what was expected of a connection that is lost, renewed expects a hello
// on the next.
func (h *health) interrupted() {
	h.greetBy, h.writeBy, h.ackBy, h.pongBy, h.nextPing, h.roundTrip = 0, 0, 0, 0, 0, 0
}

func (h *health) renewed() {
	h.since, h.brought = h.now(), false
	h.greetBy = h.since + helloTime
	h.wakeBy(h.greetBy)
}

// wakeBy sees to it that tick runs no later than at the time given.
func (h *health) wakeBy(t time.Duration) {
	if t < h.tickAt {
		h.tickAt = t
		h.timer.Reset(t - h.now())
	}
}

// writing and written bracket a write.
func (h *health) writing() {
	h.writeBy = h.now() + writeTime
	h.wakeBy(h.writeBy)
}
func (h *health) written() { h.writeBy = 0 }

// marking notes that an ack is asked for, acknowledged that one came and whether it was for
// the last mark.
func (h *health) marking() {
	if h.ackBy == 0 {
		h.ackBy = h.now() + ackTime
		h.wakeBy(h.ackBy)
	}
}

func (h *health) acknowledged(last bool) {
	h.ackBy = 0
	if !last {
		h.marking()
	}
}

// heard notes that a message came.
func (h *health) heard() { h.heardAny = true }

// ping asks the other side for a sign of life; its answer also tells the round-trip time.
func (h *health) ping(p *Peer) {
	now := h.now()
	h.greetBy = 0
	p.line.control(wire.Frame{Kind: wire.Ping, Payload: binary.BigEndian.AppendUint64(nil, uint64(now))})
	if p.opt.KeepAlive > 0 {
		h.heardAny = false
		h.pongBy = now + pongTime
		h.nextPing = now + p.opt.KeepAlive
		h.wakeBy(min(h.pongBy, h.nextPing))
	}
}

// pong takes the answer to a ping in. One that we never sent tells nothing.
func (h *health) pong(payload []byte) {
	if len(payload) != 8 {
		return
	}
	if rtt := h.now() - time.Duration(binary.BigEndian.Uint64(payload)); rtt >= 0 && rtt < time.Minute {
		h.roundTrip = max(rtt, 1)
	}
}

// tick does what is due and sets the timer for what is next.
func (p *Peer) tick() {
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		return
	}
	h := &p.health
	now := h.now()
	h.lastTick = now
	if since, dead := h.dead(now); dead != nil && !p.renew(since, dead) {
		l := p.line
		p.mu.Unlock()
		p.opt.Logger.Warn("rpc: connection given up", "agent", p.Agent(), "reason", dead)
		p.lost(l, dead)
		p.mu.Lock()
		if p.over {
			p.mu.Unlock()
			return
		}
	}
	if h.loginBy > 0 && now >= h.loginBy {
		p.mu.Unlock()
		p.turnAway()
		return
	}
	p.sweep(now)
	next := now + time.Hour
	due := func(t time.Duration) {
		if t > 0 {
			next = min(next, t)
		}
	}
	if h.nextPing > 0 && h.nextPing <= now && h.pongBy == 0 {
		h.ping(p)
	}
	if expire := p.expire(now); expire > 0 {
		due(max(expire, now+expireEvery))
	}
	p.trim(now - idleWorkers)
	p.line.trim()
	if len(p.idle) > 0 {
		due(now + idleWorkers)
	}
	due(h.greetBy)
	due(h.loginBy)
	due(h.sweepAt)
	due(h.writeBy)
	due(h.ackBy)
	due(h.pongBy)
	if h.nextPing > now { // else it waits for the last one's pong
		due(h.nextPing)
	}
	h.tickAt = next
	h.timer.Reset(next - now)
	p.kick()
	p.mu.Unlock()
}

// renew leaves it to the connection to mend itself, if it can and was there for the time that
// nothing came or went, and tells whether it goes on.
func (p *Peer) renew(since time.Duration, why error) bool {
	conn, ok := p.line.conn.(wire.Resumer)
	if !ok || since == 0 || !conn.Renew(since, why) {
		return false
	}
	h := &p.health
	now := h.now()
	for _, by := range []struct {
		at   *time.Duration
		time time.Duration
	}{{&h.writeBy, writeTime}, {&h.pongBy, pongTime}, {&h.ackBy, ackTime}} {
		if *by.at > 0 && *by.at <= now {
			*by.at = now + by.time
		}
	}
	return true
}

// dead tells why the connection must be given up, if it must, and for how long it has been
// bad: 0 if a new one beneath it would be no better.
func (h *health) dead(now time.Duration) (since time.Duration, why error) {
	if h.heardAny {
		h.pongBy = 0
	}
	switch {
	case h.greetBy > 0 && now >= h.greetBy:
		return 0, errors.New("the other side said no hello within 10 s")
	case h.writeBy > 0 && now >= h.writeBy: // the ping may be in that message
		return writeTime, errors.New("the other side took nothing of a message for 10 s")
	case h.pongBy > 0 && now >= h.pongBy:
		return pongTime, errors.New("the other side gave no sign of life for 10 s after a ping")
	case h.ackBy > 0 && now >= h.ackBy:
		return ackTime, errors.New("the other side acknowledged nothing of what it was sent for 15 s")
	}
	return 0, nil
}
