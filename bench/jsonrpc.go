package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/handler"
	gethrpc "github.com/ethereum/go-ethereum/rpc"
	gorilla "github.com/gorilla/websocket"
	"github.com/sourcegraph/jsonrpc2"
	jsonrpc2ws "github.com/sourcegraph/jsonrpc2/websocket"
)

// Three JSON-RPC libraries over a WebSocket. A []byte is base64 in all of them. They
// have no streams: what comes from the server is one answer, which has to be in memory
// several times over, so there is a size up to which it is tried.
const oneReply = 128 << 20

// jsonService is what the three serve, in the form of methods.
type jsonService struct{}

func (jsonService) Bytes(p []byte) []byte { return p }

func (jsonService) Sleep(p []byte) []byte {
	time.Sleep(handlerSleep)
	return p
}

func (jsonService) Typed(r Record) Record {
	r.Number++
	return r
}

func (jsonService) Down(size int) []byte {
	p := make([]byte, 0, size)
	_ = chunks(int64(size), func(c []byte) error { p = append(p, c...); return nil })
	return p
}

// jsonClient is a client by a function that calls a method with one parameter.
func jsonClient(call func(ctx context.Context, method string, param, result any) error, done func()) *client {
	echo := func(method string) func(context.Context, []byte) ([]byte, error) {
		return func(ctx context.Context, p []byte) (answer []byte, err error) {
			err = call(ctx, method, p, &answer)
			return answer, err
		}
	}
	return &client{
		bytes: echo("bench_bytes"),
		sleep: echo("bench_sleep"),
		typed: func(ctx context.Context) error {
			i, r := sample(), Record{}
			if err := call(ctx, "bench_typed", sampleRecords[i], &r); err != nil {
				return err
			}
			return checkRecord(i, r)
		},
		down: func(ctx context.Context, size int64) error {
			var p []byte
			if err := call(ctx, "bench_down", size, &p); err != nil {
				return err
			}
			return arrived(int64(len(p)), size)
		},
		close: done,
	}
}

// serveHTTP serves h on a loopback port; addr is a ws URL.
func serveHTTP(h http.HandlerFunc) (addr string, stop func(), err error) {
	l, err := loopback()
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // it ends with the server
	return "ws://" + l.Addr().String(), func() { server.Close() }, nil
}

// jrpc2System is creachadair/jrpc2. It brings no WebSocket of its own but a Channel to
// fill in. Its limit of handlers is the number of CPUs unless raised, which 10,000
// sleeping ones need.
var jrpc2System = system{
	name: "jrpc2", also: true, most: oneReply,
	serve: func() (string, func(), error) {
		s := jsonService{}
		methods := handler.Map{
			"bench_bytes": handler.NewPos(func(_ context.Context, p []byte) []byte { return s.Bytes(p) }, "p"),
			"bench_sleep": handler.NewPos(func(_ context.Context, p []byte) []byte { return s.Sleep(p) }, "p"),
			"bench_typed": handler.New(func(_ context.Context, r Record) Record { return s.Typed(r) }),
			"bench_down":  handler.NewPos(func(_ context.Context, size int) []byte { return s.Down(size) }, "size"),
		}
		return serveHTTP(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			c.SetReadLimit(-1)
			jrpc2.NewServer(methods, &jrpc2.ServerOptions{Concurrency: 1 << 15}).Start(&jrpc2Channel{c}) // ends with the channel
		})
	},
	dial: func(ctx context.Context, addr string) (*client, error) {
		c, _, err := websocket.Dial(ctx, addr, nil)
		if err != nil {
			return nil, err
		}
		c.SetReadLimit(-1)
		rpc := jrpc2.NewClient(&jrpc2Channel{c}, nil)
		return jsonClient(func(ctx context.Context, method string, param, result any) error {
			// Parameters have to be an object or an array; the typed handler takes the object.
			if _, ok := param.(Record); !ok {
				param = []any{param}
			}
			return rpc.CallResult(ctx, method, param, result)
		}, func() { _ = rpc.Close() }), nil
	},
}

