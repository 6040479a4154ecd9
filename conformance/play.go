package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/chumsync/chum/rpc"
)

// players make a call of each method: typed, as a program would.
var players = map[string]func(context.Context, *rpc.Peer, *Call) Outcome{
	string(about):       asks(about),
	string(echo):        asks(echo),
	string(echoText):    asks(echoText),
	string(echoInteger): asks(echoInteger),
	string(echoNumber):  asks(echoNumber),
	string(echoFlag):    asks(echoFlag),
	string(echoList):    asks(echoList),
	string(echoMap):     asks(echoMap),
	string(echoRecord):  asks(echoRecord),
	string(echoPart):    asks(echoPart),
	string(echoAny):     asks(echoAny),
	string(measure):     asks(measure),
	string(give):        asks(give),
	string(hi):          asks(hi),
	string(nothing):     asks(nothing),
	string(fail):        asks(fail),
	string(crash):       asks(crash),
	string(hang):        asks(hang),
	string(wait):        asks(wait),
	string(started):     asks(started),
	string(cancelled):   asks(cancelled),
	string(metadata):    asks(metadata),
	string(tally):       asks(tally),
	string(tallied):     asks(tallied),
	string(count):       takes(count),
	string(zero):        takes(zero),
	string(read):        takes(read),
	string(parts):       takes(parts),
	string(breakOff):    takes(breakOff),
	string(drip):        takes(drip),
	string(total):       feeds(total),
	string(write):       feeds(write),
	string(first):       feeds(first),
	string(deaf):        feeds(deaf),
	string(refuse):      feeds(refuse),
	string(chat):        exchanges(chat),
	string(double):      exchanges(double),
	string(pass):        exchanges(pass),
	string(back):        asks(back),
}

// play makes a call and tells what came of it. cut resets the connection; nil is for the side that cannot.
func play(ctx context.Context, p *rpc.Peer, c *Call, cut func()) Outcome {
	o := outcome(ctx, p, c, cut)
	if c.Cancel+c.Cut != "" || c.Timeout > 0 && o.Code != "" {
		o.Items = nil // how much had come by then is chance
	}
	if c.Timeout > 0 && o.Code == string(rpc.DeadlineExceeded) {
		o.Executed = "" // so is which side was first to see the time run out
	}
	return o
}

func outcome(ctx context.Context, p *rpc.Peer, c *Call, cut func()) Outcome {
	player := players[c.Method]
	switch {
	case c.Cut != "" && cut == nil:
		return cannot(errors.New("only the side that connects can cut"))
	case c.Args != nil || c.Named:
		player = asksByName
	case player == nil:
		return cannot(fmt.Errorf("a method that is not of the suite: %q", c.Method))
	}
	if c.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(c.Timeout)*time.Millisecond)
		defer stop()
	}
	calling, cancel := context.WithCancel(ctx)
	defer cancel()
	calling = with(calling, c)
	if c.Cancel == "" && c.Cut == "" {
		return player(calling, p, c)
	}
	done := make(chan Outcome, 1)
	go func() { done <- player(calling, p, c) }()
	ready := started.Go(ctx, p, c.Cancel+c.Cut)
	if _, err := ready.Await(); err != nil {
		cancel()
		<-done
		return failed(err)
	}
	if c.Cancel != "" {
		cancel()
	} else {
		cut()
	}
	return <-done
}

// with says what goes with a call.
func with(ctx context.Context, c *Call) context.Context {
	for key, value := range c.Metadata {
		ctx = rpc.WithMetadata(ctx, key, value) //nolint:fatcontext // each adds to the one before
	}
	if c.Key != "" {
		ctx = rpc.WithKey(ctx, c.Key)
	}
	if c.Repeat {
		ctx = rpc.Repeatable(ctx)
	}
	if c.Priority != 0 {
		ctx = rpc.WithPriority(ctx, rpc.Priority(c.Priority))
	}
	return ctx
}

