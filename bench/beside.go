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
			name: "server to client", systems: []string{"chum", "gobwas/ws", "grpc-go", "NATS", "connect-go", "drpc", "yamux + net/rpc", "jrpc2", "go-ethereum/rpc", "sourcegraph/jsonrpc2"},
			columns: besideColumns,
			run:     beside(down),
		},
		{
			name: "client to server", systems: []string{"chum", "gobwas/ws", "grpc-go", "NATS", "connect-go", "drpc", "yamux + net/rpc"},
			columns: besideColumns,
			run:     beside(up),
		},
	},
}

var besideColumns = []string{"p99 to idle", "idle p50 µs", "idle p99 µs", "loaded p50 µs", "loaded p99 µs", "MB/s", "calls idle", "calls loaded"}

// beside measures small calls on an idle connection, then while transfers go on.
func beside(what func(*client) transfer) func(context.Context, *lab, system) (metrics, error) {
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
		if _, err := probe(ctx, call, time.Millisecond, after(l.Size.Warm)); err != nil {
			return nil, err
		}
		if err := transfer(ctx, 1<<20); err != nil {
			return nil, err
		}
		if err := l.start(); err != nil {
			return nil, err
		}
		idle, err := probe(ctx, call, time.Millisecond, after(l.Size.Measure))
		if err != nil {
			return nil, err
		}

		loading, enough := context.WithCancel(ctx)
		defer enough()
		var moved int64
		size := s.transferSize(l.Size)
		var took time.Duration
		done := make(chan error, 1)
		go func() {
			for {
				begin := time.Now()
				if err := transfer(ctx, size); err != nil {
					done <- err
					return
				}
				took += time.Since(begin)
				moved += size
				if loading.Err() != nil {
					done <- nil
					return
				}
			}
		}()
		loaded, err := probe(ctx, call, time.Millisecond, after(2*l.Size.Measure))
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
	const size = 64
	var group sync.WaitGroup
	clients, errs := make([]*client, size), make([]error, size)
	for i := range size { // side by side, for the way may be long
		group.Go(func() { clients[i], errs[i] = s.dial(ctx, l.Addr) })
	}
	group.Wait()
	p := &pool{make(chan *client, size)}
	for _, c := range clients {
		if c != nil {
			p.idle <- c
		}
	}
	if err := errors.Join(errs...); err != nil {
		p.close()
		return nil, err
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

// probe calls at an interval until it is over, whether or not the last call has
// ended, and returns how long each took, sorted.
func probe(ctx context.Context, call func(context.Context) error, interval time.Duration, over <-chan struct{}) (took []time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	var gather sync.Mutex
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for going := true; going; {
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
		select {
		case <-tick.C:
		case <-over:
			going = false
		case <-ctx.Done():
			going = false
		}
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	slices.Sort(took)
	return took, nil
}

// after returns a channel that is closed once d has passed.
func after(d time.Duration) <-chan struct{} {
	over := make(chan struct{})
	time.AfterFunc(d, func() { close(over) })
	return over
}
