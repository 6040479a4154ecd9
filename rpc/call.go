package rpc

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/chumsync/chum/wire"
)

// call is a call that this side makes. From start to settle it is in Peer.calls; whoever takes
// it out of there settles it, so it happens once.
type call struct {
	exchange
	method  string
	mode    mode
	done    chan struct{}
	promise bool          // done is closed, and the call never used again; else it gets one token
	due     time.Duration // when its time is over (on the peer's clock); 0: never
	expires bool          // nobody but the peer watches that

	args     []byte // the arguments, for as long as they may have to be sent once more
	argsForm wire.Form
	meta     []byte
	batch    uint64 // the line's batch that holds the request
	held     bool   // it waits for another connection
	repeat   bool   // it may be executed twice
	sent     bool   // an earlier connection may have carried it

	form  wire.Form // the answer
	value []byte
	err   error // *Error, or nil

	buf []byte // the arguments, then the answer
}

// spareCalls are settled calls to be used again: a few are enough, since who has given one back
// is about to take one. Each peer has its own, not a sync.Pool, so that a channel never leaves
// the synctest bubble it was made in.
type spareCalls [8]atomic.Pointer[call]

func (s *spareCalls) get() *call {
	for i := range s {
		if c := s[i].Load(); c != nil && s[i].CompareAndSwap(c, nil) {
			return c
		}
	}
	return &call{done: make(chan struct{}, 1)}
}

func (s *spareCalls) put(c *call) {
	for i := range s {
		if s[i].Load() == nil && s[i].CompareAndSwap(nil, c) {
			return
		}
	}
}

// keepCallBuffer is the longest buffer that is kept with them.
const keepCallBuffer = 4 << 10

// newCall gives a call that is not started.
func (p *Peer) newCall(method string, m mode) *call {
	c := p.spare.get()
	c.exchange = exchange{p: p, own: true}
	c.method, c.mode = method, m
	return c
}

// release gives back a call that was awaited and settled, and whose answer was read.
func (c *call) release() {
	p, buf := c.p, c.buf
	if cap(buf) > keepCallBuffer {
		buf = nil
	}
	*c = call{done: c.done, buf: buf}
	p.spare.put(c)
}

// Send asks the peer by the method's name and returns at once with a promise; nothing is sent
// on the caller's goroutine. The arguments travel by position; a last []byte travels raw and
// must not change until the promise is done. The call is cancelled when ctx ends.
func (p *Peer) Send(ctx context.Context, method string, args ...any) *Promise {
	c := p.newCall(method, 0)
	form, data, err := appendArgs(nil, args, p.plain.Load())
	c.begin(ctx, form, data, err)
	return &Promise{c: c}
}

// begin starts a call whose answer is a promise.
func (c *call) begin(ctx context.Context, form wire.Form, args []byte, err error) {
	c.done, c.promise = make(chan struct{}), true
	if err != nil {
		c.err = badArguments(c.method, err)
		close(c.done)
		return
	}
	start := func(ctx context.Context) {
		c.p.mu.Lock()
		defer c.p.mu.Unlock()
		if err := c.start(ctx, form, args); err != nil {
			c.err = err
			close(c.done)
			return
		}
		c.p.kick()
		c.watch(ctx)
	}
	if len(c.p.opt.OnCall) > 0 {
		c.beginAround(ctx, start)
		return
	}
	start(ctx)
}

// watch cancels the call when ctx ends. With p.mu held.
func (c *call) watch(ctx context.Context) {
	if ctx.Done() != nil {
		c.unwatch = context.AfterFunc(ctx, func() { c.cancel(ctx.Err()) })
	}
}

// await starts a call and waits until it is settled.
func (c *call) await(ctx context.Context, form wire.Form, args []byte) error {
	p := c.p
	p.mu.Lock()
	if err := c.start(ctx, form, args); err != nil {
		p.mu.Unlock()
		return err
	}
	mine := p.claim()
	p.mu.Unlock()
	p.write(mine, once)
	if ctx.Done() == nil {
		<-c.done
		return c.err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		c.cancel(ctx.Err())
		<-c.done
	}
	return c.err
}

// start queues the request. With p.mu held. The error is an [*Error], or nil.
func (c *call) start(ctx context.Context, form wire.Form, args []byte) error {
	p := c.p
	o := outgoingFrom(ctx)
	if err := c.admit(len(args), o); err != nil {
		return err
	}
	now := p.health.now()
	if deadline, ok := ctx.Deadline(); ok {
		if c.due = deadline.Sub(p.health.start); c.due <= now {
			return fromContext(context.DeadlineExceeded, No)
		}
	} else if c.mode == 0 && p.opt.CallTimeout > 0 {
		c.due, c.expires = now+p.opt.CallTimeout, true
		p.health.wakeBy(c.due)
	}
	if err := ctx.Err(); err != nil {
		return fromContext(err, No)
	}
	p.lastCall++
	c.id = p.lastCall
	p.calls[c.id] = c
	if c.mode != 0 {
		p.streams++
	}
	p.stats.Out.Started++
	if c.mode&takes != 0 {
		c.in = newInflow(&c.exchange)
	}
	c.args, c.argsForm = args, form
	if o != nil {
		c.meta, c.repeat, c.priority = o.meta, o.repeat, o.priority
	}
	if p.goneAway {
		c.held = true
		return nil
	}
	c.enqueue(now)
	return nil
}

