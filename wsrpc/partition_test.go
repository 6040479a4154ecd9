package wsrpc_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/session"
	"github.com/chumsync/chum/ws"
	"github.com/chumsync/chum/wsrpc"
)

// A network falls silent and heals, as TCP shows it to a program: nobody is told, what is written
// goes nowhere, and who connects sends one SYN after the other. It is a net.Listener.
type network struct {
	arrivals chan net.Conn
	closed   chan struct{}

	mu     sync.Mutex
	silent bool
	ends   []*end
}

func newNetwork() *network {
	return &network{arrivals: make(chan net.Conn), closed: make(chan struct{})}
}

// set says whether it is silent. A connection that was there stays so for ever: what TCP would
// send again after the silence comes after all have given it up.
func (n *network) set(silent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.silent = silent
	for _, e := range n.ends {
		e.silent = e.silent || silent
	}
}

// dial connects as TCP does: a SYN at once, others 1, 3, 7 s later and so on (RFC 6298, 2 and 5).
func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	for wait := time.Second; n.isSilent(); wait *= 2 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	a, b := net.Pipe()
	near, far := n.newEnd(a), n.newEnd(b)
	select {
	case n.arrivals <- far:
		return near, nil
	case <-n.closed:
		near.Close()
		far.Close()
		return nil, net.ErrClosed
	}
}

func (n *network) isSilent() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.silent
}

// open counts the ends of connections that nobody has closed.
func (n *network) open() (open int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.ends {
		if !e.closed {
			open++
		}
	}
	return open
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.arrivals:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error { close(n.closed); return nil }

func (n *network) Addr() net.Addr { return &net.UnixAddr{Name: "network", Net: "memory"} }

// An end of a connection. What is written is sent by a goroutine, as a kernel does.
type end struct {
	net.Conn
	network        *network
	out            chan []byte
	silent, closed bool // guarded by network.mu
}

func (n *network) newEnd(c net.Conn) *end {
	e := &end{Conn: c, network: n, out: make(chan []byte, 1000)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ends = append(n.ends, e)
	go e.send()
	return e
}

func (e *end) send() {
	for p := range e.out {
		_, _ = e.Conn.Write(p)
	}
	e.network.mu.Lock()
	silent := e.silent
	e.network.mu.Unlock()
	if !silent { // else the other end does not hear of it
		e.Conn.Close()
	}
}

func (e *end) Write(p []byte) (int, error) {
	e.network.mu.Lock()
	defer e.network.mu.Unlock()
	switch {
	case e.closed:
		return 0, net.ErrClosed
	case e.silent:
		return len(p), nil
	}
	e.out <- bytes.Clone(p)
	return len(p), nil
}

func (e *end) Close() error {
	e.network.mu.Lock()
	defer e.network.mu.Unlock()
	if e.closed {
		return net.ErrClosed
	}
	e.closed = true
	close(e.out)
	return e.Conn.SetReadDeadline(time.Unix(1, 0))
}

// A silence of up to a minute, for which a session is kept, and one of ten, for which it is not:
// both ends notice it within 25 s, and 5 s after its end the call that was open is answered. In
// the session it was executed once; without, it is made again, since its method is pure. The
// silence begins at any time between two pings, and ends at any between two tries to connect.
func TestSilentNetwork(t *testing.T) {
	const trials, notice, back = 40, 25 * time.Second, 5 * time.Second
	for _, longest := range []time.Duration{time.Minute, 10 * time.Minute} {
		var noticed, answered time.Duration
		for i := range trials {
			synctest.Test(t, func(t *testing.T) {
				part := func(of time.Duration) time.Duration { return of * time.Duration(i) / trials }
				a, b := fallSilent(t, part(15*time.Second), longest-part(11*time.Second), longest > time.Minute)
				noticed, answered = max(noticed, a), max(answered, b)
			})
		}
		t.Logf("%d silences of up to %v: noticed within %v, answered within %v of the end", trials, longest, noticed, answered)
		if noticed > notice || answered > back {
			t.Errorf("a silence of %v: noticed within %v, want %v; answered within %v of its end, want %v", longest, noticed, notice, answered, back)
		}
	}
}

// fallSilent lets a connection be, then the network be silent, and tells when both ends had
// noticed it and how long after the end the open call was answered.
func fallSilent(t *testing.T, before, silence time.Duration, pure bool) (noticed, answered time.Duration) {
	n := newNetwork()
	const ask rpc.Method[string, string] = "ask"
	mux := rpc.NewMux(rpc.Public)
	runs := 0
	var run sync.Mutex
	release := make(chan struct{})
	ask.Handle(mux, func(ctx context.Context, s string) (string, error) {
		run.Lock()
		runs++
		run.Unlock()
		select {
		case <-release:
			return "yes, " + s, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}, rpc.Pure)
	options := quiet()
	options.RPC.CallTimeout = -1
	states := make(chan time.Time, 1000) // since when it looks for another connection
	options.Session.OnState = func(s session.State) {
		if s.Phase == session.Waiting {
			states <- time.Now()
		}
	}
	options.WS = ws.Options{Transport: &http.Transport{DialContext: n.dial}}
	handler := wsrpc.Handler(mux, options)
	server := &http.Server{Handler: handler}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(n) })
	p, err := wsrpc.Connect(t.Context(), "ws://server", nil, options)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if pure {
		ctx = rpc.Repeatable(ctx)
	}
	promise := ask.Go(ctx, p, "you")
	pass(before)
	synctest.Wait() // both have said hello: who has not by then is given up after 10 s

	n.set(true)
	began := time.Now()
	noticed = (<-states).Sub(began)
	for n.open() > 0 && time.Since(began) < silence { // the server, too, whose closing takes a second
		pass(100 * time.Millisecond)
	}
	if d := time.Since(began); d > 27*time.Second {
		t.Errorf("the server noticed after %v", d)
	}
	pass(time.Until(began.Add(silence)))
	close(release) // the answer was never on its way before the end
	n.set(false)
	healed := time.Now()
	s, err := promise.Await()
	answered = time.Since(healed)
	if s != "yes, you" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	if run.Lock(); !pure && runs != 1 {
		t.Errorf("executed %d times", runs)
	}
	run.Unlock()

	p.Close()
	if err := handler.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	_ = server.Close()
	serving.Wait()
	pass(2 * time.Second) // closing a WebSocket may take one
	return noticed, answered
}

// pass lets the bubble's clock run on.
func pass(d time.Duration) {
	done := make(chan struct{})
	time.AfterFunc(d, func() { close(done) })
	<-done
}
