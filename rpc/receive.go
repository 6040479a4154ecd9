package rpc

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/chumsync/chum/wire"
)

// maxStrikes is how often the other side may send what makes no sense but does no harm, such
// as an answer to a call that was never made, before the connection is cut.
const maxStrikes = 8

// framesAtOnce is how many frames are taken in before others get their turn with p.mu.
const framesAtOnce = 16

// receive takes one message in. An error means that the other side broke the protocol: the
// connection has to end.
func (p *Peer) receive(msg []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.kick()
	p.stats.Received.Bytes += uint64(len(msg))
	p.stats.Received.Messages++
	p.health.heard()
	p.heard = p.health.now()
	p.patience.refill(p.heard)
	tooMuch := p.tooMuch()
	switch {
	case tooMuch != nil:
		return tooMuch
	case len(msg) == 0:
		return fmt.Errorf("%w: an empty message", wire.ErrFrame)
	case len(msg) > wire.MaxMessage:
		return fmt.Errorf("%w: a message of %d bytes; %d are allowed", wire.ErrFrame, len(msg), wire.MaxMessage)
	}
	for n := 1; len(msg) > 0; n++ {
		f, rest, err := wire.Next(msg)
		if err != nil {
			return err
		}
		msg = rest
		if n%framesAtOnce == 0 {
			p.kick()
			p.mu.Unlock()
			p.mu.Lock()
		}
		if p.opt.Trace != nil {
			p.mu.Unlock()
			p.opt.Trace(TraceFrame{Frame: f})
			p.mu.Lock()
		}
		if err := p.frame(f); err != nil {
			return err
		}
	}
	return nil
}

// frame does what one frame asks for. With p.mu held.
func (p *Peer) frame(f wire.Frame) error {
	if f.Kind == wire.Bye {
		p.mu.Unlock()
		defer p.mu.Lock()
		return p.farewell(f.Payload)
	}
	if p.over || p.line.conn == nil {
		return nil // closing: nothing counts any more
	}
	if !p.helloSeen {
		return p.greet(f)
	}
	if limit := owedLimit + p.opt.MaxCalls*bulkFrom; p.line.owed > limit {
		return fmt.Errorf("%d bytes of answers wait for it and it takes none; %d may", p.line.owed, limit)
	}
	if (p.line.owed > freeBytes || p.account.owed > 0) && !p.account.cover(p.line.owed) {
		return fmt.Errorf("%d bytes of answers wait for it and it takes none; there is no memory for more", p.line.owed)
	}
	if f.ID > 0 {
		p.health.brought = true
	}
	if f.Bulk() {
		p.line.received += uint64(len(f.Payload))
	}
	switch f.Kind {
	case wire.Request:
		return p.request(f)
	case wire.Result, wire.Error:
		return p.reply(f)
	case wire.Cancel:
		if s, err := p.serving(f); s != nil || err != nil {
			if s != nil {
				return p.cancelled(s)
			}
			return err
		}
	case wire.Item, wire.End, wire.Part, wire.Credit:
		return p.step(f)
	case wire.Mark:
		return p.marked()
	case wire.Ack:
		return p.acknowledged(f.Payload)
	case wire.Ping:
		if len(f.Payload) > 8 {
			return fmt.Errorf("a ping of %d bytes; 8 are allowed", len(f.Payload))
		}
		p.line.owe(wire.Frame{Kind: wire.Pong, Payload: f.Payload})
		return p.inVain(1, "a ping")
	case wire.Pong:
		p.health.pong(f.Payload)
		return p.inVain(1, "a pong")
	case wire.GoAway:
		return p.otherLeaves(f.Payload)
	default: // hello; and 0 does not pass wire.Next
		return fmt.Errorf("a second %s", f.Kind)
	}
	return nil
}

// strike counts what makes no sense.
func (p *Peer) strike(format string, args ...any) error {
	p.strikes++
	p.stats.Strikes++
	if p.strikes >= maxStrikes {
		return fmt.Errorf("%d frames made no sense; the last: %s", p.strikes, fmt.Sprintf(format, args...))
	}
	return nil
}

// serving finds the open call of the other side that a frame is for. It is nil if the call
// has ended: such frames were on their way, and are only counted.
func (p *Peer) serving(f wire.Frame) (*serving, error) {
	s := p.servings[f.ID]
	if s == nil {
		if f.ID > p.lastServed {
			return nil, p.strike("%s for call %d, which was never made", f.Kind, f.ID)
		}
		return nil, p.late(f)
	}
	return s, nil
}

// calling finds our open call that a frame is for, likewise.
func (p *Peer) calling(f wire.Frame) (*call, error) {
	c := p.calls[f.ID]
	if c == nil {
		if f.ID > p.lastCall {
			return nil, p.strike("%s for call %d, which was never made", f.Kind, f.ID)
		}
		return nil, p.late(f)
	}
	return c, nil
}

