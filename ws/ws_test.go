package ws_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/chumsync/chum/wire"
	"github.com/chumsync/chum/ws"
)

// serve accepts WebSockets and hands out the server's ends of them.
func serve(t *testing.T, o *ws.Options) (server *httptest.Server, accepted <-chan wire.Conn) {
	t.Helper()
	conns := make(chan wire.Conn, 16)
	server = httptest.NewServer(acceptor(conns, o))
	t.Cleanup(server.Close)
	return server, conns
}

func acceptor(conns chan<- wire.Conn, o *ws.Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := ws.Accept(w, r, o)
		if err != nil {
			return
		}
		conns <- c
	})
}

// join gives both ends of a WebSocket.
func join(t *testing.T, client, server *ws.Options) (c, s wire.Conn) {
	t.Helper()
	hs, accepted := serve(t, server)
	c, err := ws.Dial(t.Context(), hs.URL, client)
	if err != nil {
		t.Fatal(err)
	}
	s = <-accepted
	t.Cleanup(func() {
		c.Close()
		s.Close()
	})
	return c, s
}

func payload(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(p)
	return p
}

// Messages of every size arrive whole and in order, both ways at once.
func TestMessages(t *testing.T) {
	c, s := join(t, nil, nil)
	sizes := []int{
		0, 1, 2, 125, 126, 127, 4095, 4096, 4097, 8 << 10, 8<<10 + 1, 0, 65535, 65536, 65537, 200_000,
		wire.MaxMessage - 1, wire.MaxMessage, 3, 0, 256 << 10,
	}
	var wait sync.WaitGroup
	for _, conn := range []wire.Conn{c, s} {
		wait.Go(func() {
			for _, n := range sizes {
				p := payload(n)
				if err := conn.WriteMessage(p); err != nil {
					t.Errorf("%d bytes: %v", n, err)
					return
				}
				clear(p) // the Conn no longer needs it
			}
		})
		wait.Go(func() {
			for _, n := range sizes {
				p, err := conn.ReadMessage()
				if err != nil || !bytes.Equal(p, payload(n)) {
					t.Errorf("%d bytes: %d came, %v", n, len(p), err)
					return
				}
			}
		})
	}
	wait.Wait()
}

// A message over the limit ends the connection, and both sides can tell why.
func TestTooLongMessage(t *testing.T) {
	for _, limit := range []int{0, 1000} {
		c, s := join(t, nil, &ws.Options{MaxMessage: limit})
		n := limit
		if n == 0 {
			n = wire.MaxMessage
		}
		if err := c.WriteMessage(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if p, err := s.ReadMessage(); err != nil || len(p) != n {
			t.Fatal(len(p), err)
		}
		go c.WriteMessage(make([]byte, n+1))
		if p, err := s.ReadMessage(); err == nil || !strings.Contains(err.Error(), fmt.Sprint(n)) || !strings.HasPrefix(err.Error(), "ws: ") {
			t.Errorf("%d bytes came: %v", len(p), err)
		}
		if _, err := c.ReadMessage(); err == nil || err == io.EOF || !strings.Contains(err.Error(), "1009") {
			t.Errorf("the writer hears %v", err)
		}
	}
}

// raw connects without this package.
func raw(t *testing.T, url string, header http.Header) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	c, answer, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: header})
	if err == nil {
		t.Cleanup(func() { c.CloseNow() })
	}
	return c, answer, err
}

