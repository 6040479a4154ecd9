package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// handlerSleep is how long the handler of scenario sleep works.
const handlerSleep = 10 * time.Millisecond

// payload is what a bytes call carries each way.
var payload = bytes.Repeat([]byte("0123456789"), 10)

// otherCallers have small calls and are named in no goal.
var otherCallers = []string{
	"connect-go", "drpc", "yamux + net/rpc", "jrpc2", "go-ethereum/rpc", "sourcegraph/jsonrpc2",
	"rpc-websockets", "capnweb",
}

var latencyScenario = scenario{
	name:  "latency",
	title: "one call open, both processes on one CPU",
	cases: []benchCase{
		{
			name: "bytes", pin: true, systems: slices.Concat([]string{"chum", "raw TCP", "gobwas/ws", "coder/websocket", "grpc-go", "grpc-go, JSON codec", "NATS", "net/rpc"}, otherCallers),
			columns: []string{"p50 µs", "p99 µs", "CPU-µs/call"},
			run:     calls(1, func(c *client) func(context.Context) error { return bytesCall(c.bytes) }),
		},
		{
			// The floor of a typed call is raw TCP with as many bytes, so it is here again.
			name: "typed", pin: true, systems: slices.Concat([]string{"chum", "raw TCP", "grpc-go", "grpc-go, JSON codec", "NATS", "net/rpc"}, otherCallers),
			columns: []string{"p50 µs", "p99 µs", "CPU-µs/call"},
			run: calls(1, func(c *client) func(context.Context) error {
				if c.typed == nil {
					return bytesCall(c.bytes)
				}
				return c.typed
			}),
		},
	},
}

var callsScenario = scenario{
	name:  "calls",
	title: "100 calls open",
	cases: []benchCase{
		{
			name: "bytes", systems: slices.Concat([]string{"chum", "grpc-go", "grpc-go, raw codec", "grpc-go, JSON codec", "NATS", "net/rpc"}, otherCallers),
			columns: []string{"calls/s", "CPU-µs/call", "client allocs", "server allocs", "allocs"},
			run:     calls(100, func(c *client) func(context.Context) error { return bytesCall(c.bytes) }),
		},
		{
			name: "typed", systems: slices.Concat([]string{"chum", "grpc-go", "grpc-go, JSON codec", "NATS", "net/rpc"}, otherCallers),
			columns: []string{"calls/s", "CPU-µs/call", "client allocs", "server allocs", "allocs"},
			run:     calls(100, func(c *client) func(context.Context) error { return c.typed }),
		},
	},
}

var sleepScenario = scenario{
	name:  "sleep",
	title: "10,000 calls open, the handler sleeps 10 ms",
	cases: []benchCase{{
		name: "bytes", systems: slices.Concat([]string{"chum", "grpc-go", "grpc-go, JSON codec", "NATS", "net/rpc"}, otherCallers),
		columns: []string{"calls/s", "p50 µs", "p99 µs", "CPU-µs/call"},
		run:     calls(0, func(c *client) func(context.Context) error { return bytesCall(c.sleep) }),
	}},
}

// bytesCall calls with payload and looks at the answer. It is nil if call is.
func bytesCall(call func(context.Context, []byte) ([]byte, error)) func(context.Context) error {
	if call == nil {
		return nil
	}
	return func(ctx context.Context) error {
		answer, err := call(ctx, payload)
		if err == nil && !bytes.Equal(answer, payload) {
			err = fmt.Errorf("bench: the answer is %q, want %q", answer, payload)
		}
		return err
	}
}

// calls measures a call with so many open all the time; 0 stands for the size's.
// The latency of each is taken except with 100 open, where reading the clock
// would be a good part of what is measured.
func calls(open int, what func(*client) func(context.Context) error) func(context.Context, *lab, system) (metrics, error) {
	return func(ctx context.Context, l *lab, s system) (metrics, error) {
		open := open
		if open == 0 {
			open = l.Size.Open
		}
		c, err := s.dial(ctx, l.Addr)
		if err != nil {
			return nil, err
		}
		defer c.close()
		call := what(c)
		if call == nil {
			return nil, errors.New("bench: the system has no such call")
		}
		if _, err := callLoad(ctx, call, open, l.Size.Warm, false); err != nil {
			return nil, err
		}
		if err := l.start(); err != nil {
			return nil, err
		}
		during := l.Size.Measure
		if open == l.Size.Open { // each call takes long: give them time for several
			during *= 3
		}
		load, err := callLoad(ctx, call, open, during, open != 100)
		if err != nil {
			return nil, err
		}
		client, server, err := l.stop()
		if err != nil {
			return nil, err
		}
		n := float64(load.all)
		m := metrics{
			"calls/s":       load.rate(during),
			"CPU-µs/call":   float64((client.CPU + server.CPU).Microseconds()) / n,
			"client allocs": float64(client.Mallocs) / n,
			"server allocs": float64(server.Mallocs) / n,
			"allocs":        float64(client.Mallocs+server.Mallocs) / n,
		}
		if load.took != nil {
			m["p50 µs"], m["p99 µs"] = quantile(load.took, 0.5), quantile(load.took, 0.99)
		}
		return m, nil
	}
}

// callLoaded is what callLoad did.
type callLoaded struct {
	all, inTime int64           // calls ended, and those before the time was over
	took        []time.Duration // of each call, sorted
	until       time.Duration   // the last ended
}

// rate is calls a second: those that ended in time, or if none did, all until the last.
func (l callLoaded) rate(during time.Duration) float64 {
	if l.inTime == 0 {
		return float64(l.all) / l.until.Seconds()
	}
	return float64(l.inTime) / during.Seconds()
}

// callLoad keeps so many calls open until the time is over, and waits for the last.
func callLoad(ctx context.Context, call func(context.Context) error, open int, during time.Duration, timed bool) (load callLoaded, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		over   atomic.Bool
		group  sync.WaitGroup
		gather sync.Mutex
	)
	start := time.Now()
	time.AfterFunc(during, func() { over.Store(true) })
	for range open {
		group.Go(func() {
			var all, inTime int64
			var took []time.Duration
			for !over.Load() {
				var begin time.Time
				if timed {
					begin = time.Now()
				}
				if err := call(ctx); err != nil {
					cancel(err)
					return
				}
				if timed {
					took = append(took, time.Since(begin))
				}
				all++
				if !over.Load() {
					inTime++
				}
			}
			gather.Lock()
			defer gather.Unlock()
			load.all += all
			load.inTime += inTime
			load.took = append(load.took, took...)
		})
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return load, err
	}
	load.until = time.Since(start)
	slices.Sort(load.took)
	return load, nil
}
