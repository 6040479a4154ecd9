package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/chumsync/chum/wire"
)

const (
	// A try has 8 s: a lost packet that opens a connection is repeated after 1, 3 and 7 s.
	// Between tries go by up to 3 s. So the longest time in which none is sent is 4 s, and the
	// time from the end of a partition to the resume, or to the next session, below 5 s.
	tryTime   = 8 * time.Second
	firstWait = 100 * time.Millisecond
	longWait  = 3 * time.Second
)

// State is what has become of the connection beneath a client's session.
type State struct {
	Phase   Phase
	Err     error     // Waiting: why the last connection or try failed; Over: why it ended; nil: in order
	Attempt int       // Waiting: the number of the next try
	Next    time.Time // Waiting: when it begins
}

// Phase names a state.
type Phase int

// The phases of a session, in the order in which they come: Connected once, then Waiting, for
// each try anew, and Resumed in turns, at last Over. With [Redial] another session follows:
// Waiting, then Connected.
const (
	Connected Phase = iota + 1 // the first connection stands
	Waiting                    // it was cut; another try is made at State.Next
	Resumed                    // a new connection stands and nothing was lost
	Over                       // there is no session any more
)

// String gives the phase's name in lower case.
func (p Phase) String() string {
	switch p {
	case Connected:
		return "connected"
	case Waiting:
		return "waiting"
	case Resumed:
		return "resumed"
	case Over:
		return "over"
	}
	return fmt.Sprintf("phase %d", int(p))
}

// client is what a session on the client's side has beside the rest.
type client struct {
	dial    func(context.Context) (wire.Conn, error)
	onState func(State)
	barren  int // tries in a row that brought nothing; of who redials, or with the session's lock

	mu     sync.Mutex
	states []State // not yet told
	busy   bool    // a goroutine tells them
}

// tell has OnState called.
func (c *client) tell(s State) {
	if c.onState == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states = append(c.states, s)
	if c.busy {
		return
	}
	c.busy = true
	go func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for len(c.states) > 0 {
			s := c.states[0]
			c.states = c.states[1:]
			c.mu.Unlock()
			c.onState(s)
			c.mu.Lock()
		}
		c.states, c.busy = nil, false
	}()
}

// Dial opens a session on a connection that dial makes, and calls dial again whenever that is
// cut: at once, and if that brings nothing again and again with exponential back-off and full
// jitter. dial is called by one goroutine at a time and must heed its context. ctx bounds the first
// connecting and has no effect later. The Conn is a wire.Resumer and a wire.OwnedWriter. If the
// other side keeps no sessions, the Conn ends when its connection is cut.
func Dial(ctx context.Context, dial func(context.Context) (wire.Conn, error), options *Options) (wire.Conn, error) {
	o := options.withDefaults()
	beneath, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := within(ctx, beneath, func() error { return beneath.WriteMessage(control(opOpen, open{version})) }); err != nil {
		beneath.Close()
		return nil, fmt.Errorf("session: cannot open: %w", err)
	}
	c := newConn(o)
	c.client = &client{dial: dial, onState: o.OnState}
	c.fresh = true
	c.link = &link{conn: beneath, born: time.Now(), next: 1}
	c.client.tell(State{Phase: Connected})
	return c, nil
}