func TestTextIsRefused(t *testing.T) {
	hs, accepted := serve(t, nil)
	c, _, err := raw(t, hs.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := <-accepted
	defer s.Close()
	go c.Write(t.Context(), websocket.MessageText, []byte(`{"jsonrpc":"2.0"}`))
	closed := make(chan error, 1)
	go func() {
		_, _, err := c.Read(t.Context())
		closed <- err
	}()
	if _, err := s.ReadMessage(); err == nil || !strings.Contains(err.Error(), "binary messages only") {
		t.Error(err)
	}
	if code := websocket.CloseStatus(<-closed); code != websocket.StatusUnsupportedData {
		t.Errorf("closed with %d", code)
	}
	if _, err := s.ReadMessage(); err == nil {
		t.Error("an error is final")
	}
}

// How the other side leaves, and what a reader is told.
func TestEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		leave func(c *websocket.Conn)
		is    error
		text  string
	}{
		{"normal", func(c *websocket.Conn) { c.Close(websocket.StatusNormalClosure, "") }, io.EOF, ""},
		{"going away", func(c *websocket.Conn) { c.Close(websocket.StatusGoingAway, "tab closed") }, io.EOF, ""},
		{"no code", func(c *websocket.Conn) { c.Close(websocket.StatusNoStatusRcvd, "") }, io.EOF, ""},
		{"policy", func(c *websocket.Conn) { c.Close(websocket.StatusPolicyViolation, "be gone") }, nil, "1008 be gone"},
		{"own code", func(c *websocket.Conn) { c.Close(4321, "why") }, nil, "4321 why"},
		{"cut", func(c *websocket.Conn) { c.CloseNow() }, io.ErrUnexpectedEOF, "network connection ended"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hs, accepted := serve(t, nil)
			c, _, err := raw(t, hs.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			s := <-accepted
			defer s.Close()
			go tt.leave(c)
			_, err = s.ReadMessage()
			switch {
			case tt.is != nil && !errors.Is(err, tt.is), tt.is == io.EOF && err != io.EOF:
				t.Errorf("%v, want %v", err, tt.is)
			case tt.text != "" && !strings.Contains(err.Error(), tt.text):
				t.Errorf("%v, want %q in it", err, tt.text)
			}
			if _, again := s.ReadMessage(); again == nil {
				t.Error("an error is final")
			}
		})
	}
}

// The network connection goes while a message is under way.
func TestCutAmidMessage(t *testing.T) {
	var mu sync.Mutex
	var last net.Conn
	dialer := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		mu.Lock()
		defer mu.Unlock()
		last = c
		return c, err
	}}
	c, s := join(t, &ws.Options{Transport: dialer}, nil)
	if err := c.WriteMessage([]byte("whole")); err != nil {
		t.Fatal(err)
	}
	if p, err := s.ReadMessage(); err != nil || string(p) != "whole" {
		t.Fatal(err)
	}
	mu.Lock()
	last.Write([]byte{0x82, 0xfe, 0x10, 0, 1, 2, 3, 4, 'h', 'a', 'l', 'f'}) // 4,096 bytes announced
	last.Close()
	mu.Unlock()
	if p, err := s.ReadMessage(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%q, %v", p, err)
	}
	if err := c.WriteMessage([]byte("x")); err == nil || !strings.HasPrefix(err.Error(), "ws: ") {
		t.Error(err)
	}
}

// Close ends a read and a write that are under way, at both ends; it is asked twice.
func TestCloseUnblocks(t *testing.T) {
	c, s := join(t, nil, nil)
	done := make(chan error, 2)
	go func() {
		_, err := c.ReadMessage()
		done <- err
	}()
	go func() {
		for {
			if err := c.WriteMessage(make([]byte, 1<<20)); err != nil { // nobody reads: it blocks
				done <- err
				return
			}
		}
	}()
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if err := <-done; err == nil || err == io.EOF {
			t.Errorf("a blocked call ended with %v", err)
		}
	}
	if _, err := c.ReadMessage(); !errors.Is(err, wire.ErrClosed) {
		t.Error(err)
	}
	if err := c.WriteMessage([]byte("x")); err == nil {
		t.Error("written after Close")
	}
	for {
		if _, err := s.ReadMessage(); err != nil {
			break
		}
	}
}

