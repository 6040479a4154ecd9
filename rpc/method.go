package rpc

import (
	"context"

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
// what arrives is checked with it before anyone sees it.
type Method[A, R any] string

// Call asks the peer and waits for the answer. It ends with ctx, with the deadline of ctx
// (or, if it has none, of Options.CallTimeout) or with the connection; the error is an
// [Error]. A []byte in a must not change until Call returns.
func (m Method[A, R]) Call(ctx context.Context, p *Peer, a A) (R, error) {
	var r R
	c := p.newCall(string(m), 0)
	form, args, err := appendParams(c.scratch(), &a, p.plain.Load())
	if err == nil {
		err = c.await(ctx, form, args)
	} else {
		err = badArguments(string(m), err)
	}
	if err == nil {
		err = decodeResult(c, &r)
	}
	c.release()
	return r, err
}

// Go asks the peer and returns at once with a promise of the answer. Nothing is sent on the
// caller's goroutine. The call is cancelled when ctx ends. A []byte in a must not change
// until the promise is done.
func (m Method[A, R]) Go(ctx context.Context, p *Peer, a A) *PromiseOf[R] {
	c := p.newCall(string(m), 0)
	form, args, err := appendParams(nil, &a, p.plain.Load())
	c.begin(ctx, form, args, err)
	return &PromiseOf[R]{c: c}
}

// Handle puts the method on a Mux. The handler gets a context that ends when the caller
// cancels, when its time is over or when the connection ends, and in which [PeerFrom] finds
// the caller's peer. Many calls run at the same time. An error that is not an [Error] is
// logged here and reaches the caller as "internal" without its text.
func (m Method[A, R]) Handle(mux *Mux, fn func(context.Context, A) (R, error), options ...HandleOption) {
	mux.put(&service{
		MethodInfo: MethodInfo{Name: string(m), Args: typeOf[A](), Result: typeOf[R]()},
		serve: func(s *serving) {
			var a A
			if err := decodeParams(s.form, s.args, &a); err != nil {
				s.refuse(InvalidArgument, err)
				return
			}
			s.freeArgs()
			r, err := fn(&s.ctx, a)
			if err != nil {
				s.fail(err)
				return
			}
			s.reply(func(b []byte, plain bool) (wire.Form, []byte, error) { return appendValue(b, &r, plain) })
		},
	}, options)
}

func badArguments(method string, err error) *Error {
	return failure(InvalidArgument, No, "rpc: %s: the arguments cannot be sent: %w", method, err)
}

func decodeResult[R any](c *call, r *R) error {
	if err := decodeValue(c.form, c.value, r); err != nil {
		return failure(DataLoss, Yes, "rpc: %s: the answer is not what it should be: %w", c.method, err)
	}
	return nil
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
	var r R
	if p.c.err != nil {
		return r, p.c.err
	}
	return r, decodeResult(p.c, &r)
}