// request takes a call of the other side in.
func (p *Peer) request(f wire.Frame) error {
	if f.ID <= p.lastServed {
		return fmt.Errorf("request %d comes after request %d: ids count up", f.ID, p.lastServed)
	}
	p.lastServed = f.ID
	m, left, meta, method, rest, err := splitRequest(f.Payload)
	if err != nil {
		return fmt.Errorf("request %d: %w", f.ID, err)
	}
	p.stats.In.Started++
	s := &serving{exchange: exchange{p: p, id: f.ID}, mode: m, form: f.Form, began: p.heard}
	s.ctx.s = s
	if left > 0 {
		s.ctx.deadline = p.health.start.Add(p.heard + left)
	}
	if len(meta) > 0 {
		s.meta = bytes.Clone(meta)
		s.priority = priorityOf(s.meta)
	}
	if e := p.admit(s, method); e != nil {
		return p.refused(s, e)
	}
	if !f.Long {
		if !p.account.draw(len(rest)) {
			return p.refused(s, errNoMemory(No))
		}
		s.drawn = len(rest)
		p.accept(s)
		s.takeArgs(rest)
		p.begin(s)
		return nil
	}
	whole, err := s.beginLong(f, rest)
	if refused, ok := err.(refusedError); ok {
		return p.refused(s, failure(ResourceExhausted, No, "%s", refused.reason))
	}
	if err != nil {
		p.stats.In.Failed++
		s.dropLong()
		return err
	}
	p.accept(s)
	if whole {
		p.wholeArgs(s)
	}
	return nil
}

// splitRequest reads what stands before the arguments.
func splitRequest(b []byte) (m mode, left time.Duration, meta, method, rest []byte, err error) {
	var n [4]uint64 // mode, time left, length of the metadata, length of the method
	for i := range n {
		if n[i], b, err = wire.Uvarint(b); err != nil {
			return 0, 0, nil, nil, nil, err
		}
		if i == 2 {
			if n[i] > uint64(len(b)) {
				return 0, 0, nil, nil, nil, fmt.Errorf("metadata of %d bytes in %d", n[i], len(b))
			}
			meta, b = b[:n[i]], b[n[i]:]
			if err := checkMetadata(meta); err != nil {
				return 0, 0, nil, nil, nil, err
			}
		}
	}
	switch {
	case n[0] > uint64(feeds|takes):
		return 0, 0, nil, nil, nil, fmt.Errorf("unknown mode %d", n[0])
	case n[3] > maxName || n[3] > uint64(len(b)):
		return 0, 0, nil, nil, nil, fmt.Errorf("method name of %d bytes; %d are allowed", n[3], maxName)
	}
	const longest = 365 * 24 * time.Hour // more than that is no deadline
	if n[1] < uint64(longest/time.Millisecond) {
		left = time.Duration(n[1]) * time.Millisecond
	}
	return mode(n[0]), left, meta, b[:n[3]], b[n[3]:], nil
}

// admit finds the service for a call, or says why it is not taken.
func (p *Peer) admit(s *serving, method []byte) *Error {
	if p.stranger {
		if e := p.admitStranger(s, method); e != nil {
			return e
		}
	}
	s.service = p.mux.find(method)
	switch {
	case p.draining:
		return failure(Unavailable, No, "this side is shutting down")
	case s.service == nil:
		return failure(Unimplemented, No, "no method %q here", method)
	case s.service.mode != s.mode:
		return failure(InvalidArgument, No, "%s is a %s, it was called as a %s", method, s.service.mode, s.mode)
	case len(s.meta) > 0 && !s.repeatable():
		return failure(FailedPrecondition, No, "%s is not declared pure or keyed here, as the caller takes it to be", method)
	case p.running >= p.opt.MaxCalls:
		return failure(ResourceExhausted, No, "%d calls are open, no more are taken at once", p.running)
	case s.mode != 0 && p.streaming >= p.opt.MaxStreams:
		return failure(ResourceExhausted, No, "%d streams are open, no more are taken at once", p.streaming)
	}
	return nil
}

// accept makes a call one that is open here.
func (p *Peer) accept(s *serving) {
	p.servings[s.id] = s
	s.open = true
	if s.mode&feeds != 0 {
		s.in = newInflow(&s.exchange)
	}
	p.running++
	if s.mode != 0 {
		p.streaming++
	}
}

// takeArgs copies the arguments: msg is the read loop's again after this. Raw ones are copied
// to memory that the handler may keep.
func (s *serving) takeArgs(b []byte) {
	if s.form == wire.Bytes {
		s.args = append(make([]byte, 0, len(b)), b...)
		return
	}
	s.pooled = argBuffers.Get().(*[]byte)
	*s.pooled = append((*s.pooled)[:0], b...)
	s.args = *s.pooled
}

// wholeArgs runs a call whose long arguments have come.
func (p *Peer) wholeArgs(s *serving) {
	s.args, s.longArg, s.drawn, s.long = s.long.buf, s.long.total, cap(s.long.buf), nil
	p.begin(s)
}

// begin gives a call to its handler.
func (p *Peer) begin(s *serving) {
	s.busy = true
	if p.stranger {
		p.strangerBusy()
	}
	p.run(s)
}