func TestCloseIsOrderly(t *testing.T) {
	c, s := join(t, nil, nil)
	if err := c.WriteMessage([]byte("last")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if p, err := s.ReadMessage(); err != nil || string(p) != "last" {
		t.Errorf("%q, %v", p, err)
	}
	if _, err := s.ReadMessage(); err != io.EOF {
		t.Errorf("%v, want io.EOF itself", err)
	}
}

// A page of another site must not use a local server.
func TestOrigin(t *testing.T) {
	for _, tt := range []struct {
		name    string
		origin  string // "HOST" stands for the server's own
		origins []string
		ok      bool
	}{
		{"no browser", "", nil, true},
		{"same host", "http://HOST", nil, true},
		{"another site", "https://evil.example", nil, false},
		{"another port", "http://127.0.0.1:1", nil, false},
		{"a file", "null", nil, false},
		{"one that is listed", "https://app.example.com", []string{"*.example.com"}, true},
		{"one that only ends alike", "https://evilexample.com", []string{"*.example.com"}, false},
		{"one that only begins alike", "https://app.example.com.evil.org", []string{"*.example.com"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hs, accepted := serve(t, &ws.Options{Origins: tt.origins})
			header := http.Header{}
			if tt.origin != "" {
				header.Set("Origin", strings.Replace(tt.origin, "HOST", hs.Listener.Addr().String(), 1))
			}
			c, answer, err := raw(t, hs.URL, header)
			if (err == nil) != tt.ok {
				t.Fatal(err)
			}
			if !tt.ok {
				if answer.StatusCode != http.StatusForbidden {
					t.Errorf("status %d", answer.StatusCode)
				}
				return
			}
			s := <-accepted
			c.CloseNow()
			s.Close()
		})
	}
}

// What cannot work is said in words that name the cause.
func TestDialErrors(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "just a page")
	}))
	defer plain.Close()
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
	}))
	defer busy.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	l.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		url  string
		is   error
		text string
	}{
		{"no URL", nil, "", nil, "must begin with ws:// or wss://"},
		{"no scheme", nil, "localhost:7171", nil, "must begin with ws:// or wss://"},
		{"another scheme", nil, "ftp://localhost", nil, "must begin with ws:// or wss://"},
		{"no host", nil, "ws:///path", nil, "names no host"},
		{"not a URL", nil, "ws://a b", nil, "invalid character"},
		{"nobody listens", nil, "ws://" + free, nil, "connection refused"},
		{"a page", nil, plain.URL, nil, "does not speak WebSocket there: it answered 200 OK just a page"},
		{"nothing there", nil, missing.URL + "/chum", nil, "it answered 404 Not Found"},
		{"unavailable", nil, busy.URL, nil, "it answered 503 Service Unavailable shutting down"},
		{"TLS asked of a plain server", nil, strings.Replace(plain.URL, "http", "wss", 1), nil, "cannot connect"},
		{"TLS that is not trusted", nil, secure.URL, nil, "certificate"},
		{"ended context", ended, plain.URL, context.Canceled, "cannot connect"},
		{"a server that says nothing", soon, "ws://" + silent.Addr().String(), context.DeadlineExceeded, "cannot connect"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := tt.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			c, err := ws.Dial(ctx, tt.url, nil)
			if err == nil {
				c.Close()
				t.Fatal("connected")
			}
			if !strings.HasPrefix(err.Error(), "ws: ") || !strings.Contains(err.Error(), tt.text) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v, want %q in it", err, tt.text)
			}
		})
	}
}

// A handshake that fails leaves no connection behind.
func TestFailedDialLeavesNothing(t *testing.T) {
	closed := make(chan struct{}, 1)
	plain := httptest.NewUnstartedServer(http.NotFoundHandler())
	plain.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			closed <- struct{}{}
		}
	}
	plain.Start()
	if c, err := ws.Dial(t.Context(), plain.URL, nil); err == nil {
		c.Close()
		t.Fatal("connected")
	}
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the connection is still there")
	}
	plain.Close()
}

// A request that is no WebSocket gets an answer from Accept, and the server an error.
func TestAcceptErrors(t *testing.T) {
	got := make(chan error, 1)
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := ws.Accept(w, r, nil)
		got <- err
	}))
	defer hs.Close()
	answer, err := http.Get(hs.URL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err := <-got; err == nil || !strings.HasPrefix(err.Error(), "ws: ") || answer.StatusCode != http.StatusUpgradeRequired {
		t.Error(err, answer.Status)
	}
}

