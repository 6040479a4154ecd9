package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/ws"
	"github.com/chumsync/chum/wsrpc"
)

// A Verdict is what came of a case.
type Verdict struct {
	Group string `json:"group"`
	Name  string `json:"name"`
	// Offered is false if the case needs what the server does not have: it was not played.
	Offered bool `json:"offered"`
	// Why says what was not as it should be; "" if the case passed.
	Why string `json:"why,omitempty"`
}

// A Suite plays cases against one server. Its fields must not change while it does.
type Suite struct {
	File File
	// URL is the server's.
	URL string
	// Proxy is what faults are made with; it must know the server.
	Proxy *Proxy
}

const (
	caseTime = 20 * time.Second // what a case may take
	workers  = 8                // cases that are played at the same time
)

// ErrNoSuite is what the error of Run matches when the server does not serve the methods of the suite.
var ErrNoSuite = errors.New("conformance: the server does not serve the methods of the suite")

// Run plays all cases, some at the same time, and tells the verdict of each, in the order of the file, when all are
// known. The error says why no case could be played.
func (s *Suite) Run(ctx context.Context) ([]Verdict, error) {
	about, err := s.ask(ctx)
	if err != nil {
		return nil, err
	}
	verdicts := make([]Verdict, len(s.File.Cases))
	next := make(chan int)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for i := range next {
				c := &s.File.Cases[i]
				v := Verdict{Group: c.Group, Name: c.Name, Offered: c.Needs == "" || slices.Contains(about.Offers, c.Needs)}
				if v.Offered {
					if err := s.play(ctx, c); err != nil {
						v.Why = err.Error()
					}
				}
				verdicts[i] = v
			}
		})
	}
	for i := range s.File.Cases {
		next <- i
	}
	close(next)
	wait.Wait()
	return verdicts, ctx.Err()
}

// ask asks the server what it has.
func (s *Suite) ask(ctx context.Context) (About, error) {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	p, err := s.connect(ctx, s.URL, true)
	if err != nil {
		return About{}, err
	}
	defer p.Close()
	a, err := about.Call(ctx, p, struct{}{})
	switch {
	case rpc.CodeOf(err) == rpc.Unimplemented, rpc.CodeOf(err) == rpc.DataLoss:
		return a, fmt.Errorf("%w: %w", ErrNoSuite, err)
	case err == nil && a.Suite != 1:
		return a, fmt.Errorf("%w: those that it serves are of version %d, not 1", ErrNoSuite, a.Suite)
	}
	return a, err
}

func (s *Suite) connect(ctx context.Context, url string, noResume bool) (*rpc.Peer, error) {
	return wsrpc.Connect(ctx, url, Services(), &wsrpc.Options{
		RPC: rpc.Options{Logger: slog.New(slog.DiscardHandler)}, NoResume: noResume, // what fails is told by the case
	})
}

// play plays a case, and says what was not as it should be.
func (s *Suite) play(ctx context.Context, c *Case) error {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	id := rand.Text()
	url := s.URL
	if c.Fault != nil {
		url = s.Proxy.URL(s.URL, id, c.Fault)
	}
	if len(c.Steps) > 0 {
		conn, err := ws.Dial(ctx, url, nil)
		if err != nil {
			return err
		}
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		return converse(ctx, conn, s.File.Hello, c)
	}
	calls, err := named(c.Calls, id)
	if err != nil {
		return err
	}
	p, err := s.connect(ctx, url, c.Needs != "resume")
	if err != nil {
		return err
	}
	defer p.Close()
	cut := func() { s.Proxy.Cut(id) }
	if err := playAll(ctx, p, calls, c.Together, cut); err != nil {
		return err
	}
	if slices.ContainsFunc(calls, func(c Call) bool { return c.Cut != "" }) {
		return nil
	}
	if f := c.Fault; f != nil && f.Up+f.Down > 0 && s.Proxy.Resets(id) == 0 {
		return errors.New("the fault did not happen: too little was sent")
	}
	if err := p.Shutdown(ctx); err != nil {
		return fmt.Errorf("the end is not in order: %w", err)
	}
	return p.Err()
}

// named puts an id that no other case and no other run uses in the place of "$id".
func named(calls []Call, id string) (named []Call, err error) {
	return named, json.Unmarshal(bytes.ReplaceAll(writeData(calls), []byte("$id"), []byte(id)), &named)
}

// playAll makes the calls, one after the other or all at once.
func playAll(ctx context.Context, p *rpc.Peer, calls []Call, together bool, cut func()) error {
	var wait sync.WaitGroup
	var mu sync.Mutex
	var wrong []error
	for _, c := range calls {
		for range max(1, c.Times) {
			wait.Go(func() {
				if err := judge(ctx, p, &c, cut); err != nil {
					mu.Lock()
					defer mu.Unlock()
					wrong = append(wrong, err)
				}
			})
		}
		if !together {
			wait.Wait()
		}
	}
	wait.Wait()
	return errors.Join(wrong...)
}

// judge makes a call, or has the other side make it, and compares.
func judge(ctx context.Context, p *rpc.Peer, c *Call, cut func()) error {
	var got Outcome
	if c.Back {
		asked := *c
		asked.Back, asked.Times, asked.Want = false, 0, Outcome{}
		var err error
		if got, err = back.Call(ctx, p, asked); err != nil {
			return fmt.Errorf("back: %w", err)
		}
	} else {
		got = play(ctx, p, c, cut)
	}
	if !same(got, c.Want) {
		return fmt.Errorf("%s came to %.500s, not %.500s", c.Method, writeData(got), writeData(c.Want))
	}
	return nil
}
