package rpc

import (
	"context"
	"sync"

	"github.com/chumsync/chum/wire"
)

// Method names a method that takes an A and answers once with an R. Declared as a constant,
// it is written once and used by both sides:
//
//	const GetObject rpc.Method[object.Hash, []byte] = "getObject"
//
// How Go types travel: a []byte raw; a struct as JSON, its fields by name or by position; a
// struct whose last field is a []byte as JSON with that field raw beside it; struct{} as
// nothing; anything else as encoding/json has it. If A or R has a method Validate() error,
// what arrives is checked with it before anyone sees it. Tags minimum and maximum of a field bound
// the numbers in it, also those in a list or a map.
type Method[A, R any] string

// Call asks the peer and waits for the answer. It ends with ctx, with the deadline of ctx
// (or, if it has none, of Options.CallTimeout) or with the connection; the error is an
// [Error]. A []byte in a must not change until Call returns.
func (m Method[A, R]) Call(ctx context.Context, p *Peer, a A) (R, error) {
	if len(p.opt.OnCall) > 0 {
		return m.callAround(ctx, p, a)
	}
	return m.call(ctx, p, a)
}

func (m Method[A, R]) call(ctx context.Context, p *Peer, a A) (r R, err error) {
	c := p.newCall(string(m), 0)
	form, args, err := encodeParams(c, a)
	if err == nil {
		err = c.await(ctx, form, args)
	} else {
		err = badArguments(string(m), err)
	}
	if err == nil {
		r, err = decodeResult[R](c)
	}
	c.release()
	return r, err
}

func (m Method[A, R]) callAround(ctx context.Context, p *Peer, a A) (R, error) {
	var r R
	err := around(ctx, p.opt.OnCall, CallInfo{string(m), "call", p}, func(ctx context.Context) (err error) {
		r, err = m.call(ctx, p, a)
		return err
	})
	if err != nil {
		return *new(R), callError(err)
	}
	return r, nil
}

// Go asks the peer and returns at once with a promise; nothing is sent on the caller's
// goroutine. See Call for when it ends; a []byte in a must not change until then.
func (m Method[A, R]) Go(ctx context.Context, p *Peer, a A) *PromiseOf[R] {
	c := p.newCall(string(m), 0)
	form, args, err := encodeParams(c, a)
	c.begin(ctx, form, args, err)
	return &PromiseOf[R]{c: c}
}

// Handle puts the method on a Mux. The handler gets a context that ends when the caller
// cancels, when its time is over or when the connection ends, and in which [PeerFrom] finds
// the caller's peer. Many calls run at the same time. A []byte that it returns must not change
// any more. An error that is not an [Error] is logged here and reaches the caller as
// "internal" without its text.
func (m Method[A, R]) Handle(mux *Mux, fn func(context.Context, A) (R, error), options ...HandleOption) {
	boxes := &sync.Pool{New: func() any { return new(box[A, R]) }}
	mux.put(&service{
		MethodInfo: m.declared(),
		run: func(ctx context.Context, s *serving) (err error) {
			b := boxes.Get().(*box[A, R])
			s.box = b
			if err := decodeParams(s.form, s.args, &b.a); err != nil {
				return notRun(InvalidArgument, err)
			}
			s.freeArgs()
			s.ran = true
			b.r, err = fn(ctx, b.a)
			return err
		},
		result: func(s *serving, buf []byte, plain bool) (wire.Form, []byte, error) {
			b := s.box.(*box[A, R])
			form, buf, err := encodeValue(buf, &b.r, plain)
			*b = box[A, R]{}
			boxes.Put(b)
			return form, buf, err
		},
	}, options)
}

// box is where the argument and the result of a call lie while it is served, to be used again:
// on the stack they cannot be, since the codec takes their addresses.
type box[A, R any] struct {
	a A
	r R
}

// encodeParams encodes the argument of a call, into its buffer or, if it is a []byte, not at
// all.
func encodeParams[A any](c *call, a A) (form wire.Form, args []byte, err error) {
	plain := c.p.plain.Load()
	if raw, ok := any(a).([]byte); ok && !plain {
		return wire.Bytes, raw, nil
	}
	form, args, err = appendParamsOf(c.buf[:0], a, plain)
	c.buf = args[:0]
	return form, args, err
}

// appendParamsOf keeps the argument's escape to the heap out of the way of those that need none.
func appendParamsOf[A any](b []byte, a A, plain bool) (wire.Form, []byte, error) {
	return appendParams(b, &a, plain)
}

// encodeValue is appendValue without copying a []byte.
func encodeValue[R any](b []byte, r *R, plain bool) (wire.Form, []byte, error) {
	if raw, ok := any(r).(*[]byte); ok && !plain {
		return wire.Bytes, *raw, nil
	}
	return appendValue(b, r, plain)
}

func badArguments(method string, err error) *Error {
	return failure(InvalidArgument, No, "rpc: %s: the arguments cannot be sent: %w", method, err)
}

// decodeResult reads the answer of a call.
func decodeResult[R any](c *call) (R, error) {
	if c.form == wire.Bytes {
		if r, ok := any(c.value).(R); ok {
			return r, nil
		}
	}
	return decodeResultOf[R](c)
}

// decodeResultOf is decodeResult for all but a []byte, whose result has to be on the heap.
func decodeResultOf[R any](c *call) (R, error) {
	var r R
	if err := decodeValue(c.form, c.value, &r); err != nil {
		return r, failure(DataLoss, Yes, "rpc: %s: the answer is not what it should be: %w", c.method, err)
	}
	return r, nil
}

// A Promise is the answer to come of an untyped call, see [Peer.Send]. All its methods may be
// called at any time by anyone, any number of times.
type Promise struct{ c *call }

// Done is closed when the answer, or the error, is there.
func (p *Promise) Done() <-chan struct{} { return p.c.done }

// Await waits until the call has ended and stores its result in the variable that into points
// at: a *[]byte for raw bytes, a *[Value] for anything, nil to drop it. It ends when the
// context does that was given to Send.
func (p *Promise) Await(into any) error {
	<-p.c.done
	if p.c.err != nil {
		return p.c.err
	}
	if into == nil {
		return nil
	}
	if err := store(p.c.form, p.c.value, into); err != nil {
		return failure(DataLoss, Yes, "rpc: %s: the answer is not what was expected: %w", p.c.method, err)
	}
	return nil
}

// PromiseOf is the answer to come of a typed call. All its methods may be called at any time
// by anyone, any number of times.
type PromiseOf[R any] struct{ c *call }

// Done is closed when the answer, or the error, is there.
func (p *PromiseOf[R]) Done() <-chan struct{} { return p.c.done }

// Await waits until the call has ended and returns what [Method.Call] would have. Calling it
// again returns the same result; a []byte is then the same slice.
func (p *PromiseOf[R]) Await() (R, error) {
	<-p.c.done
	if p.c.err != nil {
		return *new(R), p.c.err
	}
	return decodeResult[R](p.c)
}
