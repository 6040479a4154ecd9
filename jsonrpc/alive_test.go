package jsonrpc_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creachadair/jrpc2"
	"github.com/gorilla/websocket"
	sourcegraph "github.com/sourcegraph/jsonrpc2"
	sourcegraphws "github.com/sourcegraph/jsonrpc2/websocket"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

// pipes is a listener whose connections are in memory, so that all runs on the clock of a test.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error {
	close(p)
	return nil
}

func (pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// inMemory starts a server, and gives a WebSocket of package gorilla to it.
func inMemory(t *testing.T, log io.Writer) (*websocket.Conn, *wsrpc.Server) {
	t.Helper()
	handler := wsrpc.Handler(services(), &wsrpc.Options{RPC: rpc.Options{Logger: slog.New(slog.NewTextHandler(log, nil))}})
	listener := make(pipes)
	server := &http.Server{Handler: handler}
	go server.Serve(listener)
	dialer := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		listener <- theirs
		return ours, nil
	}}
	conn, answer, err := dialer.Dial("ws://memory", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	t.Cleanup(func() {
		conn.Close()
		_ = handler.Shutdown(context.Background())
		server.Close()
	})
	return conn, handler
}

// TestIdleClients keeps clients that have nothing to say for hours, by what their WebSocket answers.
func TestIdleClients(t *testing.T) {
	for name, client := range map[string]func(conn *websocket.Conn) (sum func(ctx context.Context) (int, error), done func() error){
		"jrpc2": func(conn *websocket.Conn) (func(context.Context) (int, error), func() error) {
			c := jrpc2.NewClient(&channel{Conn: conn}, nil)
			return func(ctx context.Context) (n int, err error) {
				err = c.CallResult(ctx, "sum", []int{1, 2, 4}, &n)
				return n, err
			}, c.Close
		},
		"sourcegraph": func(conn *websocket.Conn) (func(context.Context) (int, error), func() error) {
			nobody := sourcegraph.HandlerWithError(func(context.Context, *sourcegraph.Conn, *sourcegraph.Request) (any, error) { return nil, nil })
			c := sourcegraph.NewConn(context.Background(), sourcegraphws.NewObjectStream(conn), nobody)
			return func(ctx context.Context) (n int, err error) {
				err = c.Call(ctx, "sum", []int{1, 2, 4}, &n)
				return n, err
			}, c.Close
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, server := inMemory(t, io.Discard)
				sum, done := client(conn)
				defer done()
				for range 3 {
					if n, err := sum(t.Context()); err != nil || n != 7 {
						t.Fatal(n, err)
					}
					time.Sleep(time.Hour)
				}
				if s := server.Peers()[0].Stats(); s.Strikes > 0 || s.RoundTrip == 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestDeadClient has a client whose network takes all and brings nothing back.
func TestDeadClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		conn, server := inMemory(t, &log)
		if err := conn.WriteJSON(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "nothing"}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.ReadMessage(); err != nil {
			t.Fatal(err)
		}
		conn.SetPingHandler(func(string) error { return nil })
		go func() { _, _, _ = conn.ReadMessage() }()
		begin := time.Now()
		peer := server.Peers()[0]
		<-peer.Done()
		if d := time.Since(begin); d > 25*time.Second {
			t.Errorf("it was noticed after %v", d)
		}
		if err := peer.Err(); err == nil || !strings.Contains(err.Error(), "no sign of life for 10s") {
			t.Error(err)
		}
		if s := log.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "connection given up") || !strings.Contains(s, " remote=pipe ") {
			t.Errorf("log: %s", s)
		}
	})
}
