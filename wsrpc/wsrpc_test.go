package wsrpc_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/ws"
	"github.com/chumsync/chum/wsrpc"
)

const (
	zero  rpc.Source[int64, []byte]         = "zero"
	eat   rpc.Sink[struct{}, []byte, int64] = "eat"
	greet rpc.Method[string, string]        = "greet"
	name  rpc.Method[struct{}, string]      = "name"
	hang  rpc.Method[struct{}, struct{}]    = "hang"
)

// services are a server's; greet calls the client back.
func services() *rpc.Mux {
	mux := rpc.NewMux(rpc.Public)
	rpc.HandleWriter(mux, zero, func(_ context.Context, n int64, w io.Writer) error {
		_, err := w.Write(make([]byte, n))
		return err
	})
	rpc.HandleReader(mux, eat, func(_ context.Context, _ struct{}, r io.Reader) (int64, error) {
		return io.Copy(io.Discard, r)
	})
	greet.Handle(mux, func(ctx context.Context, greeting string) (string, error) {
		who, err := name.Call(ctx, rpc.PeerFrom(ctx), struct{}{})
		return greeting + " " + who, err
	})
	hang.Handle(mux, func(ctx context.Context, _ struct{}) (struct{}, error) {
		<-ctx.Done()
		return struct{}{}, ctx.Err()
	})
	return mux
}

// named are the services of a client.
func named(s string) *rpc.Mux {
	mux := rpc.NewMux(rpc.Public)
	name.Handle(mux, func(context.Context, struct{}) (string, error) { return s, nil })
	return mux
}

func quiet() *wsrpc.Options {
	return &wsrpc.Options{RPC: rpc.Options{Logger: slog.New(slog.DiscardHandler)}}
}

// serve starts a server and ends it with the test, when no peer may be left.
func serve(t *testing.T, mux *rpc.Mux, o *wsrpc.Options) (*wsrpc.Server, string) {
	t.Helper()
	handler := wsrpc.Handler(mux, o)
	hs := httptest.NewServer(handler)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		handler.Shutdown(ctx)
		hs.Close()
		if n := len(handler.Peers()); n != 0 {
			t.Errorf("%d peers are left after Shutdown", n)
		}
	})
	return handler, hs.URL
}

func connect(t *testing.T, url string, mux *rpc.Mux) *rpc.Peer {
	t.Helper()
	return connectWith(t, url, mux, quiet())
}

// once is for a client that ends with its connection.
func once() *wsrpc.Options {
	o := quiet()
	o.NoResume = true
	return o
}

func connectWith(t *testing.T, url string, mux *rpc.Mux, o *wsrpc.Options) *rpc.Peer {
	t.Helper()
	p, err := wsrpc.Connect(t.Context(), url, mux, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		if s := p.Stats(); s.Out.Open+s.Streams+s.Waiting != 0 {
			t.Errorf("left open: %+v", s)
		}
	})
	return p
}

func TestBytesBothWays(t *testing.T) {
	_, url := serve(t, services(), quiet())
	p := connect(t, url, nil)
	if n, err := io.Copy(io.Discard, rpc.Reader(t.Context(), p, zero, 50<<20)); err != nil || n != 50<<20 {
		t.Fatal(n, err)
	}
	w := rpc.Writer(t.Context(), p, eat, struct{}{})
	if _, err := w.Write(make([]byte, 20<<20)); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Result(); err != nil || n != 20<<20 {
		t.Fatal(n, err)
	}
}

// Each client is called back while it is served, many at once.
func TestServerCallsBack(t *testing.T) {
	server, url := serve(t, services(), quiet())
	var wait sync.WaitGroup
	for _, who := range []string{"ann", "bob", "eve"} {
		p := connect(t, url, named(who))
		for range 8 {
			wait.Go(func() {
				for range 50 {
					if s, err := greet.Call(t.Context(), p, "hello"); err != nil || s != "hello "+who {
						t.Error(s, err)
						return
					}
				}
			})
		}
	}
	wait.Wait()
	if n := len(server.Peers()); n != 3 {
		t.Errorf("%d peers", n)
	}
}

// OnPeer is where a server calls its clients on its own account.
func TestOnPeer(t *testing.T) {
	o := quiet()
	names := make(chan string, 2)
	o.OnPeer = func(p *rpc.Peer) {
		s, err := name.Call(t.Context(), p, struct{}{})
		if err != nil {
			t.Error(err)
		}
		names <- s
	}
	_, url := serve(t, nil, o)
	connect(t, url, named("ann"))
	if s := <-names; s != "ann" {
		t.Error(s)
	}
	p := connect(t, url, named("bob"))
	if s := <-names; s != "bob" {
		t.Error(s)
	}
	// A server without services serves nothing, not even its list.
	if _, err := rpc.Methods.Call(t.Context(), p, struct{}{}); rpc.CodeOf(err) != rpc.Unimplemented {
		t.Error(err)
	}
}

