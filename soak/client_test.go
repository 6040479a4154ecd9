package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/session"
	"github.com/chumsync/chum/wsrpc"
)

// An outcome is how one call ended, as its caller saw it.
type outcome struct {
	Key      string       `json:"key"`
	Kind     string       `json:"kind"`
	Executed rpc.Executed `json:"executed,omitempty"` // of an error
	Error    string       `json:"error,omitempty"`
}

// A tally is what a client process saw.
type tally struct {
	Resumed  int            `json:"resumed"`
	Lost     int            `json:"lost"`  // sessions that were lost: their peers go on with new ones
	Ended    int            `json:"ended"` // peers that ended by themselves, which none may
	Calls    map[string]int `json:"calls"`
	Bytes    int64          `json:"bytes"`    // of streams, both ways
	Failed   []outcome      `json:"failed"`   // calls that ended with an error
	Twice    []string       `json:"twice"`    // calls back that ran more than once here
	Unended  int            `json:"unended"`  // calls that were still open at the end
	Longest  time.Duration  `json:"longest"`  // a call took
	Starting int            `json:"starting"` // connections that could not be opened
}

// load is a client process's order.
type load struct {
	Name  string        `json:"name"`
	Addrs []string      `json:"addrs"` // of the proxies
	Conns int           `json:"conns"`
	Time  time.Duration `json:"time"`  // to make new calls
	Pause time.Duration `json:"pause"` // of each connection between two calls, on average
	Grace time.Duration `json:"grace"` // for open calls to end afterwards
}

// client keeps many connections busy, and tells what became of each call.
type client struct {
	load load
	mu   sync.Mutex
	tally
	runs map[string]int // of the calls back
}

// drive is the client process: its order comes on stdin, its tally goes to stdout.
func drive() error {
	c := &client{runs: map[string]int{}}
	c.Calls = map[string]int{}
	if err := json.NewDecoder(os.Stdin).Decode(&c.load); err != nil {
		return err
	}
	var wait sync.WaitGroup
	done := make(chan struct{})
	for i := range c.load.Conns {
		wait.Go(func() { c.keepBusy(i) })
	}
	go func() { wait.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(c.load.Time + c.load.Grace + time.Minute): // it hangs: say what is known
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, n := range c.runs {
		if n > 1 {
			c.Twice = append(c.Twice, key)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(&c.tally)
}

// connect makes a peer through one of the proxies.
func (c *client) connect(ctx context.Context, mux *rpc.Mux, addr string) (*rpc.Peer, error) {
	return wsrpc.Connect(ctx, "ws://"+addr, mux, &wsrpc.Options{Session: session.Options{OnState: func(s session.State) {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch s.Phase {
		case session.Resumed:
			c.Resumed++
		case session.Over:
			if errors.Is(s.Err, session.ErrLost) {
				c.Lost++
			}
		}
	}}})
}

// keepBusy makes calls on one connection.
func (c *client) keepBusy(i int) {
	ctx, cancel := context.WithTimeout(context.Background(), c.load.Time+c.load.Grace)
	defer cancel()
	mux := rpc.NewMux(rpc.Public)
	twice.Handle(mux, func(_ context.Context, w work) (uint64, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.runs[w.Key]++
		return 2 * w.Number, nil
	})
	end := time.Now().Add(c.load.Time)
	var calls sync.WaitGroup
	var peer *rpc.Peer
	for n := 0; time.Now().Before(end); n++ {
		if peer == nil { // it could not be opened in the storm
			var err error
			if peer, err = c.connect(ctx, mux, c.load.Addrs[rand.N(len(c.load.Addrs))]); err != nil {
				c.mu.Lock()
				c.Starting++
				c.mu.Unlock()
			} else {
				defer peer.Close()
			}
		}
		if peer != nil {
			w := work{Key: fmt.Sprintf("%s.%d/%d", c.load.Name, i, n), Number: rand.Uint64N(1 << 18)}
			calls.Go(func() { c.call(ctx, peer, w) })
		}
		select {
		case <-time.After(c.load.Pause/2 + rand.N(c.load.Pause)):
		case <-ctx.Done():
		}
	}
	calls.Wait()
	if peer != nil && peer.Err() != nil {
		c.mu.Lock()
		c.Ended++
		c.mu.Unlock()
	}
}

// call makes one call, and looks at what came.
func (c *client) call(ctx context.Context, p *rpc.Peer, w work) {
	began := time.Now()
	var err error
	var streamed uint64
	c.mu.Lock()
	c.Unended++
	c.mu.Unlock()
	kind := []string{"double", "double", "ask", "ask", "down", "up"}[rand.N(6)]
	switch kind {
	case "double", "ask":
		m := double
		if kind == "ask" {
			m = ask
		}
		var got uint64
		if got, err = m.Call(ctx, p, w); err == nil && got != 2*w.Number {
			err = fmt.Errorf("%w: %d came for %d", errWrong, got, w.Number)
		}
	case "down":
		r := rpc.Reader(ctx, p, down, w)
		var got received
		if got, err = digest(r); err == nil {
			err = c.compare(w, got)
		}
		r.Close()
		streamed = w.Number
	case "up":
		to := rpc.Writer(ctx, p, up, w)
		_, werr := io.Copy(to, content(w.Number))
		var got received
		if got, err = to.Result(); err == nil {
			if err = c.compare(w, got); err == nil {
				err = werr
			}
		}
		streamed = w.Number
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Unended--
	c.Calls[kind]++
	c.Longest = max(c.Longest, time.Since(began))
	if err == nil {
		c.Bytes += int64(streamed)
		return
	}
	c.Failed = append(c.Failed, outcome{Key: w.Key, Kind: kind, Executed: rpc.ExecutedOf(err), Error: err.Error()})
}

// compare tells whether what came is what was sent.
func (c *client) compare(w work, got received) error {
	want := must(digest(content(w.Number)))
	if got != want {
		return fmt.Errorf("%w: %d bytes of %d came, or others", errWrong, got.Bytes, want.Bytes)
	}
	return nil
}

func (t *tally) add(o tally) {
	t.Resumed += o.Resumed
	t.Lost += o.Lost
	t.Ended += o.Ended
	t.Bytes += o.Bytes
	t.Unended += o.Unended
	t.Starting += o.Starting
	t.Failed = append(t.Failed, o.Failed...)
	t.Twice = append(t.Twice, o.Twice...)
	t.Longest = max(t.Longest, o.Longest)
	if t.Calls == nil {
		t.Calls = map[string]int{}
	}
	for k, n := range o.Calls {
		t.Calls[k] += n
	}
}

func (t *tally) String() string {
	var b bytes.Buffer
	total := 0
	for _, n := range t.Calls {
		total += n
	}
	fmt.Fprintf(&b, "%d calls (%d streams down, %d up, %.1f MB), %d resumes, %d sessions lost, %d calls failed, the longest took %v", total,
		t.Calls["down"], t.Calls["up"], float64(t.Bytes)/1e6, t.Resumed, t.Lost, len(t.Failed), t.Longest.Round(time.Millisecond))
	return strings.TrimSpace(b.String())
}
