package session

import (
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

var (
	schedules = flag.Int("schedules", 1500, "how many random schedules TestCallsSurviveCuts runs")
	firstSeed = flag.Uint64("seed", 0, "the seed of the first schedule")
)

// Random schedules of cuts, delays, stalls and failed dials beneath two peers that call each
// other, and a model beside them: each call settles once, its handler runs at most once, and it
// ends as if there had been no cut. In every fourth schedule the session is lost, by a new
// server or by the grace's end: then errors say truly whether the call was executed, and what
// came of a stream is its beginning.
//
// A schedule that fails tells its seed: -run TestCallsSurviveCuts -schedules 1 -seed N.
func TestCallsSurviveCuts(t *testing.T) {
	n := *schedules
	if testing.Short() {
		n = min(n, 300)
	}
	var next atomic.Uint64
	var done atomic.Int64
	start := time.Now()
	t.Run("all", func(t *testing.T) {
		for w := range min(n, runtime.GOMAXPROCS(0)) {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				for !t.Failed() {
					k := next.Add(1) - 1
					if k >= uint64(n) {
						return
					}
					seed := *firstSeed + k
					synctest.Test(t, func(t *testing.T) { newTrial(t, seed).run() })
					done.Add(1)
				}
			})
		}
	})
	t.Logf("%d schedules, %.0f a minute", done.Load(), float64(done.Load())/time.Since(start).Minutes())
}

// task is the argument of a call: which one it is, and what its handler does.
type task struct {
	Number int  `json:"number"`
	Wait   int  `json:"wait"` // ms
	Items  int  `json:"items"`
	Size   int  `json:"size"`
	Fail   bool `json:"fail"`
	More   []byte
}

const (
	once   rpc.Method[task, []byte]         = "once"
	source rpc.Source[task, []byte]         = "source"
	sink   rpc.Sink[task, []byte, int]      = "sink"
	duplex rpc.Duplex[task, []byte, []byte] = "duplex"
	raw    rpc.Source[task, []byte]         = "raw"
)

// trial is one schedule and its model.
type trial struct {
	t     *testing.T
	seed  uint64
	loses bool // the session is lost on the way

	mu   sync.Mutex
	ran  map[int]int
	errs map[int]int // outcomes
}

func newTrial(t *testing.T, seed uint64) *trial {
	return &trial{t: t, seed: seed, ran: map[int]int{}, errs: map[int]int{}}
}

func (x *trial) errorf(format string, args ...any) {
	x.t.Helper()
	x.t.Errorf("seed %d: %s", x.seed, fmt.Sprintf(format, args...))
}

// value is item k of a task.
func (j task) value(k int) []byte {
	b := make([]byte, j.Size)
	for i := range b {
		b[i] = byte(j.Number + k + i)
	}
	return b
}

func (j task) is(k int, b []byte) bool {
	if len(b) != j.Size {
		return false
	}
	for i, c := range b {
		if c != byte(j.Number+k+i) {
			return false
		}
	}
	return true
}

// work is what every handler does.
func (x *trial) work(ctx context.Context, j task) error {
	x.mu.Lock()
	x.ran[j.Number]++
	x.mu.Unlock()
	if j.Wait > 0 {
		select {
		case <-time.After(time.Duration(j.Wait) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if j.Fail {
		return rpc.Errorf(rpc.NotFound, "asked for")
	}
	return nil
}

func (j task) items(yield func([]byte, error) bool) {
	for k := range j.Items {
		if !yield(j.value(k), nil) {
			return
		}
	}
}

func (x *trial) mux() *rpc.Mux {
	m := rpc.NewMux(rpc.Public)
	once.Handle(m, func(ctx context.Context, j task) ([]byte, error) { return j.value(0), x.work(ctx, j) })
	source.Handle(m, func(ctx context.Context, j task) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			if err := x.work(ctx, j); err != nil {
				yield(nil, err)
				return
			}
			j.items(yield)
		}
	})
	sink.Handle(m, func(ctx context.Context, j task, in iter.Seq2[[]byte, error]) (int, error) {
		if err := x.work(ctx, j); err != nil {
			return 0, err
		}
		return x.read(j, in)
	})
	duplex.Handle(m, func(ctx context.Context, j task, in iter.Seq2[[]byte, error]) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			if err := x.work(ctx, j); err != nil {
				yield(nil, err)
				return
			}
			for b, err := range in {
				if !yield(b, err) || err != nil {
					return
				}
			}
		}
	})
	rpc.HandleWriter(m, raw, func(ctx context.Context, j task, w io.Writer) error {
		if err := x.work(ctx, j); err != nil {
			return err
		}
		for k := range j.Items {
			if _, err := w.Write(j.value(k)); err != nil {
				return err
			}
		}
		return nil
	})
	return m
}

