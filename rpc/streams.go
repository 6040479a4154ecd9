package rpc

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/chumsync/chum/wire"
)

// Source names a method that takes an A and answers with a stream of Outs. Caller and handler
// have it as an iterator: an error, if there is one, comes last. See [Method] for how types
// travel; each item is checked as a result is.
type Source[A, Out any] string

// Sink names a method that takes an A and a stream of Ins, and answers once with an R.
type Sink[A, In, R any] string

// Duplex names a method that takes an A and a stream of Ins, and answers with a stream of
// Outs. The two streams run side by side.
type Duplex[A, In, Out any] string

// Call makes the call when the sequence is ranged over, once each time. Ending the loop early
// cancels it. How much comes before it is asked for is bounded: a reader that stops, stops
// the handler. Items that are []byte are the receiver's to keep.
func (m Source[A, Out]) Call(ctx context.Context, p *Peer, a A) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		stream[Out](ctx, p, string(m), takes, &a, nil, yield)
	}
}

// Handle puts the method on a Mux. The sequence is ranged over once, on the call's goroutine;
// its context ends when nobody wants more. See [Method.Handle] for errors.
func (m Source[A, Out]) Handle(mux *Mux, fn func(context.Context, A) iter.Seq2[Out, error], options ...HandleOption) {
	mux.put(&service{
		MethodInfo: m.declared(),
		mode:       takes,
		run: withArgs(func(ctx context.Context, s *serving, a A) error {
			return s.sendAll(ctx, sending(fn(ctx, a)))
		}),
		result: nothing,
	}, options)
}

// Call feeds the items of in to the peer, on the caller's goroutine and no faster than the
// handler takes them, and waits for the answer. An error from in cancels the call and is
// returned. When the handler answers before it has taken all, the rest is left.
func (m Sink[A, In, R]) Call(ctx context.Context, p *Peer, a A, in iter.Seq2[In, error]) (R, error) {
	var r R
	c, err := open(ctx, p, string(m), feeds, &a)
	if err != nil {
		return r, err
	}
	defer c.cancel(context.Canceled) // if in panics
	c.feed(ctx, sending(in))
	<-c.done
	if c.err != nil {
		return r, c.err
	}
	return decodeResult[R](c)
}

// Handle puts the method on a Mux. The handler ranges over in once; what it leaves is
// dropped. See [Method.Handle] for errors.
func (m Sink[A, In, R]) Handle(mux *Mux, fn func(context.Context, A, iter.Seq2[In, error]) (R, error), options ...HandleOption) {
	mux.put(&service{
		MethodInfo: m.declared(),
		mode:       feeds,
		run: withArgs(func(ctx context.Context, s *serving, a A) error {
			r, err := fn(ctx, a, receiving[In](s.in))
			s.box = &r
			return err
		}),
		result: boxed[R],
	}, options)
}

// Call makes the call when the sequence is ranged over, once each time. The items of in are
// fed on a goroutine of their own, which ends with the call, or, if in is waiting for
// something then, at in's next step. An error from in cancels the call and comes out as its
// error.
func (m Duplex[A, In, Out]) Call(ctx context.Context, p *Peer, a A, in iter.Seq2[In, error]) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		stream[Out](ctx, p, string(m), takes|feeds, &a, sending(in), yield)
	}
}

// Handle puts the method on a Mux. The handler may range over in while it yields, or on a
// goroutine of its own. See [Method.Handle] for errors.
func (m Duplex[A, In, Out]) Handle(mux *Mux, fn func(context.Context, A, iter.Seq2[In, error]) iter.Seq2[Out, error], options ...HandleOption) {
	mux.put(&service{
		MethodInfo: m.declared(),
		mode:       takes | feeds,
		run: withArgs(func(ctx context.Context, s *serving, a A) error {
			return s.sendAll(ctx, sending(fn(ctx, a, receiving[In](s.in))))
		}),
		result: nothing,
	}, options)
}

// withArgs reads a call's argument and hands it on.
func withArgs[A any](fn func(context.Context, *serving, A) error) func(context.Context, *serving) error {
	return func(ctx context.Context, s *serving) error {
		var a A
		if err := decodeParams(s.form, s.args, &a); err != nil {
			return notRun(InvalidArgument, err)
		}
		s.freeArgs()
		s.ran = true
		return fn(ctx, s, a)
	}
}

