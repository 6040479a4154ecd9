package rpc

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/chumsync/chum/wire"
)

// serving is a call of the other side. It is in Peer.servings until its answer was taken or it
// is cancelled; its handler may run on after that. It holds its slot, one of Options.MaxCalls,
// until both are over.
type serving struct {
	exchange
	service *service
	mode    mode
	form    wire.Form // of the arguments
	args    []byte
	pooled  *[]byte // what args lie in, if it goes back to argBuffers
	longArg int     // bytes of args that are accounted in Peer.assembling
	drawn   int     // and in Peer.account
	answer  int     // bytes of a long answer, accounted in Peer.answering and Peer.account
	meta    []byte
	key     string // of a keyed call
	ran     bool   // the handler was called
	box     any    // what the service keeps between run and result
	worker  *worker
	ctx     handlerContext
	began   time.Duration // when the request came, on the peer's clock
	open    bool          // in Peer.servings
	busy    bool          // a worker has it: the handler has not returned
}

// argBuffers hold the arguments of calls until their handlers have read them.
var argBuffers = sync.Pool{New: func() any { return new([]byte) }}

// freeArgs lets go of the arguments once they are decoded. Raw ones are the handler's now.
func (s *serving) freeArgs() {
	if s.pooled != nil {
		*s.pooled = s.args[:0]
		argBuffers.Put(s.pooled)
		s.pooled = nil
	}
	s.args = nil
}

// do runs the handler and answers.
func (s *serving) do(w *worker) {
	s.worker = w
	defer s.finished()
	defer func() {
		if r := recover(); r != nil {
			s.panicked(r)
		}
	}()
	if s.key != "" {
		s.doKeyed()
		return
	}
	if err := s.handle(); err != nil {
		s.fail(err)
		return
	}
	s.reply()
}

// handle runs the handler if the rule lets it, with the middlewares around.
func (s *serving) handle() error {
	chain := s.p.opt.OnServe
	if len(chain) == 0 {
		return s.handleIn(&s.ctx)
	}
	err := around(&s.ctx, chain, CallInfo{s.service.Name, s.service.Kind, s.p}, s.handleIn)
	if err == nil && !s.ran {
		err = Errorf(Internal, "a middleware did not go on with the call")
	}
	return err
}

func (s *serving) handleIn(ctx context.Context) error {
	if s.ran {
		return Errorf(Internal, "a middleware went on twice with a call that it serves")
	}
	if err := s.service.rule(ctx, s.service.Name, s.p); err != nil {
		return notRun(PermissionDenied, err)
	}
	return s.service.run(ctx, s)
}

func (s *serving) panicked(why any) {
	s.p.opt.Logger.Error("rpc: handler panicked", "method", s.service.Name, "panic", why, "stack", string(debug.Stack()))
	s.answerError(&Error{Code: Internal, Message: "the handler panicked", Executed: s.executed()})
}

// executed tells whether the handler was called.
func (s *serving) executed() Executed {
	if s.ran {
		return Yes
	}
	return No
}

// finished gives the handler's slot back.
func (s *serving) finished() {
	p := s.p
	s.ctx.cancel(context.Canceled)
	if !s.busy { // it answered; nobody else sets that
		return
	}
	p.mu.Lock()
	if s.open && (s.out == nil || !s.out.last) { // no answer, not even one that waits its turn: runtime.Goexit
		p.refuseID(s.id, failure(Internal, Yes, "the handler ended without an answer"))
		p.forget(s, nil)
		p.stats.In.Failed++
		p.kick()
	}
	s.returned()
	p.mu.Unlock()
}

// returned gives back what a handler holds while it runs. That is before its answer goes out:
// who has an answer may count on it with the next call. With p.mu held.
func (s *serving) returned() {
	if !s.busy {
		return
	}
	s.busy = false
	if s.p.stranger && !s.p.over {
		s.p.strangerIdle()
	}
	if s.in != nil {
		s.in.leave()
	}
	s.p.assembling -= s.longArg
	s.p.account.give(s.drawn)
	s.p.freeSlot(s)
}

// forget takes an answered call out of the table. With p.mu held.
func (p *Peer) forget(s *serving, err error) {
	delete(p.servings, s.id)
	p.answering -= s.answer
	p.account.give(s.answer)
	s.open = false
	s.close(err)
	p.freeSlot(s)
}

// freeSlot gives a call's slot back when it has neither to run nor to be answered any more.
// With p.mu held.
func (p *Peer) freeSlot(s *serving) {
	if s.open || s.busy {
		return
	}
	p.running--
	if s.mode != 0 {
		p.streaming--
	}
	p.checkDrained()
}

