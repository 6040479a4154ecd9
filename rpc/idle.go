package rpc

import (
	"time"

	"github.com/chumsync/chum/wire"
)

// A call that answers once has a deadline. A stream may last for ever, and so may a long value
// on its way, but not stand still while the other side owes something: the rest of a value that
// it announced, or credit for items that it has not read. Options.IdleStream says for how long.

// watchIdle sees to it that sweep looks at a call that began to be owed something. With p.mu
// held.
func (p *Peer) watchIdle() {
	h := &p.health
	if p.opt.IdleStream > 0 && h.sweepAt == 0 {
		h.sweepAt = h.now() + p.opt.IdleStream/4
		h.wakeBy(h.sweepAt)
	}
}

// sweep ends what stood still for too long. It looks four times as often as that, so it may
// be late by a quarter. With p.mu held.
func (p *Peer) sweep(now time.Duration) {
	h := &p.health
	if h.sweepAt == 0 || now < h.sweepAt {
		return
	}
	h.sweepAt = 0
	for _, c := range p.calls {
		p.sweepOne(&c.exchange, now, Maybe)
	}
	for _, s := range p.servings {
		p.sweepOne(&s.exchange, now, Yes)
	}
}

func (p *Peer) sweepOne(x *exchange, now time.Duration, ran Executed) {
	switch limit := p.opt.IdleStream; {
	case x.long != nil && x.long.stalled(now) >= limit:
		if x.long.frame.Kind == wire.Request {
			ran = No
		}
		p.breakOff(x, failure(DeadlineExceeded, ran, "%d of %d bytes of a long value came, and then less than %d in %v", len(x.long.buf), x.long.total, ampleFrame, limit))
	case x.out != nil && x.out.stalled(now) >= limit:
		p.breakOff(x, failure(DeadlineExceeded, ran, "the stream's reader took nothing for %v", limit))
	case x.long != nil || x.out != nil:
		p.watchIdle()
	}
}

// stalled tells for how long less than ampleFrame bytes have come. A byte now and then is no
// progress.
func (a *assembly) stalled(now time.Duration) time.Duration {
	if n := len(a.buf) / ampleFrame; n > a.seen {
		a.seen, a.since = n, now
	}
	return now - a.since
}

// stalled tells for how long the reader has not made room for another item.
func (o *outflow) stalled(now time.Duration) time.Duration {
	if o.over || o.ending || o.last || o.credit > 0 || o.items != o.seen {
		o.seen, o.since = o.items, now
	}
	return now - o.since
}
