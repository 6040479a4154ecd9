package jsonrpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creachadair/jrpc2"
	"github.com/gorilla/websocket"
	sourcegraph "github.com/sourcegraph/jsonrpc2"
	sourcegraphws "github.com/sourcegraph/jsonrpc2/websocket"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

// Clients that others wrote, against wsrpc.Handler.

// serve starts a server and gives its address. It greets each client.
func serve(t *testing.T) (url string) {
	t.Helper()
	h := wsrpc.Handler(services(), &wsrpc.Options{OnPeer: func(p *rpc.Peer) { p.Send(context.Background(), "greeting", "hello", 1) }})
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = h.Shutdown(ctx) // clients are gone, or are cut
		server.Close()
	})
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

func services() *rpc.Mux {
	m := rpc.NewMux(rpc.Public)
	m.Func("sum", func(a, b, c int) int { return a + b + c })
	rpc.Method[struct {
		Minuend    int `json:"minuend"`
		Subtrahend int `json:"subtrahend"`
	}, int]("subtract").Handle(m, func(_ context.Context, s struct {
		Minuend    int `json:"minuend"`
		Subtrahend int `json:"subtrahend"`
	},
	) (int, error) {
		return s.Minuend - s.Subtrahend, nil
	})
	m.Func("get_data", func() []any { return []any{"hello", 5} })
	m.Func("nothing", func() {})
	m.Func("bytes", func(b []byte) []byte { return b })
	m.Func("long", func(n int) string { return strings.Repeat("x", n) })
	m.Func("echo", func(s string) string { return s })
	m.Func("missing", func() error {
		return &rpc.Error{Code: rpc.NotFound, Message: "not here", Data: []byte(`{"key":"k"}`)}
	})
	notes := make(chan string, 1)
	m.Func("note", func(s string) { notes <- s })
	m.Func("noted", func() string { return <-notes })
	m.Func("hang", func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	m.Func("back", func(ctx context.Context) string { // asks a client that may not answer
		ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		var v any
		if err := rpc.PeerFrom(ctx).Send(ctx, "ask", "x", []byte("\x00\xff")).Await(&v); err != nil {
			return string(rpc.CodeOf(err))
		}
		b, _ := json.Marshal(v)
		return string(b)
	})
	rpc.Source[int, int]("count").Handle(m, func(_ context.Context, n int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
		}
	})
	rpc.Sink[struct{}, int, int]("total").Handle(m, func(_ context.Context, _ struct{}, in iter.Seq2[int, error]) (int, error) {
		n := 0
		for v, err := range in {
			if err != nil {
				return 0, err
			}
			n += v
		}
		return n, nil
	})
	return m
}

func dial(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	conn, answer, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return conn
}

// channel is a jrpc2 channel.Channel on a WebSocket.
type channel struct {
	*websocket.Conn
	mu sync.Mutex
}

func (c *channel) Send(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.WriteMessage(websocket.TextMessage, p)
}

func (c *channel) Recv() ([]byte, error) {
	_, p, err := c.ReadMessage()
	return p, err
}

// TestJRPC2 runs the calls of github.com/creachadair/jrpc2.
func TestJRPC2(t *testing.T) {
	notified := make(chan string, 100)
	greeted := make(chan string, 1)
	client := jrpc2.NewClient(&channel{Conn: dial(t, serve(t))}, &jrpc2.ClientOptions{
		OnNotify: func(r *jrpc2.Request) { notified <- r.Method() + " " + r.ParamString() },
		OnCallback: func(_ context.Context, r *jrpc2.Request) (any, error) {
			if r.Method() == "greeting" {
				greeted <- r.ParamString()
				return nil, errors.New("no time")
			}
			return map[string]string{r.Method(): r.ParamString()}, nil
		},
	})
	defer client.Close()
	ctx := t.Context()
	call := func(method string, params any, want any) {
		t.Helper()
		got := reflect.New(reflect.TypeOf(want))
		if err := client.CallResult(ctx, method, params, got.Interface()); err != nil || !reflect.DeepEqual(got.Elem().Interface(), want) {
			t.Errorf("%s: %v, %v", method, got.Elem(), err)
		}
	}
	call("sum", []int{1, 2, 4}, 7)
	call("subtract", map[string]int{"minuend": 42, "subtrahend": 23}, 19)
	call("get_data", nil, []any{"hello", 5.0})
	call("bytes", [][]byte{{0, 255}}, []byte{0, 255})
	call("back", nil, `{"ask":"[\"x\",\"AP8=\"]"}`)
	if got := <-greeted; got != `["hello",1]` {
		t.Errorf("greeted with %s", got)
	}

	if err := client.Notify(ctx, "note", []string{"from jrpc2"}); err != nil {
		t.Error(err)
	}
	call("noted", nil, "from jrpc2")

	answers, err := client.Batch(ctx, []jrpc2.Spec{
		{Method: "sum", Params: []int{1, 1, 1}},
		{Method: "note", Params: []string{"in a batch"}, Notify: true},
		{Method: "none"},
		{Method: "missing"},
	})
	if err != nil || len(answers) != 3 {
		t.Fatalf("batch: %d answers, %v", len(answers), err)
	}
	if answers[0].ResultString() != "3" || answers[1].Error().Code != jrpc2.MethodNotFound || answers[2].Error().Code != -32003 || answers[2].Error().Message != "not here" {
		t.Errorf("batch: %v", answers)
	}
	if d := string(answers[2].Error().Data); d != `{"code":"not_found","executed":"yes","data":{"key":"k"}}` {
		t.Errorf("data of an error: %s", d)
	}
	call("noted", nil, "in a batch")

	call("count", []int{2}, 2)
	items := []string{<-notified, <-notified}
	slices.Sort(items) // it takes each message in on a goroutine of its own
	for i, got := range items {
		if !strings.HasPrefix(got, "rpc.item ") || !strings.HasSuffix(got, fmt.Sprintf(`,"value":%d}`, i)) {
			t.Errorf("item %d: %s", i, got)
		}
	}

	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := client.Call(ctx, "hang", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call that is given up: %v", err)
	}
}