// abandon ends a call that nobody waits for any more. With p.mu held.
func (p *Peer) abandon(s *serving, why error) {
	p.forget(s, fromContext(why, Yes))
	p.stats.In.Failed++
	s.ctx.cancel(why)
}

// replyBuffers hold results while they are encoded.
var replyBuffers = sync.Pool{New: func() any { return new([]byte) }}

// reply sends what the handler gave.
func (s *serving) reply() {
	buf := replyBuffers.Get().(*[]byte)
	form, b, err := s.service.result(s, (*buf)[:0], s.p.plain.Load())
	if err != nil {
		s.answerError(s.unencodable(err))
	} else if free := s.result(form, b); form != wire.Bytes { // else it is the handler's, not ours
		*buf = nil // a long value is read while it is sent
		if free {
			*buf = b
		}
	}
	if cap(*buf) <= 64<<10 {
		replyBuffers.Put(buf)
	}
}

func (s *serving) unencodable(err error) *Error {
	s.p.opt.Logger.Error("rpc: result cannot be encoded", "method", s.service.Name, "error", err)
	return failure(Internal, Yes, "the result cannot be sent: it cannot be written as JSON")
}

// result queues the result, behind the stream if there is one. It reports whether b is the
// caller's again.
func (s *serving) result(form wire.Form, b []byte) (free bool) {
	p := s.p
	p.mu.Lock()
	s.returned()
	if !s.open {
		p.mu.Unlock()
		return true
	}
	p.patience.answered()
	f := wire.Frame{Kind: wire.Result, Form: form, ID: s.id}
	switch {
	case len(b) > p.remote.Limits.Value:
		p.refuseID(s.id, failure(ResourceExhausted, Yes, "the result has %d bytes, the caller takes %d; the method should stream", len(b), p.remote.Limits.Value))
		p.stats.In.Failed++
		p.forget(s, nil)
	case len(b) >= bulkFrom && (p.answering+len(b) > p.opt.MaxAssembly || !p.account.draw(len(b))):
		// To wait would hold the very memory that is short.
		p.refuseID(s.id, failure(ResourceExhausted, Yes, "the result has %d bytes, and %d of others wait to be taken: ask for fewer at once", len(b), p.answering))
		p.stats.In.Failed++
		p.forget(s, nil)
	case len(b) >= bulkFrom:
		s.answer = len(b)
		p.answering += len(b)
		// The call stays in the table until the last of it was taken, so that it can be cancelled.
		s.flow().setValue(f, b)
		s.out.last = true
	case s.out != nil && s.out.pending():
		f.Payload = b
		s.out.queue(f)
		s.out.last = true
	default:
		if s.mode == 0 {
			p.line.window.called = p.heard
		}
		p.line.head(f, len(b))
		p.line.out = append(p.line.out, b...)
		p.line.owed += wire.MaxHead + len(b)
		p.stats.In.Succeeded++
		p.forget(s, nil)
	}
	s.writeOut()
	return len(b) < bulkFrom
}

// writeOut lets go of p.mu and sees to it that what was queued is sent: by this goroutine if
// the line is idle. Else it has nothing left to do, and may rest.
func (s *serving) writeOut() {
	mine := s.p.claim()
	if mine == nil {
		s.p.rest(s.worker)
	}
	s.p.mu.Unlock()
	s.p.write(mine, once)
}

// fail answers with an error of the handler, or of what came before it.
func (s *serving) fail(err error) {
	e := &Error{Executed: s.executed()}
	var known *Error
	switch {
	case errors.As(err, &known):
		e.Code, e.Message, e.Data = known.Code, known.Message, known.Data
	case errors.Is(err, context.Canceled):
		e.Code, e.Message = Cancelled, "the handler was cancelled"
	case errors.Is(err, context.DeadlineExceeded):
		e.Code, e.Message = DeadlineExceeded, "the handler's time was over"
	case !s.awaited():
		return // most likely it failed because nobody waits for an answer
	default:
		s.p.opt.Logger.Error("rpc: handler failed", "method", s.service.Name, "error", err)
		e.Code, e.Message = Internal, "the handler failed; its log says why"
	}
	s.answerError(e)
}

func (s *serving) awaited() bool {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.open
}

// notRun makes the error for a call whose handler is not run.
func notRun(code Code, err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Code: code, Message: err.Error()}
}

