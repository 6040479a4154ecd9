package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// The links of scenario wan. The queues are what such paths have: a tenth of a
// second and more before a slow one.
var (
	fastLink = link{Rate: 25_000_000, Delay: 5 * time.Millisecond, Queue: 1 << 20}   // 42 ms of queue
	slowLink = link{Rate: 2_500_000, Delay: 10 * time.Millisecond, Queue: 512 << 10} // 20 Mbit/s, 210 ms of queue
	farLink  = link{Rate: 12_500_000, Delay: 40 * time.Millisecond, Queue: 1 << 20}  // 100 Mbit/s, 84 ms of queue
)

// wanScenario asks what a window does that is not fixed: it has to fill the link and
// may not fill the queue. The raw WebSocket has no window of its own, so its rate is
// that of the best one; its small calls have connections of their own.
var wanScenario = scenario{
	name:  "wan",
	title: "small calls, one each 4 ms, beside transfers over links with a bottleneck",
	long:  true,
	cases: []benchCase{
		wanCase("25 MB/s 10 ms, down", &fastLink, 1, down),
		wanCase("25 MB/s 10 ms, up", &fastLink, 1, up),
		wanCase("20 Mbit/s 20 ms, down", &slowLink, 1, down),
		wanCase("20 Mbit/s 20 ms, up", &slowLink, 1, up),
		wanCase("20 Mbit/s 20 ms, 8 down", &slowLink, 8, down),
		wanCase("20 Mbit/s 20 ms, 8 up", &slowLink, 8, up),
		wanCase("100 Mbit/s 80 ms, down", &farLink, 1, down),
		wanCase("100 Mbit/s 80 ms, up", &farLink, 1, up),
	},
}

func wanCase(name string, l *link, streams int, what func(*client) transfer) benchCase {
	return benchCase{
		name: name, link: l, systems: []string{"chum", "gobwas/ws", "grpc-go"},
		columns: []string{"MB/s", "of the link", "first MB/s", "p99 to idle", "p99 ms above idle", "p50 ms above idle", "idle p50 ms", "loaded p99 ms", "calls loaded"},
		run:     wan(l, streams, what),
	}
}

// wanProbe is how often scenario wan calls: often enough for a quantile, and no more
// than some percent of a slow link.
const wanProbe = 4 * time.Millisecond

// wan measures small calls on an idle connection, then while so many transfers go on
// side by side that take the size's time if they fill the link. Before it, a quarter
// as much goes over the connection: the first MB/s tell how fast a window opens.
func wan(path *link, streams int, what func(*client) transfer) func(context.Context, *lab, system) (metrics, error) {
	return func(ctx context.Context, l *lab, s system) (metrics, error) {
		bulk, call, stop, err := wanClients(ctx, l, s, streams)
		if err != nil {
			return nil, err
		}
		defer stop()
		transfers := make([]transfer, len(bulk))
		for i, c := range bulk {
			if transfers[i] = what(c); transfers[i] == nil {
				return nil, errors.New("bench: the system has no such transfer")
			}
		}
		// all moves so many bytes over all streams and returns bytes a second.
		all := func(size float64) (float64, error) {
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			each := int64(size) / int64(len(transfers))
			begin := time.Now()
			var group sync.WaitGroup
			for _, t := range transfers {
				group.Go(func() {
					if err := t(ctx, each); err != nil {
						cancel(err)
					}
				})
			}
			group.Wait()
			return float64(each) * float64(len(transfers)) / time.Since(begin).Seconds(), context.Cause(ctx)
		}

		size := float64(path.Rate) * l.Size.Wan.Seconds()
		first, err := all(size / 4)
		if err != nil {
			return nil, err
		}
		if err := l.start(); err != nil {
			return nil, err
		}
		idle, err := probe(ctx, call, wanProbe, after(l.Size.Wan/4))
		if err != nil {
			return nil, err
		}
		over, done := make(chan struct{}), make(chan error, 1)
		var rate float64
		go func() {
			defer close(over)
			var err error
			rate, err = all(size)
			done <- err
		}()
		loaded, err := probe(ctx, call, wanProbe, over)
		if err := errors.Join(err, <-done); err != nil {
			return nil, err
		}
		if _, _, err := l.stop(); err != nil {
			return nil, err
		}
		ms := func(sorted []time.Duration, q float64) float64 { return quantile(sorted, q) / 1e3 }
		return metrics{
			"MB/s": rate / 1e6, "of the link": rate / float64(path.Rate), "first MB/s": first / 1e6,
			"p99 to idle":   ms(loaded, 0.99) / ms(idle, 0.99),
			"idle p50 ms":   ms(idle, 0.5),
			"loaded p99 ms": ms(loaded, 0.99), "calls loaded": float64(len(loaded)),
			"p99 ms above idle": ms(loaded, 0.99) - ms(idle, 0.99),
			"p50 ms above idle": ms(loaded, 0.5) - ms(idle, 0.5),
		}, nil
	}
}

// wanClients connects for so many transfers side by side and for small calls, on as
// few connections as the system can do that with.
func wanClients(ctx context.Context, l *lab, s system, streams int) (bulk []*client, call func(context.Context) error, stop func(), err error) {
	var opened []func()
	stop = func() {
		for _, done := range opened {
			done()
		}
	}
	for i := range streams {
		if i > 0 && !s.oneAtATime {
			bulk = append(bulk, bulk[0])
			continue
		}
		c, err := s.dial(ctx, l.Addr)
		if err != nil {
			stop()
			return nil, nil, nil, err
		}
		bulk, opened = append(bulk, c), append(opened, c.close)
	}
	if !s.oneAtATime {
		return bulk, bytesCall(bulk[0].bytes), stop, nil
	}
	calls, err := dialPool(ctx, l, s)
	if err != nil {
		stop()
		return nil, nil, nil, err
	}
	opened = append(opened, calls.close)
	return bulk, calls.call, stop, nil
}
