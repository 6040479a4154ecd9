package session

import (
	"context"
	"time"

	"github.com/chumsync/chum/wire"
)

// Redial opens a new session where one was lost for good: because the server was started
// anew, or was away for too long. It calls [Dial] until that succeeds, at once and then with
// exponential back-off and full jitter of up to 3 s, without end, and returns an error only when
// ctx has ended. options.OnState is told of each try. It serves as rpc.Options.Redial.
func Redial(ctx context.Context, dial func(context.Context) (wire.Conn, error), options *Options) (wire.Conn, error) {
	tell := func(State) {}
	if options != nil && options.OnState != nil {
		tell = options.OnState
	}
	var why error
	for failed := 0; ; failed++ {
		wait := backOff(failed)
		tell(State{Phase: Waiting, Err: why, Attempt: failed + 1, Next: time.Now().Add(wait)})
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		c, err := dialOnce(ctx, dial, options)
		if err == nil {
			return c, nil
		}
		why = err
	}
}

func dialOnce(ctx context.Context, dial func(context.Context) (wire.Conn, error), options *Options) (wire.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tryTime, errNoAnswer)
	defer cancel()
	return Dial(ctx, dial, options)
}
