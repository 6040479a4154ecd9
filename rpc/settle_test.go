package rpc

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Each call settles once and no handler runs twice, whatever is cancelled, runs out of time or
// is closed meanwhile. A model counts: what callers are told must fit what handlers did.
func TestEachCallSettlesOnce(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 6
	}
	for seed := range uint64(rounds) {
		synctest.Test(t, func(t *testing.T) { (&schedule{t: t, seed: seed}).run() })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// job is the argument of a call: which one it is, and what its handler does.
type job struct {
	Caller int `json:"caller"`
	Number int `json:"number"`
	Wait   int `json:"wait"` // ms
	Items  int `json:"items"`
	Size   int `json:"size"`
	End    int `json:"end"` // 0 well, 1 error, 2 panic, 3 until cancelled
	More   []byte
}

const (
	modelCall   Method[job, []byte]         = "call"
	modelSource Source[job, []byte]         = "source"
	modelSink   Sink[job, []byte, []byte]   = "sink"
	modelDuplex Duplex[job, []byte, []byte] = "duplex"
)

// schedule is one random run, and its model.
type schedule struct {
	t    *testing.T
	seed uint64

	mu       sync.Mutex
	ran      map[[2]int]int // how often the handler of a call started
	returned map[[2]int]int // how often it came to its good end
	outcomes map[[2]int]int // how often the call settled
}

func (s *schedule) begin(ctx context.Context, j job) error {
	key := [2]int{j.Caller, j.Number}
	s.mu.Lock()
	s.ran[key]++
	s.mu.Unlock()
	select {
	case <-time.After(time.Duration(j.Wait) * time.Millisecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	switch j.End {
	case 1:
		return Errorf(NotFound, "asked for")
	case 2:
		panic("asked for")
	case 3:
		<-ctx.Done()
		return ctx.Err()
	}
	s.mu.Lock()
	s.returned[key]++
	s.mu.Unlock()
	return nil
}

func (s *schedule) mux() *Mux {
	m := NewMux(Public)
	modelCall.Handle(m, func(ctx context.Context, j job) ([]byte, error) {
		return make([]byte, j.Size), s.begin(ctx, j)
	})
	out := func(ctx context.Context, j job) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			for range j.Items {
				if !yield(make([]byte, j.Size), nil) {
					return
				}
			}
			if err := s.begin(ctx, j); err != nil {
				yield(nil, err)
			}
		}
	}
	modelSource.Handle(m, out)
	modelSink.Handle(m, func(ctx context.Context, j job, in iter.Seq2[[]byte, error]) ([]byte, error) {
		n := 0
		for _, err := range in {
			if err != nil {
				return nil, err
			}
			if n++; n > j.Items/2 && j.Wait%3 == 0 {
				break // it need not take all
			}
		}
		return nil, s.begin(ctx, j)
	})
	modelDuplex.Handle(m, func(ctx context.Context, j job, in iter.Seq2[[]byte, error]) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			for v, err := range in {
				if !yield(v, err) || err != nil {
					return
				}
			}
			if err := s.begin(ctx, j); err != nil {
				yield(nil, err)
			}
		}
	})
	return m
}

// call makes one call and gives its error; complete tells that a good end is the handler's.
func (s *schedule) call(ctx context.Context, p *Peer, r *rand.Rand, j job) (err error, complete bool) {
	feed := func(yield func([]byte, error) bool) {
		for range j.Items {
			if !yield(make([]byte, j.Size), nil) {
				return
			}
		}
	}
	leave := -1
	if r.IntN(4) == 0 {
		leave = r.IntN(j.Items + 1)
	}
	read := func(seq iter.Seq2[[]byte, error]) (err error, complete bool) {
		n := 0
		for _, err := range seq {
			if err != nil {
				return err, true
			}
			if n == leave {
				return nil, false
			}
			n++
		}
		if n != j.Items {
			return fmt.Errorf("%d of %d items came with a good end", n, j.Items), true
		}
		return nil, true
	}
	switch r.IntN(6) {
	case 0:
		b, err := modelCall.Call(ctx, p, j)
		if err == nil && len(b) != j.Size {
			err = fmt.Errorf("%d of %d bytes", len(b), j.Size)
		}
		return err, true
	case 1:
		promise := modelCall.Go(ctx, p, j)
		_, err = promise.Await()
		if _, again := promise.Await(); CodeOf(err) != CodeOf(again) {
			s.t.Errorf("a promise says %v, then %v", err, again)
		}
		return err, true
	case 2:
		return p.Send(ctx, "call", j).Await(nil), true
	case 3:
		return read(modelSource.Call(ctx, p, j))
	case 4:
		_, err := modelSink.Call(ctx, p, j, feed)
		return err, true
	}
	return read(modelDuplex.Call(ctx, p, j, feed))
}