// boxed is the result of a service that left it in the call's box, nothing that of one whose
// stream says it all.
func boxed[R any](s *serving, b []byte, plain bool) (wire.Form, []byte, error) {
	return encodeValue(b, s.box.(*R), plain)
}

func nothing(_ *serving, b []byte, _ bool) (wire.Form, []byte, error) { return wire.JSON, b, nil }

// encoded is a stream of items on their way out: an encoder for the next one, or an error.
type encoded iter.Seq2[encoder, error]

// sending hides the type of a stream's items.
func sending[T any](items iter.Seq2[T, error]) encoded {
	return func(yield func(encoder, error) bool) {
		for v, err := range items {
			if !yield(func(b []byte, plain bool) (wire.Form, []byte, error) { return appendValue(b, &v, plain) }, err) || err != nil {
				return
			}
		}
	}
}

// sendStream sends items until there are no more, the call has ended, or an item is an error.
// from is set if the error came from the stream itself. One that stops because its context has
// ended is not complete, whatever it says.
func (x *exchange) sendStream(ctx context.Context, items encoded) (from bool, err error) {
	buf := replyBuffers.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= 64<<10 {
			replyBuffers.Put(buf)
		}
	}()
	for encode, err := range items {
		if err != nil {
			return true, err
		}
		form, b, err := encode((*buf)[:0], x.p.plain.Load())
		*buf = b
		if err != nil {
			return true, failure(Internal, Yes, "an item cannot be written as JSON: %w", err)
		}
		if err := x.send(form, b); err != nil {
			return false, err
		}
	}
	if err := ctx.Err(); err != nil {
		return true, err
	}
	return false, x.sendEnd()
}

// sendAll sends a handler's stream.
func (s *serving) sendAll(ctx context.Context, items encoded) error {
	_, err := s.sendStream(ctx, items)
	return err
}

// open starts a call that streams.
func open[A any](ctx context.Context, p *Peer, method string, m mode, a *A) (*call, error) {
	c := p.newCall(method, m)
	form, args, err := encodeParams(c, *a)
	c.begin(ctx, form, args, err)
	if c.id == 0 { // it was not started; one that has ended since may have items to be read
		return nil, c.err
	}
	return c, nil
}

// feed sends a caller's items. If they end in an error, the call is cancelled with it.
func (c *call) feed(ctx context.Context, items encoded) {
	if from, err := c.sendStream(ctx, items); err != nil && from || CodeOf(err) == ResourceExhausted {
		c.abort(err)
	}
}

// abort cancels the call with an error of this side.
func (c *call) abort(err error) {
	p := c.p
	p.mu.Lock()
	if p.calls[c.id] == c {
		e := restate(err, No)
		if e.Code == Internal {
			e.Code = Cancelled
		}
		p.giveUp(c, e)
		p.kick()
	}
	p.mu.Unlock()
}

// stream makes a call and yields what it answers.
func stream[Out, A any](ctx context.Context, p *Peer, method string, m mode, a *A, in encoded, yield func(Out, error) bool) {
	var none Out
	c, err := open(ctx, p, method, m, a)
	if err != nil {
		yield(none, err)
		return
	}
	defer c.leave()
	if in != nil {
		go c.feed(ctx, in)
	}
	for v, err := range receiving[Out](c.in) {
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				err = failure(DataLoss, Yes, "rpc: %s: %w", method, err)
			}
			yield(none, err)
			return
		}
		if !yield(v, nil) {
			return
		}
	}
}

// leave ends a call whose caller has read all it wants of the stream.
func (c *call) leave() {
	c.cancel(context.Canceled)
	c.p.mu.Lock()
	c.in.leave()
	c.p.mu.Unlock()
}

// receiving is a stream of items on their way in.
func receiving[T any](in *inflow) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for n := 0; ; n++ {
			var v T
			it, err := in.next()
			if err == io.EOF {
				return
			}
			if err == nil {
				if err = decodeValue(it.form, it.data, &v); err != nil {
					err = failure(DataLoss, Yes, "item %d of the stream is not what it should be: %w", n+1, err)
				}
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}
