package rpc

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// Between two calls of Options.Redial goes by no time if the connection between them brought
// something. Else it grows as if the first had failed: a proxy that cuts whatever it has let
// through, or a call that kills each server it is sent to, would otherwise have us connect as
// fast as the network allows.
const (
	firstWait = 100 * time.Millisecond // doubled each time
	longWait  = 3 * time.Second
)

// hold takes a call back that this connection will not answer, to ask over the next. With p.mu
// held.
func (p *Peer) hold(c *call) {
	c.held = true
	c.dropLong()
	if c.out != nil {
		c.out.finish(nil)
		c.out = nil
	}
}

// interrupt takes note that a connection is lost, if there may be another: then it settles
// what cannot go on over that, and queues the rest for it. It reports false if the peer has to
// end.
func (p *Peer) interrupt(l *line, lost *Error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.over || p.line != l || l.conn == nil:
		return true // nothing is left to do
	case p.opt.Redial == nil || p.draining:
		return false
	}
	for _, c := range p.calls {
		ran := c.executed()
		if c.mode == 0 && (c.repeat || ran == No) {
			c.sent = ran == Maybe
			p.hold(c)
			continue
		}
		e := *lost
		e.Executed = ran
		p.settle(c, &e)
	}
	for _, s := range p.servings {
		p.abandon(s, errCancelled)
	}
	defer l.conn.Close() // when p.mu is free
	if p.health.brought || p.health.age() > longWait {
		p.barren = 0
	}
	p.line = &line{window: window{size: startWindow}}
	p.remote, p.helloSeen, p.goneAway = hello{}, false, false
	p.lastServed, p.strikes = 0, 0
	p.patience = patience{left: patienceMost, at: p.health.now()}
	p.health.interrupted()
	for _, id := range slices.Sorted(maps.Keys(p.calls)) { // ids count up
		c := p.calls[id]
		c.held = false
		c.enqueue(p.health.now())
	}
	return true
}

// redial waits for another connection, and gives the line for it; nil if the peer ends.
func (p *Peer) redial() *line {
	p.mu.Lock()
	over, barren := p.over, p.barren
	p.barren++
	p.mu.Unlock()
	if over {
		return nil
	}
	if barren > 0 {
		wait := rand.N(min(firstWait<<min(barren-1, 10), longWait)) //nolint:gosec // to spread peers, not to keep a secret
		select {
		case <-time.After(wait):
		case <-p.life.Done():
		}
	}
	conn, err := p.opt.Redial(p.life)
	if err != nil {
		e := failure(Unavailable, Maybe, "rpc: the connection was lost, and there is no other: %w", err)
		p.end(e, e, nil)
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		defer conn.Close()
		return nil
	}
	p.line.conn = conn
	p.stats.Redials++
	p.health.renewed()
	p.kick() // the hello, and behind it what waits
	return p.line
}