// read takes a stream in, which must be the task's items from the first on, and all of them if
// it ends well.
func (x *trial) read(j task, in iter.Seq2[[]byte, error]) (n int, err error) {
	for b, err := range in {
		if err != nil {
			return n, err
		}
		if !j.is(n, b) {
			x.errorf("task %d: item %d is not the one that was sent", j.Number, n)
		}
		n++
	}
	if n != j.Items {
		x.errorf("task %d: the stream ended well after %d of %d items", j.Number, n, j.Items)
	}
	return n, nil
}

// call makes one call.
func (x *trial) call(ctx context.Context, p *rpc.Peer, kind int, j task) error {
	feed := func(yield func([]byte) bool) {
		for k := range j.Items {
			if !yield(j.value(k)) {
				return
			}
		}
	}
	feed2 := func(yield func([]byte, error) bool) {
		feed(func(b []byte) bool { return yield(b, nil) })
	}
	switch kind {
	case 0, 1:
		b, err := once.Call(ctx, p, j)
		if err == nil && !j.is(0, b) {
			x.errorf("task %d: %d bytes came back, not those that were sent", j.Number, len(b))
		}
		return err
	case 2:
		promise := once.Go(ctx, p, j)
		_, err := promise.Await()
		if _, again := promise.Await(); rpc.CodeOf(err) != rpc.CodeOf(again) {
			x.errorf("task %d: a promise says %v, then %v", j.Number, err, again)
		}
		return err
	case 3:
		_, err := x.read(j, source.Call(ctx, p, j))
		return err
	case 4:
		n, err := sink.Call(ctx, p, j, feed2)
		if err == nil && n != j.Items {
			x.errorf("task %d: %d of %d items were counted", j.Number, n, j.Items)
		}
		return err
	case 5:
		_, err := x.read(j, duplex.Call(ctx, p, j, feed2))
		return err
	}
	b, err := io.ReadAll(rpc.Reader(ctx, p, raw, j))
	for k := 0; k*j.Size < len(b); k++ {
		part := b[k*j.Size : min((k+1)*j.Size, len(b))]
		for i, c := range part {
			if c != byte(j.Number+k+i) {
				x.errorf("task %d: byte %d of the stream is not the one that was sent", j.Number, k*j.Size+i)
				return err
			}
		}
	}
	if err == nil && len(b) != j.Items*j.Size {
		x.errorf("task %d: the stream ended well after %d of %d bytes", j.Number, len(b), j.Items*j.Size)
	}
	return err
}

var silent = slog.New(slog.DiscardHandler)