func failed(err error) Outcome {
	o := Outcome{Code: string(rpc.CodeOf(err)), Executed: string(rpc.ExecutedOf(err))}
	if e, ok := errors.AsType[*rpc.Error](err); ok {
		o.Data = e.Data
	}
	return o
}

// cannot is the outcome of a case that is wrong itself.
func cannot(err error) Outcome { return Outcome{Code: "no such case", Data: writeData(err.Error())} }

// asksByName makes the call as a program does that knows no types.
func asksByName(ctx context.Context, p *rpc.Peer, c *Call) Outcome {
	args := make([]any, len(c.Args))
	for i, arg := range c.Args {
		if m, ok := readMarker(arg); ok && m.Numbers == nil {
			b, err := m.bytes()
			if err != nil {
				return cannot(err)
			}
			args[i] = b
			continue
		}
		args[i] = arg
	}
	var v rpc.Value
	if err := p.Send(ctx, c.Method, args...).Await(&v); err != nil {
		return failed(err)
	}
	switch {
	case v.Body == nil && v.JSON == nil:
		return Outcome{Result: writeData(nil)}
	case v.Body == nil:
		return Outcome{Result: v.JSON}
	case v.JSON == nil:
		return Outcome{Result: writeData(v.Body)}
	}
	return Outcome{Result: writeData([]any{v.JSON, v.Body})}
}

func asks[A, R any](m rpc.Method[A, R]) func(context.Context, *rpc.Peer, *Call) Outcome {
	return func(ctx context.Context, p *rpc.Peer, c *Call) Outcome {
		var a A
		if err := readData(c.Arg, &a); err != nil {
			return cannot(err)
		}
		return answered(m.Call(ctx, p, a))
	}
}

func answered[R any](r R, err error) Outcome {
	if err != nil {
		return failed(err)
	}
	if _, ok := any(r).(struct{}); ok {
		return Outcome{Result: writeData(nil)}
	}
	return Outcome{Result: writeData(r)}
}

func takes[A, Out any](m rpc.Source[A, Out]) func(context.Context, *rpc.Peer, *Call) Outcome {
	return func(ctx context.Context, p *rpc.Peer, c *Call) Outcome {
		var a A
		if err := readData(c.Arg, &a); err != nil {
			return cannot(err)
		}
		return drained(m.Call(ctx, p, a), c.Take)
	}
}

// drained reads a stream, or as many items of it.
func drained[T any](stream iter.Seq2[T, error], take int) (o Outcome) {
	var list []T
	for v, err := range stream {
		if err != nil {
			o = failed(err)
			break
		}
		if b, ok := any(v).([]byte); ok {
			v, _ = any(bytes.Clone(b)).(T)
		}
		if list = append(list, v); len(list) == take {
			break
		}
	}
	if list == nil {
		list = []T{}
	}
	o.Items = writeItems(list)
	return o
}

func feeds[A, In, R any](m rpc.Sink[A, In, R]) func(context.Context, *rpc.Peer, *Call) Outcome {
	return func(ctx context.Context, p *rpc.Peer, c *Call) Outcome {
		var a A
		items, err := readItems[In](c.Items)
		if err := errors.Join(err, readData(c.Arg, &a)); err != nil {
			return cannot(err)
		}
		return answered(m.Call(ctx, p, a, numbers(len(items), func(i int) In { return items[i] })))
	}
}

func exchanges[A, In, Out any](m rpc.Duplex[A, In, Out]) func(context.Context, *rpc.Peer, *Call) Outcome {
	return func(ctx context.Context, p *rpc.Peer, c *Call) Outcome {
		var a A
		items, err := readItems[In](c.Items)
		if err := errors.Join(err, readData(c.Arg, &a)); err != nil {
			return cannot(err)
		}
		return drained(m.Call(ctx, p, a, numbers(len(items), func(i int) In { return items[i] })), c.Take)
	}
}
