package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

var besideScenario = scenario{
	name:  "beside",
	title: "small calls, one each millisecond, beside transfers of 1 GiB on the same connection",
	cases: []benchCase{
		{
			// gobwas/ws has connections of their own for the calls: what is left is the machine.
			name: "server to client", systems: []string{"chum", "gobwas/ws", "grpc-go", "NATS"},
			columns: besideColumns,
			run:     beside(func(c *client) func(context.Context, int64) error { return c.down }),
		},
		{
			name: "client to server", systems: []string{"chum", "gobwas/ws", "grpc-go", "NATS"},
			columns: besideColumns,
			run:     beside(func(c *client) func(context.Context, int64) error { return c.up }),
		},
	},
}

var besideColumns = []string{"p99 to idle", "idle p50 µs", "idle p99 µs", "loaded p50 µs", "loaded p99 µs", "MB/s", "calls idle", "calls loaded"}

// beside measures small calls on an idle connection, then while transfers go on.
func beside(what func(*client) func(context.Context, int64) error) func(context.Context, *lab, system) (metrics, error) {
	return func(ctx context.Context, l *lab, s system) (metrics, error) {
		bulk, err := s.dial(ctx, l.Addr)
		if err != nil {
			return nil, err
		}
		defer bulk.close()
		transfer := what(bulk)
		if transfer == nil {
			return nil, errors.New("bench: the system has no such transfer")
		}
		call := bytesCall(bulk.bytes)
		if s.oneAtATime {
			pool, err := dialPool(ctx, l, s)
			if err != nil {
				return nil, err
			}
			defer pool.close()
			call = pool.call
		}
		if _, err := probe(ctx, call, l.Size.Warm); err != nil {
			return nil, err
		}
		if err := transfer(ctx, 1<<20); err != nil {
			return nil, err
		}
		if err := l.start(); err != nil {
			return nil, err
		}
		idle, err := probe(ctx, call, l.Size.Measure)
		if err != nil {
			return nil, err
		}

		loading, enough := context.WithCancel(ctx)
		defer enough()
		var moved int64
		var took time.Duration
		done := make(chan error, 1)
		go func() {
			for {
				begin := time.Now()
				if err := transfer(ctx, l.Size.Stream); err != nil {
					done <- err
					return
				}
				took += time.Since(begin)
				moved += l.Size.Stream
				if loading.Err() != nil {
					done <- nil
					return
				}
			}
		}()
		loaded, err := probe(ctx, call, 2*l.Size.Measure)
		enough()
		if err := errors.Join(err, <-done); err != nil {
			return nil, err
		}
		if _, _, err := l.stop(); err != nil {
			return nil, err
		}
		return metrics{
			"p99 to idle": quantile(loaded, 0.99) / quantile(idle, 0.99),
			"idle p50 µs": quantile(idle, 0.5), "idle p99 µs": quantile(idle, 0.99), "calls idle": float64(len(idle)),
			"loaded p50 µs": quantile(loaded, 0.5), "loaded p99 µs": quantile(loaded, 0.99), "calls loaded": float64(len(loaded)),
			"MB/s": float64(moved) / 1e6 / took.Seconds(),
		}, nil
	}
}

// A pool calls on connections of its own, each with one call at a time.
type pool struct{ idle chan *client }

func dialPool(ctx context.Context, l *lab, s system) (*pool, error) {
	p := &pool{make(chan *client, 64)}
	for range cap(p.idle) {
		c, err := s.dial(ctx, l.Addr)
		if err != nil {
			p.close()
			return nil, err
		}
		p.idle <- c
	}
	return p, nil
}

func (p *pool) call(ctx context.Context) error {
	c := <-p.idle
	defer func() { p.idle <- c }()
	return bytesCall(c.bytes)(ctx)
}

func (p *pool) close() {
	close(p.idle)
	for c := range p.idle {
		c.close()
	}
}

// probe calls once each millisecond, whether or not the last has ended, and
// returns how long each took, sorted.
func probe(ctx context.Context, call func(context.Context) error, during time.Duration) (took []time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	var gather sync.Mutex
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(during); time.Now().Before(end) && ctx.Err() == nil; <-tick.C {
		group.Go(func() {
			begin := time.Now()
			if err := call(ctx); err != nil {
				cancel(err)
				return
			}
			d := time.Since(begin)
			gather.Lock()
			defer gather.Unlock()
			took = append(took, d)
		})
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	slices.Sort(took)
	return took, nil
}
