package wsrpc_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/session"
	"github.com/chumsync/chum/wsrpc"
)

// A proxy stands between a client and a server, and cuts.
type proxy struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	conns []net.Conn
	count int
	wait  sync.WaitGroup
}

// newProxy starts one in front of the server at url.
func newProxy(t *testing.T, url string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: strings.TrimPrefix(url, "http://")}
	p.wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.wait.Go(func() { p.carry(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.cut()
		p.wait.Wait()
	})
	return p
}

func (p *proxy) url() string { return "ws://" + p.listener.Addr().String() }

func (p *proxy) carry(c net.Conn) {
	defer c.Close()
	p.mu.Lock()
	to := p.to
	p.mu.Unlock()
	s, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer s.Close()
	p.mu.Lock()
	p.conns = append(p.conns, c, s)
	p.count++
	p.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [2][2]net.Conn{{c, s}, {s, c}} {
		both.Go(func() {
			io.Copy(way[0], way[1])
			way[0].Close()
			way[1].Close()
		})
	}
	both.Wait()
}

// cut resets all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	p.conns = nil
}

func (p *proxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// Calls and streams both ways go on over a connection that is cut again and again; there is
// one peer all the time.
func TestCuts(t *testing.T) {
	mux := services()
	content := make([]byte, 20<<20)
	rand.NewChaCha8([32]byte{}).Read(content)
	const get rpc.Source[struct{}, []byte] = "get"
	rpc.HandleWriter(mux, get, func(_ context.Context, _ struct{}, w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	const put rpc.Sink[struct{}, []byte, []byte] = "put"
	rpc.HandleReader(mux, put, func(_ context.Context, _ struct{}, r io.Reader) ([]byte, error) {
		h := sha256.New()
		_, err := io.Copy(h, r)
		return h.Sum(nil), err
	})
	o := quiet()
	arrived := make(chan *rpc.Peer, 100)
	o.OnPeer = func(p *rpc.Peer) { arrived <- p }
	server, url := serve(t, mux, o)
	between := newProxy(t, url)
	p := connect(t, between.url(), named("ann"))
	var work sync.WaitGroup
	work.Go(func() {
		got, err := io.ReadAll(rpc.Reader(t.Context(), p, get, struct{}{}))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d of %d bytes came, %v", len(got), len(content), err)
		}
	})
	work.Go(func() {
		w := rpc.Writer(t.Context(), p, put, struct{}{})
		w.Write(content)
		want := sha256.Sum256(content)
		if sum, err := w.Result(); err != nil || !bytes.Equal(sum, want[:]) {
			t.Errorf("upload: %x, %v", sum, err)
		}
	})
	var cuts atomic.Int32
	for range 4 {
		work.Go(func() {
			for n := 0; n < 100 || cuts.Load() < 3; n++ {
				if s, err := greet.Call(t.Context(), p, "hello"); err != nil || s != "hello ann" {
					t.Error(s, err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	for ticks := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case <-ticks.C:
			if n := int32(between.connections()); n > cuts.Load() && n <= 10 {
				cuts.Store(n)
				between.cut()
			}
			continue
		case <-done:
		}
		break
	}
	if n := len(server.Peers()); n != 1 || len(arrived) != 1 {
		t.Errorf("%d peers, %d arrived: it is one peer, however many connections", n, len(arrived))
	}
}

// With NoResume, on either side, the connection's end is that of all open calls; with the
// client's, of its peer.
func TestNoResume(t *testing.T) {
	for _, side := range []string{"client", "server"} {
		o, c := quiet(), quiet()
		if side == "server" {
			o.NoResume = true
		} else {
			c.NoResume = true
		}
		server, url := serve(t, services(), o)
		between := newProxy(t, url)
		p, err := wsrpc.Connect(t.Context(), between.url(), nil, c)
		if err != nil {
			t.Fatal(err)
		}
		promise := hang.Go(t.Context(), p, struct{}{})
		for server.Peers()[0].Stats().In.Open == 0 {
			runtime.Gosched()
		}
		between.cut()
		if _, err := promise.Await(); rpc.CodeOf(err) != rpc.Unavailable || rpc.ExecutedOf(err) != rpc.Maybe {
			t.Errorf("%s: %v", side, err)
		}
		if side == "server" { // this client goes on with a new peer there
			p.Close()
		}
		<-p.Done()
		for len(server.Peers()) > 0 {
			runtime.Gosched()
		}
		if n := between.connections(); n != 1 && side == "client" {
			t.Errorf("%s: %d connections", side, n)
		}
	}
}

// A server that was started anew does not know the session: what was open fails at once, and
// the same peer goes on with a new session.
func TestServerStartsAnew(t *testing.T) {
	_, url := serve(t, services(), quiet())
	_, other := serve(t, services(), quiet())
	between := newProxy(t, url)
	o := quiet()
	states := make(chan session.State, 100)
	o.Session.OnState = func(s session.State) { states <- s }
	p, err := wsrpc.Connect(t.Context(), between.url(), named("ann"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	promise := hang.Go(t.Context(), p, struct{}{})
	if s, err := greet.Call(t.Context(), p, "hello"); err != nil || s != "hello ann" { // so the other is out
		t.Error(s, err)
	}
	between.mu.Lock()
	between.to = strings.TrimPrefix(other, "http://")
	between.mu.Unlock()
	between.cut()
	if _, err := promise.Await(); rpc.CodeOf(err) != rpc.Unavailable || rpc.ExecutedOf(err) != rpc.Maybe || !strings.Contains(err.Error(), "another process") {
		t.Error(err)
	}
	if s, err := greet.Call(t.Context(), p, "hello"); err != nil || s != "hello ann" {
		t.Error(s, err)
	}
	var phases []session.Phase
	for len(phases) < 5 || phases[len(phases)-1] != session.Connected {
		phases = append(phases, (<-states).Phase)
	}
	if phases[0] != session.Connected || !slices.Contains(phases, session.Over) || slices.Contains(phases, session.Resumed) {
		t.Errorf("states %v", phases)
	}
}

// A client whose server shuts down finds the one that takes its place.
func TestServerShutsDown(t *testing.T) {
	first, url := serve(t, services(), quiet())
	_, other := serve(t, services(), quiet())
	between := newProxy(t, url)
	p := connect(t, between.url(), named("ann"))
	between.mu.Lock()
	between.to = strings.TrimPrefix(other, "http://")
	between.mu.Unlock()
	if err := first.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if s, err := greet.Call(t.Context(), p, "hello"); err != nil || s != "hello ann" {
		t.Error(s, err)
	}
}