// reply takes the answer to one of our calls in.
func (p *Peer) reply(f wire.Frame) error {
	c, err := p.calling(f)
	if c == nil {
		return err
	}
	switch {
	case c.held: // refused by a side that leaves: another will be asked
		p.stats.Late++
	case f.Kind == wire.Error:
		p.settle(c, parseError(f.Payload))
	case c.long != nil:
		return fmt.Errorf("call %d: a result amid a long value", f.ID)
	case f.Long:
		whole, err := c.beginLong(f, f.Payload)
		if refused, ok := err.(refusedError); ok {
			p.giveUp(c, failure(ResourceExhausted, Yes, "rpc: %s: %s", c.method, refused.reason))
			return nil
		}
		if err != nil {
			return err
		}
		if whole {
			p.wholeValue(&c.exchange)
		}
	default:
		p.answer(c, f.Form, f.Payload, false)
	}
	return nil
}

// step takes a frame within an open call in.
func (p *Peer) step(f wire.Frame) error {
	var x *exchange
	if f.Own { // the sender's own call: we serve it
		s, err := p.serving(f)
		if s == nil {
			return err
		}
		x = &s.exchange
	} else {
		c, err := p.calling(f)
		if c == nil {
			return err
		}
		x = &c.exchange
	}
	switch f.Kind {
	case wire.Credit:
		n, rest, err := wire.Uvarint(f.Payload)
		if err != nil || len(rest) > 0 {
			return fmt.Errorf("call %d: malformed credit", f.ID)
		}
		o := x.flow()
		if o.credits++; o.credits > o.items {
			if err := p.inVain(1, "credit that nothing was sent for"); err != nil {
				return err
			}
		}
		return o.addCredit(n)
	case wire.Part:
		if x.long == nil {
			return fmt.Errorf("call %d: a part of no long value", f.ID)
		}
		whole, err := x.addLong(f.Payload)
		if refused, ok := err.(refusedError); ok {
			ran := Yes
			if x.long.frame.Kind == wire.Request {
				ran = No
			}
			p.breakOff(x, failure(ResourceExhausted, ran, "%s", refused.reason))
			return nil
		}
		if err == nil && !whole && len(f.Payload) < ampleFrame {
			err = p.inVain(1, "a part of a few bytes")
		}
		if whole && err == nil {
			p.wholeValue(x)
		}
		return err
	case wire.End:
		n, rest, err := wire.Uvarint(f.Payload)
		if err != nil || len(rest) > 0 || x.in == nil || x.long != nil {
			return fmt.Errorf("call %d: misplaced or malformed end of a stream", f.ID)
		}
		return x.in.end(n)
	}
	return p.item(x, f)
}

// item takes an item, or the beginning of a long one, in.
func (p *Peer) item(x *exchange, f wire.Frame) error {
	switch {
	case x.in == nil:
		return fmt.Errorf("call %d: an item where there is no stream", f.ID)
	case x.long != nil:
		return fmt.Errorf("call %d: an item amid a long value", f.ID)
	}
	if err := x.in.begin(); err != nil {
		return err
	}
	if !f.Long {
		it := x.in.copy(f.Form, f.Payload)
		if !p.account.draw(it.cost()) {
			p.breakOff(x, errNoMemory(Yes))
			return nil
		}
		x.in.put(it)
		return nil
	}
	whole, err := x.beginLong(f, f.Payload)
	if refused, ok := err.(refusedError); ok {
		p.breakOff(x, failure(ResourceExhausted, Yes, "rpc: the stream broke off after %d items: %s", x.in.items, refused.reason))
		return nil
	}
	if whole && err == nil {
		p.wholeValue(x)
	}
	return err
}

// breakOff ends a call because of an item that cannot be taken.
func (p *Peer) breakOff(x *exchange, e *Error) {
	if x.own {
		p.giveUp(p.calls[x.id], e)
		return
	}
	s := p.servings[x.id]
	p.refuseID(s.id, e)
	p.abandon(s, errCancelled)
}

// wholeValue takes a long value in that is complete now.
func (p *Peer) wholeValue(x *exchange) {
	a := x.long
	switch a.frame.Kind {
	case wire.Request:
		p.wholeArgs(p.servings[x.id])
	case wire.Result:
		x.dropLong()
		p.answer(p.calls[x.id], a.frame.Form, a.buf, true)
	default:
		x.long = nil // stays accounted until it is read
		x.in.put(item{form: a.frame.Form, data: a.buf, long: true})
	}
}

// otherLeaves takes in that the other side takes no more calls.
func (p *Peer) otherLeaves(payload []byte) error {
	last, rest, err := wire.Uvarint(payload)
	if err != nil || len(rest) > 0 {
		return errors.New("malformed goaway")
	}
	if p.goneAway {
		return p.strike("a second goaway")
	}
	p.goneAway = true
	for id, c := range p.calls {
		switch {
		case id <= last:
		case p.opt.Redial != nil && c.mode == 0:
			p.hold(c)
		default:
			p.settle(c, failure(Unavailable, No, "rpc: %s: not executed: the other side is shutting down", c.method))
		}
	}
	return nil
}