type jrpc2Channel struct{ c *websocket.Conn }

func (c *jrpc2Channel) Send(p []byte) error {
	return c.c.Write(context.Background(), websocket.MessageText, p)
}

func (c *jrpc2Channel) Recv() ([]byte, error) {
	_, p, err := c.c.Read(context.Background())
	if err != nil && (websocket.CloseStatus(err) == websocket.StatusNormalClosure || errors.Is(err, net.ErrClosed)) {
		err = io.EOF
	}
	return p, err
}

func (c *jrpc2Channel) Close() error { return c.c.CloseNow() }

// gethSystem is the RPC package of ethereum/go-ethereum, which is LGPL-3.0.
var gethSystem = system{
	name: "go-ethereum/rpc", also: true, most: oneReply,
	serve: func() (string, func(), error) {
		server := gethrpc.NewServer()
		if err := server.RegisterName("bench", jsonService{}); err != nil {
			return "", nil, err
		}
		return serveHTTP(server.WebsocketHandler([]string{"*"}).ServeHTTP)
	},
	dial: func(ctx context.Context, addr string) (*client, error) {
		rpc, err := gethrpc.DialOptions(ctx, addr, gethrpc.WithWebsocketMessageSizeLimit(0))
		if err != nil {
			return nil, err
		}
		return jsonClient(func(ctx context.Context, method string, param, result any) error {
			return rpc.CallContext(ctx, result, method, param)
		}, rpc.Close), nil
	},
}

// sourcegraphSystem is sourcegraph/jsonrpc2 with its WebSocket stream on gorilla's, and
// its handler that gives each request a goroutine.
var sourcegraphSystem = system{
	name: "sourcegraph/jsonrpc2", also: true, most: oneReply,
	serve: func() (string, func(), error) {
		upgrader := gorilla.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
		handle := jsonrpc2.AsyncHandler(jsonrpc2.HandlerWithError(serveSourcegraph))
		return serveHTTP(func(w http.ResponseWriter, r *http.Request) {
			c, err := upgrader.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			jsonrpc2.NewConn(context.Background(), jsonrpc2ws.NewObjectStream(c), handle)
		})
	},
	dial: func(ctx context.Context, addr string) (*client, error) {
		c, answer, err := gorilla.DefaultDialer.DialContext(ctx, addr, nil)
		if err != nil {
			return nil, err
		}
		answer.Body.Close()
		none := jsonrpc2.HandlerWithError(func(context.Context, *jsonrpc2.Conn, *jsonrpc2.Request) (any, error) {
			return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeMethodNotFound}
		})
		rpc := jsonrpc2.NewConn(context.Background(), jsonrpc2ws.NewObjectStream(c), none)
		return jsonClient(func(ctx context.Context, method string, param, result any) error {
			return rpc.Call(ctx, method, []any{param}, result)
		}, func() { _ = rpc.Close() }), nil
	},
}

func serveSourcegraph(_ context.Context, _ *jsonrpc2.Conn, r *jsonrpc2.Request) (any, error) {
	switch s := (jsonService{}); r.Method {
	case "bench_bytes":
		return jsonMethod(r, s.Bytes)
	case "bench_sleep":
		return jsonMethod(r, s.Sleep)
	case "bench_typed":
		return jsonMethod(r, s.Typed)
	case "bench_down":
		return jsonMethod(r, s.Down)
	}
	return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeMethodNotFound, Message: r.Method}
}

// jsonMethod decodes the parameter, as the library leaves to its user.
func jsonMethod[A, B any](r *jsonrpc2.Request, do func(A) B) (any, error) {
	if r.Params == nil {
		return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidParams}
	}
	var one [1]A
	if err := json.Unmarshal(*r.Params, &one); err != nil {
		return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidParams, Message: err.Error()}
	}
	return do(one[0]), nil
}