// answerError queues an error, behind the items of the stream if there are some.
func (s *serving) answerError(e *Error) {
	p := s.p
	p.mu.Lock()
	s.returned()
	if !s.open {
		p.mu.Unlock()
		return
	}
	p.patience.answered()
	if s.out != nil && s.out.pending() {
		s.out.queue(wire.Frame{Kind: wire.Error, ID: s.id, Payload: appendError(nil, e)})
		s.out.last, s.out.failed = true, true
	} else {
		p.refuseID(s.id, e)
		p.stats.In.Failed++
		p.forget(s, nil)
	}
	s.writeOut()
}

// answered forgets a call whose answer had to wait its turn, now that it was taken. With p.mu
// held.
func (p *Peer) answered(o *outflow) {
	s := p.servings[o.x.id]
	if o.failed {
		p.stats.In.Failed++
	} else {
		p.stats.In.Succeeded++
	}
	p.forget(s, nil)
}

// refuseID queues an error for a call that has no serving, or none any more. With p.mu held.
func (p *Peer) refuseID(id uint64, e *Error) {
	p.line.owe(wire.Frame{Kind: wire.Error, ID: id, Payload: appendError(nil, e)})
}

// A task is something a worker does.
type task interface{ do(w *worker) }

// A worker is a goroutine that runs handlers, one after the other. It is kept, since a fresh
// goroutine has to grow its stack each time (measured: 0.6 of the typed calls per second).
type worker struct {
	task    chan task
	idle    time.Duration // since when, on the peer's clock
	resting bool          // it is in Peer.idle; known to itself only
}

// run gives a task to a worker. With p.mu held; it never waits.
func (p *Peer) run(t task) {
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		w.task <- t // has room: an idle worker has no task
		return
	}
	go p.work(&worker{task: make(chan task, 1)}, t)
}

func (p *Peer) work(w *worker, t task) {
	for ok := true; ok; t, ok = <-w.task {
		w.resting = false
		t.do(w)
		if w.resting {
			continue
		}
		p.mu.Lock()
		p.rest(w)
		p.mu.Unlock()
		if !w.resting {
			return
		}
	}
}

// rest makes a worker one that may be given a task. It may still have to return from its last,
// but that takes no time. With p.mu held.
func (p *Peer) rest(w *worker) {
	if !p.over && !w.resting {
		w.resting = true
		w.idle = p.health.lastTick
		p.idle = append(p.idle, w)
		p.health.wakeBy(p.heard + 2*idleWorkers)
	}
}

// trim lets workers go that had nothing to do since the time given. With p.mu held.
func (p *Peer) trim(since time.Duration) {
	n := 0
	for n < len(p.idle) && p.idle[n].idle < since {
		close(p.idle[n].task)
		n++
	}
	p.idle = append(p.idle[:0], p.idle[n:]...)
	clear(p.idle[len(p.idle):cap(p.idle)])
}

// handlerContext is a handler's context.Context. Its channel and timer are made only when a
// handler asks for them.
type handlerContext struct {
	s        *serving
	deadline time.Time

	mu    sync.Mutex
	done  chan struct{}
	err   error
	timer *time.Timer
	after map[*int]func()
}

// peerKey finds the caller's peer in a handler's context.
type peerKey struct{}

// servingKey finds the call itself.
type servingKey struct{}

// PeerFrom returns the peer that made the call which a handler's context belongs to, for
// calling back or telling who asks. It is nil in any other context.
func PeerFrom(ctx context.Context) *Peer {
	p, _ := ctx.Value(peerKey{}).(*Peer)
	return p
}

func (c *handlerContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

func (c *handlerContext) Value(key any) any {
	switch key {
	case peerKey{}:
		return c.s.p
	case servingKey{}:
		return c.s
	case outgoingKey{}:
		return c.s.priority.outgoing()
	}
	return nil
}

func (c *handlerContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	c.watchDeadline()
	return c.done
}

// watchDeadline starts the timer. With c.mu held.
func (c *handlerContext) watchDeadline() {
	if c.timer == nil && c.err == nil && !c.deadline.IsZero() {
		c.timer = time.AfterFunc(time.Until(c.deadline), func() { c.cancel(context.DeadlineExceeded) })
	}
}

func (c *handlerContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		return context.DeadlineExceeded
	}
	return c.err
}

// AfterFunc spares package context a goroutine per derived context: it looks for this method.
func (c *handlerContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	if c.after == nil {
		c.after = make(map[*int]func())
	}
	c.watchDeadline()
	key := new(int)
	c.after[key] = f
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, ok := c.after[key]
		delete(c.after, key)
		return ok
	}
}

// cancel ends the context; the first reason stays.
func (c *handlerContext) cancel(why error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = why
	if c.done != nil {
		close(c.done)
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	after := c.after
	c.after = nil
	c.mu.Unlock()
	for _, f := range after {
		go f()
	}
}