func TestSubprotocol(t *testing.T) {
	hs, accepted := serve(t, nil)
	for _, offered := range [][]string{nil, {ws.Subprotocol}, {"other", ws.Subprotocol}, {"other"}} {
		c, _, err := websocket.Dial(t.Context(), hs.URL, &websocket.DialOptions{Subprotocols: offered})
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		for _, p := range offered {
			if p == ws.Subprotocol {
				want = p
			}
		}
		if got := c.Subprotocol(); got != want {
			t.Errorf("%v: %q", offered, got)
		}
		c.CloseNow()
		(<-accepted).Close()
	}
}

func TestHeader(t *testing.T) {
	got := make(chan string, 1)
	hs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Authorization")
	}))
	defer hs.Close()
	if c, err := ws.Dial(t.Context(), hs.URL, &ws.Options{Header: http.Header{"Authorization": {"Bearer x"}}}); err == nil {
		c.Close()
	}
	if h := <-got; h != "Bearer x" {
		t.Error(h)
	}
}

// Pongs go out between messages, never within one.
func TestControlFramesBetween(t *testing.T) {
	hs, accepted := serve(t, nil)
	c, _, err := raw(t, hs.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(-1)
	s := <-accepted
	defer s.Close()
	size := func(i int) int { return i * 300 % 60_000 }
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() { // pings are answered while messages are written
		for {
			if _, err := s.ReadMessage(); err != nil {
				return
			}
		}
	})
	wait.Go(func() {
		defer s.Close()
		for i := 0; !isClosed(stop); i++ {
			if err := s.WriteMessage(payload(size(i))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wait.Go(func() {
		for i := 0; ; i++ {
			_, p, err := c.Read(t.Context())
			if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
				return
			}
			if err != nil || !bytes.Equal(p, payload(size(i))) {
				t.Errorf("message %d: %d bytes, %v", i, len(p), err)
				return
			}
		}
	})
	wait.Go(func() {
		defer close(stop)
		for i := range 10 {
			if err := c.Ping(t.Context()); err != nil {
				t.Errorf("ping %d: %v", i, err)
				return
			}
		}
	})
	wait.Wait()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestTLS(t *testing.T) {
	for _, http2 := range []bool{false, true} { // a server that would rather speak HTTP/2 is no hindrance
		t.Run(fmt.Sprintf("HTTP/2 %v", http2), func(t *testing.T) {
			conns := make(chan wire.Conn, 1)
			hs := httptest.NewUnstartedServer(acceptor(conns, nil))
			hs.EnableHTTP2 = http2
			hs.StartTLS()
			defer hs.Close()
			trusting, ok := hs.Client().Transport.(*http.Transport)
			if !ok {
				t.Fatal("the test server's client has another transport")
			}
			defer trusting.CloseIdleConnections()
			own := trusting.Clone()
			own.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				return (&tls.Dialer{Config: &tls.Config{RootCAs: trusting.TLSClientConfig.RootCAs, ServerName: "example.com"}}).DialContext(ctx, network, addr)
			}
			for name, transport := range map[string]*http.Transport{"DialContext": trusting, "DialTLSContext": own} {
				c, err := ws.Dial(t.Context(), strings.Replace(hs.URL, "https", "wss", 1), &ws.Options{Transport: transport})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				s := <-conns
				for _, n := range []int{1, 100_000, 1 << 20} {
					done := make(chan error, 1)
					go func() { done <- c.WriteMessage(payload(n)) }()
					if p, err := s.ReadMessage(); err != nil || !bytes.Equal(p, payload(n)) {
						t.Errorf("%s: %d bytes, %v", name, len(p), err)
					}
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				c.Close()
				if _, err := s.ReadMessage(); err != io.EOF {
					t.Error(err)
				}
				s.Close()
			}
		})
	}
}

// The context of Dial bounds the handshake, not the connection.
func TestDialContextEnds(t *testing.T) {
	hs, accepted := serve(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := ws.Dial(ctx, hs.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := <-accepted
	defer s.Close()
	cancel()
	for range 100 {
		if err := c.WriteMessage([]byte("still there")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
}
