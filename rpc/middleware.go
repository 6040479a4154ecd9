package rpc

import "context"

// A Middleware stands around calls, those that a peer makes (Options.OnCall) or those that it
// serves (Options.OnServe): for tracing, counting, logging, refusing, changing the context.
//
// It is called with each call and goes on with next, which returns when the call has ended:
// after the last item, if it streams. What the middleware returns is the call's error. It may
// return one without next: then the call is not made, or the handler not run. Many calls run
// it at the same time.
//
// Around calls that are made, ctx and what [WithMetadata] adds to it are the caller's; around
// those that are served, ctx is the handler's, and the rule is asked within next. A promise or
// a stream that this side asked for is around before it is returned: the middleware then runs
// on a goroutine of its own, and what it returns after next is not seen any more.
type Middleware func(ctx context.Context, call CallInfo, next func(context.Context) error) error

// CallInfo tells a [Middleware] which call it stands around.
type CallInfo struct {
	Method string
	Kind   string // call, source, sink or duplex
	Peer   *Peer  // the connection that it goes over
}

// around runs f with the middlewares around it, the first of them outermost.
func around(ctx context.Context, chain []Middleware, info CallInfo, f func(context.Context) error) error {
	if len(chain) == 0 {
		return f(ctx)
	}
	return chain[0](ctx, info, func(ctx context.Context) error { return around(ctx, chain[1:], info, f) })
}

// beginAround is begin with middlewares around: the call is started within them.
func (c *call) beginAround(ctx context.Context, start func(context.Context)) {
	started := make(chan struct{})
	go func() {
		begun := false
		err := around(ctx, c.p.opt.OnCall, CallInfo{c.method, c.mode.String(), c.p}, func(ctx context.Context) error {
			if begun {
				return failure(FailedPrecondition, No, "rpc: %s: a middleware may go on once with a promise or a stream", c.method)
			}
			begun = true
			start(ctx)
			close(started)
			<-c.done
			return c.err
		})
		if !begun {
			if err == nil {
				err = failure(Cancelled, No, "rpc: %s: a middleware did not go on with the call", c.method)
			}
			c.err = callError(err)
			close(c.done)
			close(started)
		}
	}()
	<-started
}

// callError makes what a middleware returned the error of a call.
func callError(err error) error {
	if _, ok := err.(*Error); ok || err == nil {
		return err
	}
	return restate(err, ExecutedOf(err))
}