// TestSourcegraph runs the calls of github.com/sourcegraph/jsonrpc2.
func TestSourcegraph(t *testing.T) {
	greeted := make(chan string, 1)
	handler := sourcegraph.HandlerWithError(func(_ context.Context, _ *sourcegraph.Conn, r *sourcegraph.Request) (any, error) {
		switch r.Method {
		case "greeting":
			greeted <- string(*r.Params)
			return nil, nil
		case "ask":
			return nil, &sourcegraph.Error{Code: sourcegraph.CodeInvalidParams, Message: "not this"}
		}
		return nil, &sourcegraph.Error{Code: sourcegraph.CodeMethodNotFound, Message: r.Method}
	})
	ctx := t.Context()
	conn := sourcegraph.NewConn(ctx, sourcegraphws.NewObjectStream(dial(t, serve(t))), sourcegraph.AsyncHandler(handler))
	defer conn.Close()

	var n int
	if err := conn.Call(ctx, "sum", []int{1, 2, 4}, &n); err != nil || n != 7 {
		t.Errorf("sum: %d, %v", n, err)
	}
	if err := conn.Call(ctx, "sum", []int{1, 2, 3}, &n, sourcegraph.PickID(sourcegraph.ID{Str: "an id", IsString: true})); err != nil || n != 6 {
		t.Errorf("sum with a string as id: %d, %v", n, err)
	}
	var b []byte
	if err := conn.Call(ctx, "bytes", [][]byte{{0, 255}}, &b); err != nil || !bytes.Equal(b, []byte{0, 255}) {
		t.Errorf("bytes: %x, %v", b, err)
	}
	if err := conn.Notify(ctx, "note", []string{"from sourcegraph"}); err != nil {
		t.Error(err)
	}
	var s string
	if err := conn.Call(ctx, "noted", nil, &s); err != nil || s != "from sourcegraph" {
		t.Errorf("noted: %q, %v", s, err)
	}
	if err := conn.Call(ctx, "back", nil, &s); err != nil || s != "invalid_argument" {
		t.Errorf("back: %q, %v", s, err)
	}
	if got := <-greeted; got != `["hello",1]` {
		t.Errorf("greeted with %s", got)
	}
	for method, code := range map[string]int64{"none": sourcegraph.CodeMethodNotFound, "sum": sourcegraph.CodeInvalidParams, "missing": -32003} {
		e, ok := errors.AsType[*sourcegraph.Error](conn.Call(ctx, method, nil, nil))
		if !ok || e.Code != code {
			t.Errorf("%s: %v", method, e)
		}
	}
	var calls [100]sourcegraph.Waiter
	for i := range calls {
		w, err := conn.DispatchCall(ctx, "sum", []int{i, i, i})
		if err != nil {
			t.Fatal(err)
		}
		calls[i] = w
	}
	for i, w := range calls {
		if err := w.Wait(ctx, &n); err != nil || n != 3*i {
			t.Errorf("call %d: %d, %v", i, n, err)
		}
	}
}

// TestRPCWebSockets runs the calls of npm rpc-websockets on Node.js: testdata/node/client.mjs.
func TestRPCWebSockets(t *testing.T) {
	const dir = "testdata/node"
	node, err := exec.LookPath("node")
	if _, npm := exec.LookPath("npm"); err != nil || npm != nil {
		t.Skip("npm rpc-websockets is not tested: there is no node and npm (Node.js 18 or newer) in the PATH")
	}
	if _, err := os.Stat(dir + "/node_modules/rpc-websockets"); err != nil {
		t.Fatalf("npm rpc-websockets is not installed: run make node, or npm ci --ignore-scripts in jsonrpc/%s (%v)", dir, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "client.mjs", serve(t))
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	want := map[string]any{
		"byPosition": 7.0, "byName": 19.0, "noParams": []any{"hello", 5.0}, "nothing": nil, "bytes": "00ff", "long": 1e6,
		"unicode": "Grüße, 世界 🙂",
		"unknown": map[string]any{
			"code": -32601.0, "message": "Method not found",
			"data": map[string]any{"code": "unimplemented", "executed": "no", "reason": `no method "none" here`},
		},
		"wrong": -32602.0,
		"missing": map[string]any{
			"code": -32003.0, "message": "not here",
			"data": map[string]any{"code": "not_found", "executed": "yes", "data": map[string]any{"key": "k"}},
		},
		"many": true, "noted": "from node", "back": "deadline_exceeded", "asked": []any{"x", "AP8="}, "greeting": []any{"hello", 1.0},
		"count": 3.0, "items": []any{0.0, 1.0, 2.0}, "total": 42.0,
	}
	for name, w := range want {
		if !reflect.DeepEqual(got[name], w) {
			t.Errorf("%s: %v, want %v", name, got[name], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d results, want %d", len(got), len(want))
	}
}

// TestNativeIsNotDelayed connects a client that names the subprotocol beside the others.
func TestNativeIsNotDelayed(t *testing.T) {
	p, err := wsrpc.Connect(t.Context(), serve(t), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var b []byte
	if err := p.Send(t.Context(), "bytes", []byte("raw")).Await(&b); err != nil || string(b) != "raw" {
		t.Error(string(b), err)
	}
}
