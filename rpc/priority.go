package rpc

import (
	"context"
	"strconv"
)

// A Priority says how large a call's share of the connection is while there is more to send
// than it brings: of its streams and its long values, in both directions. Small calls go
// before them all, whatever their priority.
type Priority int8

// An Interactive call has eight times the share of a Normal one, a Background call an eighth.
// Shares are counted in bytes. Nobody's is nothing: what is of high priority and never ends
// would otherwise hold the rest up for ever.
const (
	Background  Priority = -1
	Normal      Priority = 0
	Interactive Priority = 1
)

// metaPriority is the key of a request's metadata that carries the priority, as a number.
const metaPriority = "rpc.priority"

// WithPriority gives a context whose calls have a priority. It goes on to the calls that their
// handlers make with the context they are given.
func WithPriority(ctx context.Context, priority Priority) context.Context {
	priority = min(max(priority, Background), Interactive)
	ctx = with(ctx, metaPriority, strconv.Itoa(int(priority)))
	outgoingFrom(ctx).priority = priority
	return ctx
}

// priorityOf reads the priority of a request; what is none of ours is Normal, or the nearest.
func priorityOf(meta []byte) Priority {
	n, _ := strconv.Atoi(string(findMetadata(meta, metaPriority)))
	return Priority(min(max(n, int(Background)), int(Interactive)))
}

// share is what a flow of this priority may send each time it is its turn, in bytes. None may
// send more than lies ready in it, so the others get less rather than one more.
func (p Priority) share(turn int) int {
	switch p {
	case Interactive:
		return turn
	case Background:
		return turn / 64
	}
	return turn / 8
}

// outgoing is what a handler's calls inherit; nil if that is nothing.
func (p Priority) outgoing() any {
	if p == Normal {
		return nil
	}
	return outgoingFrom(WithPriority(context.Background(), p))
}