// enqueue queues the request of an open call, now being the peer's clock. With p.mu held.
func (c *call) enqueue(now time.Duration) {
	p, args := c.p, c.args
	var left time.Duration
	if c.due > 0 {
		left = max(c.due-now, time.Millisecond)
	}
	var room [wire.MaxHead + 16 + maxName]byte
	head := binary.AppendUvarint(room[:0], uint64(c.mode))
	head = binary.AppendUvarint(head, uint64((left+time.Millisecond-1)/time.Millisecond))
	head = append(binary.AppendUvarint(head, uint64(len(c.meta))), c.meta...)
	head = binary.AppendUvarint(head, uint64(len(c.method)))
	head = append(head, c.method...)
	// Even if the arguments are long, the request goes with the calls: ids must count up on the
	// wire. Only what follows it is bulk.
	f := wire.Frame{Kind: wire.Request, Form: c.argsForm, Own: true, ID: c.id, Long: len(args) >= bulkFrom}
	if f.Long {
		head = binary.AppendUvarint(head, uint64(len(args)))
		p.line.window.sent += uint64(len(head))
		c.flow().setValue(f, args)
		args = nil
	}
	if c.mode == 0 {
		p.line.window.called = now
	}
	p.line.head(f, len(head)+len(args))
	p.line.out = append(append(p.line.out, head...), args...)
	c.batch = p.line.batch
}

// admit tells whether a call may be made now.
func (c *call) admit(args int, o *outgoing) error {
	p := c.p
	limits := &p.remote.Limits
	switch err := checkName(c.method); {
	case err != nil:
		return failure(InvalidArgument, No, "rpc: %w", err)
	case o != nil && o.err != nil:
		return failure(InvalidArgument, No, "rpc: %s: not sent: %w", c.method, o.err)
	case p.over && p.err != nil:
		return failure(Unavailable, No, "rpc: %s: not sent: the connection is gone: %w", c.method, p.err)
	case p.over || p.draining:
		return errClosedHere()
	case p.goneAway && (p.opt.Redial == nil || c.mode != 0):
		return failure(Unavailable, No, "rpc: %s: not sent: the other side is shutting down", c.method)
	case len(p.line.out) > queueLimit:
		return failure(ResourceExhausted, No, "rpc: %s: not sent: %d bytes wait already, and the other side takes none", c.method, len(p.line.out))
	case !p.helloSeen:
		limits = &usual
	}
	switch {
	case len(p.calls) >= limits.Calls:
		return failure(ResourceExhausted, No, "rpc: %s: not sent: %d calls are open, the other side allows no more", c.method, len(p.calls))
	case c.mode != 0 && p.streams >= limits.Streams:
		return failure(ResourceExhausted, No, "rpc: %s: not sent: %d streams are open, the other side allows no more", c.method, p.streams)
	case args > limits.Value:
		return failure(ResourceExhausted, No,
			"rpc: %s: not sent: the arguments have %d bytes, the other side takes %d; send what is longer through a stream", c.method, args, limits.Value)
	}
	return nil
}

// executed tells what is known of a call that is being given up: whether the request, and all
// of its arguments, can have got out. With p.mu held.
func (c *call) executed() Executed {
	switch {
	case c.sent:
		return Maybe
	case c.held || c.batch == c.p.line.batch || c.out != nil && c.out.arguments():
		return No
	}
	return Maybe
}

// cancel gives the call up because its context ended, unless it is settled already.
func (c *call) cancel(why error) {
	p := c.p
	p.mu.Lock()
	if p.calls[c.id] == c {
		p.giveUp(c, fromContext(why, No))
		p.kick()
	}
	p.mu.Unlock()
}

// giveUp settles an open call and tells the other side. With p.mu held.
func (p *Peer) giveUp(c *call, e *Error) {
	if e.Executed == No && (c.sent || !c.held && (c.out == nil || !c.out.arguments())) {
		e.Executed = Maybe // even a request that waits in the line goes out, the cancel right behind it
	}
	if !c.held {
		p.line.control(wire.Frame{Kind: wire.Cancel, Own: true, ID: c.id})
	}
	p.settle(c, e)
}

// settle ends an open call: with its answer in place, or with the error. With p.mu held.
func (p *Peer) settle(c *call, err *Error) {
	delete(p.calls, c.id)
	if c.mode != 0 {
		p.streams--
	}
	c.args = nil
	if err != nil {
		c.err = err
		p.stats.Out.Failed++
	} else {
		p.stats.Out.Succeeded++
	}
	if c.unwatch != nil {
		c.unwatch()
	}
	if err != nil {
		c.close(c.err)
	} else {
		c.close(nil)
	}
	if c.promise {
		close(c.done)
	} else {
		c.done <- struct{}{}
	}
	p.checkDrained()
}

// answer takes the result of an open call in. With p.mu held. If owned, data is the call's to
// keep; else it is the read loop's buffer.
func (p *Peer) answer(c *call, form wire.Form, data []byte, owned bool) {
	if c.mode&takes != 0 && !c.in.ended {
		p.settle(c, failure(DataLoss, Yes, "rpc: %s: the stream broke off after %d items: the call ended without the stream's end", c.method, c.in.items))
		return
	}
	c.form = form
	switch {
	case owned:
		c.value = data
	case form == wire.Bytes || c.promise:
		c.value = append(make([]byte, 0, len(data)), data...)
	default:
		c.buf = append(c.buf[:0], data...)
		c.value = c.buf
	}
	p.settle(c, nil)
}

// expire gives up the calls whose default timeout is over, and returns when the next one is.
// With p.mu held.
func (p *Peer) expire(now time.Duration) (next time.Duration) {
	for _, c := range p.calls {
		switch {
		case !c.expires:
		case c.due <= now:
			p.giveUp(c, fromContext(context.DeadlineExceeded, No))
		case next == 0 || c.due < next:
			next = c.due
		}
	}
	return next
}
