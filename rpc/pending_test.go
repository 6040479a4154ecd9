package rpc

import (
	"context"
	"log/slog"
	"testing"
	"time"
)

// pending opens n calls that a handler never answers.
func pending(t testing.TB, n int) (p *Peer, open []*Promise) {
	o := &Options{MaxCalls: n, CallTimeout: -1, Logger: slog.New(slog.DiscardHandler)}
	a, _ := join(t, nil, testMux(), nil, o)
	if err := a.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range n {
		open = append(open, a.Send(context.Background(), "hang"))
	}
	return a, open
}

// All calls that are open when a connection ends are settled, each once, at once.
func TestManyPending(t *testing.T) {
	p, open := pending(t, 10_000)
	began := time.Now()
	p.Close()
	for i, c := range open {
		select {
		case <-c.Done():
		default:
			t.Fatalf("call %d is not settled when Close has returned", i+1)
		}
		if err := c.Await(nil); CodeOf(err) != Unavailable {
			t.Fatalf("call %d: %v", i+1, err)
		}
	}
	t.Logf("settled after %v", time.Since(began))
	if s := p.Stats().Out; s.Open != 0 || s.Failed != uint64(len(open)) {
		t.Errorf("%+v", s)
	}
}

// BenchmarkManyPending tells how long it takes until 10,000 open calls are settled; the goal is
// 100 ms.
func BenchmarkManyPending(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		p, open := pending(b, 10_000)
		b.StartTimer()
		p.end(errClosedHere(), nil, nil)
		for _, c := range open {
			<-c.Done()
		}
	}
}
