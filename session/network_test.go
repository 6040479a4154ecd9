package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/chumsync/chum/wire"
)

// A network joins clients and a server by pipes and harms them. It draws from a seed what it
// does to each connection, or is told by the test.
type network struct {
	server *Server
	accept func(wire.Conn) // what the server does with the Conn of a new session

	mu     sync.Mutex
	random *rand.Rand // nil: only what the test says
	faults int        // how many are left
	stalls int        // how many of them may be stalls
	dials  int
	down   bool // nobody can be reached
	hang   bool // nobody answers
	lines  []*cable
	err    error // of the last Accept that failed
	plan   func(n int, c *cable)
	wait   sync.WaitGroup
}

// A cable is one end of a connection, with what is to go wrong.
type cable struct {
	wire.Conn
	other *cable
	cut   func()

	mu      sync.Mutex
	writes  int
	cutAt   int           // the write that fails; 0: none
	arrives bool          // its message arrives all the same
	stallAt int           // the write that hangs until the connection is cut
	delay   time.Duration // of each write
	stopped chan struct{} // closed by cut
	seen    func(p []byte)
}

func (c *cable) WriteMessage(p []byte) error {
	c.mu.Lock()
	c.writes++
	n, cutAt, stallAt, delay := c.writes, c.cutAt, c.stallAt, c.delay
	seen := c.seen
	c.mu.Unlock()
	if seen != nil {
		seen(p)
	}
	if delay > 0 {
		pass(delay)
	}
	if n == stallAt {
		<-c.stopped
		return errors.New("stalled, then cut")
	}
	if n == cutAt {
		if c.arrives {
			_ = c.Conn.WriteMessage(p)
		}
		c.cut()
		return errors.New("cut amid a write")
	}
	return c.Conn.WriteMessage(p)
}

func (c *cable) written() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes
}

// stall lets the next write hang.
func (c *cable) stall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stallAt = c.writes + 1
}

func (c *cable) Close() error {
	c.mu.Lock()
	if c.stopped != nil && !isClosed(c.stopped) {
		close(c.stopped)
	}
	c.mu.Unlock()
	return c.Conn.Close()
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

var errDown = errors.New("no route to host")

// dial is a client's.
func (n *network) dial(ctx context.Context) (wire.Conn, error) {
	n.mu.Lock()
	n.dials++
	number := n.dials
	down := n.down
	hang := n.hang
	if n.random != nil && number > 1 && n.faults > 0 {
		switch n.random.IntN(8) {
		case 0:
			down = true
			n.faults--
		case 1:
			hang = true
			n.faults--
		}
	}
	n.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if down {
		return nil, errDown
	}
	a, b := wire.Pipe()
	ca, cb := &cable{Conn: a, stopped: make(chan struct{})}, &cable{Conn: b, stopped: make(chan struct{})}
	ca.other, cb.other = cb, ca
	cut := func() { ca.Close(); cb.Close() }
	ca.cut, cb.cut = cut, cut
	n.mu.Lock()
	if n.random != nil && number > 1 {
		n.harm(ca)
		n.harm(cb)
	}
	if n.plan != nil {
		n.plan(number, ca)
	}
	n.lines = append(n.lines, ca)
	n.mu.Unlock()
	n.wait.Go(func() { n.serve(cb) })
	return ca, nil
}

func (n *network) serve(beneath wire.Conn) {
	n.mu.Lock()
	server := n.server
	n.mu.Unlock()
	c, err := server.Accept(beneath)
	if err != nil {
		n.mu.Lock()
		n.err = err
		n.mu.Unlock()
	}
	if c != nil {
		n.accept(c)
	}
}

// harm draws what goes wrong on one end of a connection.
func (n *network) harm(c *cable) {
	r := n.random
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.IntN(3) == 0 {
		c.delay = time.Duration(r.IntN(8)) * time.Millisecond
	}
	if n.faults == 0 {
		return
	}
	switch r.IntN(5) {
	case 0, 1:
		c.cutAt = c.writes + 1 + r.IntN(12)
		c.arrives = r.IntN(2) == 0
		n.faults--
	case 2:
		if n.stalls--; n.stalls < 0 {
			return
		}
		c.stallAt = c.writes + 1 + r.IntN(20)
		n.faults--
	}
}

// harmFirst does it to the first connection, which is spared until the session is open.
func (n *network) harmFirst() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.harm(n.lines[0])
	n.harm(n.lines[0].other)
}

// last is the client's end of the newest connection.
func (n *network) last() *cable {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lines[len(n.lines)-1]
}

// count tells how often it was dialed.
func (n *network) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// set says whether the server can be reached; if not, all connections are cut.
func (n *network) set(up bool) {
	n.mu.Lock()
	n.down = !up
	lines := n.lines
	n.mu.Unlock()
	if !up {
		for _, l := range lines {
			l.cut()
		}
	}
}

// join opens a session over a network and gives both its ends.
func join(t *testing.T, n *network, client, server *Options) (a, b *conn) {
	t.Helper()
	if n.server == nil {
		n.server = NewServer(server)
	}
	accepted := make(chan wire.Conn, 1)
	if n.accept == nil {
		n.accept = func(c wire.Conn) { accepted <- c }
	}
	c, err := Dial(t.Context(), n.dial, client)
	if err != nil {
		t.Fatal(err)
	}
	a, b = c.(*conn), (<-accepted).(*conn)
	t.Cleanup(func() {
		a.Close()
		b.Close()
		pass(closeTime + time.Millisecond) // if one of them hangs
		n.wait.Wait()
		n.server.Close()
	})
	return a, b
}

// receive reads messages and gives those it got, until the Conn ends.
func receive(c wire.Conn, got func(p []byte)) error {
	for {
		p, err := c.ReadMessage()
		if err != nil {
			return err
		}
		got(p)
	}
}

// inbox collects what a Conn reads.
type inbox struct {
	mu   sync.Mutex
	text []string
	err  error
}

func collect(c wire.Conn) *inbox {
	i := new(inbox)
	go func() {
		err := receive(c, func(p []byte) {
			i.mu.Lock()
			i.text = append(i.text, string(p))
			i.mu.Unlock()
		})
		i.mu.Lock()
		i.err = err
		i.mu.Unlock()
	}()
	return i
}

func (i *inbox) all() ([]string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.text, i.err
}

// numbered checks that an inbox holds the messages 1 to n, once each and in order.
func (i *inbox) numbered(t *testing.T, n int) {
	t.Helper()
	text, err := i.all()
	if len(text) != n {
		t.Errorf("%d messages came (%v), want %d", len(text), err, n)
	}
	for k, s := range text {
		if s != fmt.Sprint(k+1) {
			t.Fatalf("message %d is %q", k+1, s)
		}
	}
}

// write sends the messages first to last.
func write(t *testing.T, c wire.Conn, first, last int) {
	t.Helper()
	for k := first; k <= last; k++ {
		if err := c.WriteMessage(fmt.Append(nil, k)); err != nil {
			t.Errorf("message %d: %v", k, err)
			return
		}
	}
}

// pass lets the bubble's clock run on.
func pass(d time.Duration) {
	done := make(chan struct{})
	time.AfterFunc(d, func() { close(done) })
	<-done
}