func (s *schedule) run() {
	t, r := s.t, rand.New(rand.NewPCG(s.seed, 5))
	s.ran, s.returned, s.outcomes = map[[2]int]int{}, map[[2]int]int{}, map[[2]int]int{}
	a, b := pair(t, s.mux())
	peers := []*Peer{a, b}
	var wait sync.WaitGroup
	for caller := range 6 {
		own := rand.New(rand.NewPCG(s.seed, uint64(10+caller)))
		wait.Go(func() {
			for number := range 12 {
				j := job{
					Caller: caller, Number: number, Wait: own.IntN(20), Items: own.IntN(40), Size: own.IntN(3000),
					End: max(0, own.IntN(6)-2), More: make([]byte, own.IntN(100)),
				}
				if own.IntN(12) == 0 {
					j.Size *= 40
				}
				if own.IntN(8) == 0 {
					j.More = make([]byte, own.IntN(300_000))
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+own.IntN(60))*time.Millisecond)
				if own.IntN(3) == 0 {
					context.AfterFunc(ctx, func() {})
					time.AfterFunc(time.Duration(own.IntN(20))*time.Millisecond, cancel)
				}
				err, complete := s.call(ctx, peers[caller%2], own, j)
				cancel()
				s.settled(j, err, complete)
			}
		})
	}
	later := func(f func()) {
		wait.Add(1)
		time.AfterFunc(time.Duration(r.IntN(200))*time.Millisecond, func() {
			defer wait.Done()
			f()
		})
	}
	switch p, grace := peers[r.IntN(2)], time.Duration(r.IntN(100))*time.Millisecond; r.IntN(4) {
	case 0:
		later(func() { p.Close() })
	case 1:
		later(func() {
			ctx, cancel := context.WithTimeout(t.Context(), grace)
			defer cancel()
			p.Shutdown(ctx)
		})
	case 2:
		later(func() { p.line.conn.Close() }) // the network goes away
	}
	wait.Wait()
	synctest.Wait()
	idle(t, a, b)
	s.mu.Lock()
	defer s.mu.Unlock()
	for caller := range 6 {
		for number := range 12 {
			key := [2]int{caller, number}
			if n := s.outcomes[key]; n != 1 {
				t.Errorf("seed %d: call %v settled %d times", s.seed, key, n)
			}
			if n := s.ran[key]; n > 1 {
				t.Errorf("seed %d: the handler of call %v ran %d times", s.seed, key, n)
			}
		}
	}
}

// settled holds an outcome against what the handler did.
func (s *schedule) settled(j job, err error, complete bool) {
	key := [2]int{j.Caller, j.Number}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes[key]++
	switch ran, returned := s.ran[key], s.returned[key]; {
	case err == nil && complete && (ran != 1 || returned != 1):
		s.t.Errorf("seed %d: call %v went well, its handler ran %d times, well %d times", s.seed, key, ran, returned)
	case err != nil && ExecutedOf(err) == No && ran != 0:
		s.t.Errorf("seed %d: call %v: %v: executed no, but its handler ran", s.seed, key, err)
	case err != nil && CodeOf(err) == NotFound && (ran != 1 || j.End != 1):
		s.t.Errorf("seed %d: call %v: %v, its handler ran %d times", s.seed, key, err, ran)
	case err != nil && CodeOf(err) == Internal && (ran != 1 || j.End != 2):
		s.t.Errorf("seed %d: call %v: %v, its handler ran %d times", s.seed, key, err, ran)
	}
	switch CodeOf(err) {
	case "", NotFound, Internal, Cancelled, DeadlineExceeded, Unavailable:
	default:
		s.t.Errorf("seed %d: call %v: %v", s.seed, key, err)
	}
}