func (x *trial) run() {
	t, r := x.t, rand.New(rand.NewPCG(x.seed, 3))
	n := &network{random: rand.New(rand.NewPCG(x.seed, 4)), faults: r.IntN(7), stalls: 1, server: NewServer(nil)}
	options := &rpc.Options{Logger: silent, CallTimeout: -1}
	accepted := make(chan *rpc.Peer, 1)
	mux := x.mux()
	n.accept = func(c wire.Conn) { accepted <- rpc.NewPeer(c, mux, options) }
	c, err := Dial(t.Context(), n.dial, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := rpc.NewPeer(c, mux, options)
	b := <-accepted
	a.Ready(t.Context()) // a session that was never opened cannot be resumed
	b.Ready(t.Context())
	n.harmFirst()
	peers := [2]*rpc.Peer{a, b}
	x.loses = r.IntN(4) == 0
	var calls sync.WaitGroup
	const callers, each = 4, 3
	for caller := range callers {
		own := rand.New(rand.NewPCG(x.seed, uint64(10+caller)))
		calls.Go(func() {
			for k := range each {
				x.one(peers[caller%2], own, 1+caller*each+k)
			}
		})
	}
	if x.loses {
		after, restart := time.Duration(r.IntN(60))*time.Millisecond, r.IntN(2) == 0
		calls.Go(func() {
			pass(after)
			if restart {
				n.mu.Lock()
				n.server = NewServer(nil)
				n.mu.Unlock()
				n.last().cut()
			} else {
				n.set(false)
			}
			go func() { // the server's side learns of it by its grace's end, or so
				pass(time.Second)
				b.Close()
			}()
		})
	}
	calls.Wait()
	n.heal()
	x.check(callers*each, peers)
	a.Close()
	b.Close()
	pass(closeTime + time.Millisecond)
	n.wait.Wait()
	n.server.Close()
}

// one makes a call and holds its outcome against the model.
func (x *trial) one(p *rpc.Peer, r *rand.Rand, number int) {
	j := task{Number: number, Wait: r.IntN(20) * r.IntN(2), Items: r.IntN(6), Size: 1 + r.IntN(300), Fail: r.IntN(8) == 0}
	switch r.IntN(12) {
	case 0:
		j.Size = 1 + r.IntN(40_000)
	case 1:
		j.More = make([]byte, r.IntN(60_000))
	case 2:
		j.Items = r.IntN(60)
	}
	kind := r.IntN(7)
	ctx, cancel := context.WithCancel(x.t.Context())
	defer cancel()
	cancels := r.IntN(6) == 0
	if cancels {
		time.AfterFunc(time.Duration(r.IntN(30))*time.Millisecond, cancel)
	}
	err := x.call(ctx, p, kind, j)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.errs[number]++
	ran, code := x.ran[number], rpc.CodeOf(err)
	switch {
	case err == nil:
		if ran != 1 || j.Fail {
			x.errorf("task %d (kind %d) went well, its handler ran %d times, asked to fail: %v", number, kind, ran, j.Fail)
		}
	case rpc.ExecutedOf(err) == rpc.No && ran != 0:
		x.errorf("task %d (kind %d): %v: executed no, but its handler ran", number, kind, err)
	case code == rpc.NotFound && j.Fail && ran == 1:
	case code == rpc.Cancelled && (cancels || x.loses):
	case code == rpc.Unavailable && x.loses:
	default:
		x.errorf("task %d (kind %d) ended with %v, its handler ran %d times, asked to fail: %v", number, kind, err, ran, j.Fail)
	}
}

// check holds the end against the model: every call settled once, nothing ran twice, nothing
// is left.
func (x *trial) check(calls int, peers [2]*rpc.Peer) {
	for range 90 { // s, until cancelled handlers have ended, or the grace of a session that is lost
		if busy := peers[0].Stats().In.Open + peers[1].Stats().In.Open + peers[0].Stats().Waiting + peers[1].Stats().Waiting; busy == 0 {
			break
		}
		pass(time.Second)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for number := 1; number <= calls; number++ {
		if k := x.errs[number]; k != 1 {
			x.errorf("task %d settled %d times", number, k)
		}
		if k := x.ran[number]; k > 1 {
			x.errorf("the handler of task %d ran %d times", number, k)
		}
	}
	for i, p := range peers {
		s := p.Stats()
		if s.Out.Open+s.In.Open+s.Streams+s.Waiting != 0 {
			x.errorf("peer %d holds %+v", i, s)
		}
		if err := p.Err(); !x.loses && err != nil {
			x.errorf("peer %d ended: %v", i, err)
		}
	}
}