// within does I/O on a connection and closes that if ctx ends first.
func within(ctx context.Context, beneath wire.Conn, io func() error) error {
	stop := context.AfterFunc(ctx, func() { beneath.Close() })
	err := io()
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

// opened takes the answer to the opening in.
func (c *conn) opened(p []byte) error {
	var m opened
	if err := parse(p, opOpened, &m); err != nil {
		return err
	}
	const longest = 1 << 20 // seconds
	switch {
	case m.ID == "":
		c.without()
		return nil
	case m.Secret == "" || m.Grace < 0 || m.Grace > longest:
		return fmt.Errorf("session: %w: it opened without a secret, or with a grace out of bounds", wire.ErrBroken)
	}
	c.id, c.secret = m.ID, m.Secret
	c.grace = min(max(c.opt.Grace, 0), time.Duration(m.Grace)*time.Second)
	return nil
}

// redial looks for a new connection in place of l, on a goroutine of its own, until there is one
// or the grace is over. With c.mu held.
func (c *conn) redial(l *link, why error) {
	// At once, unless l brought nothing: whatever cut it may do so again and again.
	if c.kept.first > c.ackedAt || c.received > c.heardAt || time.Since(l.born) > longWait {
		c.client.barren = 0
	}
	cut := why
	lost := fmt.Errorf("%w: no connection within %v", ErrLost, c.grace)
	ctx, cancel := context.WithTimeoutCause(context.Background(), c.grace, lost)
	c.cancel = cancel
	go func() {
		defer cancel()
		for {
			wait := backOff(c.client.barren)
			c.client.barren++
			c.client.tell(State{Phase: Waiting, Err: why, Attempt: c.client.barren, Next: time.Now().Add(wait)})
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			if ctx.Err() == nil {
				why = c.tryResume(ctx)
				if why == nil {
					return
				}
			}
			if ctx.Err() != nil || errors.Is(why, errFinal) {
				break
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if !errors.Is(why, errFinal) {
			why = fmt.Errorf("%w after the last was cut (%v); the last try: %v", lost, cut, why) //nolint:errorlint // their EOF is not ours
		}
		c.end(why)
	}()
}

// backOff is how long to wait after so many tries in a row that brought nothing: not at all at
// first, then with full jitter (AWS, Exponential Backoff And Jitter), so that clients of a server
// that was gone do not come back all at once.
func backOff(barren int) time.Duration {
	if barren == 0 {
		return 0
	}
	return rand.N(min(firstWait<<min(barren-1, 10), longWait)) //nolint:gosec // to spread clients, not to keep a secret
}

var errNoAnswer = fmt.Errorf("no answer within %v", tryTime)

// errFinal is matched by what makes further tries useless.
var errFinal = errors.New("")

type finalError struct{ error }

func (finalError) Is(target error) bool { return target == errFinal }
func (e finalError) Unwrap() error      { return e.error }

// tryResume dials once and resumes the session.
func (c *conn) tryResume(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, tryTime, errNoAnswer)
	defer cancel()
	beneath, err := c.client.dial(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.try++
	m := resume{ID: c.id, Try: c.try, Received: c.received}
	m.Proof = m.prove(c.secret)
	c.mu.Unlock()
	var answer resumed
	err = within(ctx, beneath, func() error {
		if err := beneath.WriteMessage(control(opResume, m)); err != nil {
			return err
		}
		p, err := beneath.ReadMessage()
		if err != nil {
			return err
		}
		if answers(p, opRefused) {
			return refusal(p)
		}
		return parse(p, opResumed, &answer)
	})
	if err == nil && !equal(answer.Proof, answer.prove(c.secret, m.ID, m.Try)) {
		err = errors.New("session: who answers does not know the session's secret")
	}
	if err == nil {
		c.mu.Lock()
		if c.over {
			err = finalError{c.err}
		} else if bad := c.attach(&link{conn: beneath}, answer.Received); bad != nil {
			err = finalError{bad}
		} else {
			c.client.tell(State{Phase: Resumed})
		}
		c.mu.Unlock()
	}
	if err != nil {
		beneath.Close()
	}
	return err
}

// refusal is the error for a server's no.
func refusal(p []byte) error {
	var m refused
	if err := parse(p, opRefused, &m); err != nil {
		return err
	}
	const longest = 200
	if len(m.Reason) > longest {
		m.Reason = m.Reason[:longest]
	}
	return finalError{fmt.Errorf("%w: the server refused to resume it: %s", ErrLost, m.Reason)}
}