func TestPeersComeAndGo(t *testing.T) {
	server, url := serve(t, services(), quiet())
	for range 3 {
		p := connect(t, url, nil)
		if n := len(server.Peers()); n != 1 {
			t.Errorf("%d peers", n)
		}
		p.Close()
		for len(server.Peers()) > 0 {
			runtime.Gosched()
		}
	}
}

// Shutdown lets what is open finish, and takes no one new.
func TestShutdown(t *testing.T) {
	mux := services()
	gate, running := make(chan struct{}), make(chan struct{})
	mux.Func("wait", func() int { close(running); <-gate; return 42 })
	server, url := serve(t, mux, quiet())
	p := connectWith(t, url, nil, once())
	promise := p.Send(t.Context(), "wait")
	<-running
	done := make(chan error, 1)
	go func() { done <- server.Shutdown(t.Context()) }()
	for { // until the going away is here
		if err := p.Send(t.Context(), "zero").Await(nil); rpc.CodeOf(err) == rpc.Unavailable {
			if rpc.ExecutedOf(err) != rpc.No {
				t.Error(err)
			}
			break
		}
	}
	_, err := wsrpc.Connect(t.Context(), url, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "503 Service Unavailable shutting down") {
		t.Error(err)
	}
	select {
	case err := <-done:
		t.Fatal("Shutdown did not wait:", err)
	default:
	}
	close(gate)
	var n int
	if err := promise.Await(&n); err != nil || n != 42 {
		t.Error(n, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-p.Done()
	if p.Err() != nil {
		t.Error(p.Err())
	}
}

func TestShutdownRunsOut(t *testing.T) {
	server, url := serve(t, services(), quiet())
	p := connectWith(t, url, nil, once())
	promise := hang.Go(t.Context(), p, struct{}{})
	for server.Peers()[0].Stats().In.Open == 0 {
		runtime.Gosched()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if _, err := promise.Await(); rpc.CodeOf(err) != rpc.Unavailable || rpc.ExecutedOf(err) != rpc.Maybe {
		t.Error(err)
	}
}

func TestConnectErrors(t *testing.T) {
	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	// A WebSocket server that speaks something else, and one that says nothing.
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := ws.Accept(w, r, nil)
		if err != nil {
			return
		}
		if r.URL.Path == "/other" {
			c.WriteMessage([]byte("220 smtp ready"))
		}
		for err == nil {
			_, err = c.ReadMessage()
		}
		c.Close()
	}))
	defer other.Close()
	for _, tt := range []struct{ url, text string }{
		{"localhost:7171", "must begin with ws://"},
		{page.URL, "does not speak WebSocket there"},
		{other.URL + "/other", "broke the protocol"},
		{other.URL + "/silent", "time is over"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if !strings.HasSuffix(tt.url, "/silent") {
			cancel()
			ctx, cancel = context.WithCancel(t.Context())
		}
		p, err := wsrpc.Connect(ctx, tt.url, nil, quiet())
		if err == nil {
			p.Close()
			t.Fatalf("%s: connected", tt.url)
		}
		if !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v, want %q in it", tt.url, err, tt.text)
		}
		cancel()
	}
}

// Two versions of the protocol find out at once.
func TestOtherVersion(t *testing.T) {
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := ws.Accept(w, r, nil)
		if err != nil {
			return
		}
		hello := `{"version":9,"agent":"future"}`
		c.WriteMessage(append([]byte{1, 0, byte(len(hello))}, hello...))
		for err == nil {
			_, err = c.ReadMessage()
		}
		c.Close()
	}))
	defer hs.Close()
	_, err := wsrpc.Connect(t.Context(), hs.URL, nil, quiet())
	if err == nil || !strings.Contains(err.Error(), "the other side (future) speaks version 9 of the protocol, this one version 1: update the older") {
		t.Error(err)
	}
}

// The context of Connect has no effect later.
func TestConnectContextEnds(t *testing.T) {
	_, url := serve(t, services(), quiet())
	ctx, cancel := context.WithCancel(t.Context())
	p, err := wsrpc.Connect(ctx, url, named("ann"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	cancel()
	for range 100 {
		if s, err := greet.Call(t.Context(), p, "still"); err != nil || s != "still ann" {
			t.Fatal(s, err)
		}
	}
}

func TestListenAndServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := wsrpc.ListenAndServe(t.Context(), addr, nil, nil); err == nil || !strings.HasPrefix(err.Error(), "wsrpc: ") || !strings.Contains(err.Error(), "in use") {
		t.Error(err)
	}
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- wsrpc.ListenAndServe(ctx, addr, services(), quiet()) }()
	var p *rpc.Peer
	for p == nil { // until it listens
		p, _ = wsrpc.Connect(t.Context(), "ws://"+addr, named("ann"), once())
		if len(done) > 0 {
			t.Fatal(<-done)
		}
	}
	if s, err := greet.Call(t.Context(), p, "hello"); err != nil || s != "hello ann" {
		t.Error(s, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-p.Done()
	if p.Err() != nil {
		t.Error(p.Err())
	}
}
