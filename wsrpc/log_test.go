package wsrpc_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/ws"
	"github.com/chumsync/chum/wsrpc"
)

// lines collects what is logged, and says when something was.
type lines struct {
	mu  sync.Mutex
	all []string
	new chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.all = append(l.all, string(p))
	l.mu.Unlock()
	l.new <- struct{}{}
	return len(p), nil
}

func logging() (*lines, *wsrpc.Options) {
	l := &lines{new: make(chan struct{}, 100)}
	return l, &wsrpc.Options{RPC: rpc.Options{Logger: slog.New(slog.NewTextHandler(l, nil))}}
}

// A rawClient speaks to a server as no Conn of ours would: bytes on a TCP connection, behind the
// handshake of a WebSocket.
type rawClient struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dialRaw(t *testing.T, url string) *rawClient {
	t.Helper()
	host := strings.TrimPrefix(url, "http://")
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r := &rawClient{t, c, bufio.NewReader(c)}
	r.raw("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: " + ws.Subprotocol + "\r\n\r\n")
	if answer, err := http.ReadResponse(r.r, nil); err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(answer, err)
	}
	return r
}

// raw sends bytes; the server may be gone already.
func (c *rawClient) raw(s string) { _, _ = c.Write([]byte(s)) }

// message sends a short message, masked with a key of zeros, and frame any frame.
func (c *rawClient) message(s string) { c.frame(0x82, s) }

func (c *rawClient) frame(op byte, s string) {
	c.raw(string([]byte{op, 0x80 | byte(len(s)), 0, 0, 0, 0}) + s)
}

// next reads a short message of the server.
func (c *rawClient) next() string {
	var head [2]byte
	_, err := io.ReadFull(c.r, head[:])
	n := int(head[1])
	if n == 126 && err == nil {
		var long [2]byte
		_, err = io.ReadFull(c.r, long[:])
		n = int(binary.BigEndian.Uint16(long[:]))
	}
	p := make([]byte, n)
	if _, bad := io.ReadFull(c.r, p); err != nil || bad != nil {
		c.t.Fatal(err, bad)
	}
	return string(p)
}

const (
	rawHello = "\x01\x00\x30" + `{"version":1,"agent":"raw","limits":{"calls":1}}`
	rawOpen  = "\x00\x01" + `{"version":1}`
)

// Whatever the server logs of a peer says where that is, and is one line: also for each
// connection that is cut, or refused, for what it sent. One that leaves, or is lost, is none.
func TestLogNamesTheOtherEnd(t *testing.T) {
	m := rpc.NewMux(rpc.Public)
	m.Func("panics", func() { panic("on purpose") })
	m.Func("fails", func() error { return errors.New("secret") })
	called := func(method string) func(*testing.T, string) {
		return func(t *testing.T, url string) {
			p := connect(t, url, nil)
			_ = p.Send(t.Context(), method).Await(nil)
		}
	}
	// wrong is a client that says the messages given, and then does wrong.
	wrong := func(do func(*rawClient), first ...string) func(*testing.T, string) {
		return func(t *testing.T, url string) {
			c := dialRaw(t, url)
			for _, msg := range first {
				c.message(msg)
			}
			do(c)
		}
	}
	leaves := func(how func(*rawClient), first string) func(*testing.T, string) {
		return wrong(func(c *rawClient) {
			how(c)
			_, _ = io.Copy(io.Discard, c.r) // until the server closes the connection
		}, first, rawHello)
	}
	say := func(msg string) func(*rawClient) { return func(c *rawClient) { c.message(msg) } }
	unmasked := func(c *rawClient) { c.raw("\x82\x01x") }
	flood := func(c *rawClient) {
		for range 200 {
			c.frame(0x89, "ping")
		}
	}
	for _, x := range []struct {
		name, want string // the line's message; "" for none
		reason     string
		do         func(t *testing.T, url string)
	}{
		{"a panic", "rpc: handler panicked", "", called("panics")},
		{"a failure", "rpc: handler failed", "", called("fails")},
		{"no frame", "rpc: connection cut", "malformed frame", wrong(say("nonsense"))},
		{"no frame in a session", "rpc: connection cut", "malformed frame", wrong(say("nonsense"), rawOpen)},
		{"no mask at first", "wsrpc: connection refused", "mask", wrong(unmasked)},
		{"no mask", "rpc: connection cut", "mask", wrong(unmasked, rawHello)},
		{"no mask in a session", "rpc: connection cut", "mask", wrong(unmasked, rawOpen, rawHello)},
		{"pings at first", "wsrpc: connection refused", "too many pings", wrong(flood)},
		{"pings", "rpc: connection cut", "too many pings", wrong(flood, rawHello)},
		{"pings in a session", "rpc: connection cut", "too many pings", wrong(flood, rawOpen, rawHello)},
		{"a message of no session", "wsrpc: connection refused", "ack came in place of open", wrong(say("\x00\x06\x01"))},
		{"a malformed opening", "wsrpc: connection refused", "malformed open", wrong(say("\x00\x01{"))},
		{"an unknown session", "wsrpc: connection refused", "not known here", wrong(say("\x00\x03" + `{"id":"x","try":1,"received":0,"proof":"y"}`))},
		{"a wrong proof", "wsrpc: connection refused", "wrong proof", func(t *testing.T, url string) {
			c := dialRaw(t, url)
			c.message(rawOpen)
			var opened struct {
				ID string `json:"id"`
			}
			if err := json.Unmarshal([]byte(c.next()[2:]), &opened); err != nil || opened.ID == "" {
				t.Fatal(opened, err)
			}
			wrong(say("\x00\x03"+`{"id":"`+opened.ID+`","try":1,"received":0,"proof":"y"}`))(t, url)
		}},
		{"an op that is not known", "rpc: connection cut", "a control message 0063", wrong(say("\x00\x63"), rawOpen, rawHello)},
		{"an ack of what was not sent", "rpc: connection cut", "it says it has 100 messages", wrong(say("\x00\x06\x64"), rawOpen, rawHello)},
		{"who leaves", "", "", func(t *testing.T, url string) { connect(t, url, nil).Close() }},
		{"who closes a session", "", "", leaves(say("\x00\x07"), rawOpen)},
		{"who closes the WebSocket", "", "", leaves(func(c *rawClient) { c.frame(0x88, "\x03\xe8") }, rawOpen)},
		{"who is lost", "", "", func(t *testing.T, url string) {
			c := dialRaw(t, url)
			c.message(rawHello)
			c.next()
			c.Close()
		}},
		{"who is lost amid a frame", "", "", func(t *testing.T, url string) {
			c := dialRaw(t, url)
			c.message(rawOpen)
			c.next()
			c.raw("\x82\x85\x00")
			c.Close()
		}},
		{"who says nothing", "", "", func(t *testing.T, url string) { dialRaw(t, url).Close() }},
	} {
		t.Run(x.name, func(t *testing.T) {
			log, o := logging()
			handler := wsrpc.Handler(m, o)
			from := make(chan string, 10)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				from <- r.RemoteAddr
				handler.ServeHTTP(w, r)
			}))
			defer server.Close()
			x.do(t, server.URL)
			if x.want != "" {
				<-log.new
			}
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			_ = handler.Shutdown(gone) // what is logged was logged then
			log.mu.Lock()
			defer log.mu.Unlock()
			if x.want == "" {
				if len(log.all) != 0 {
					t.Errorf("log: %s", log.all)
				}
				return
			}
			for len(from) > 1 { // the last one is meant
				<-from
			}
			line := log.all[0]
			if len(log.all) != 1 || !strings.Contains(line, x.want) || !strings.Contains(line, x.reason) || !strings.Contains(line, " remote="+<-from+" ") {
				t.Errorf("log: %s", log.all)
			}
			if x.reason != "" && !strings.Contains(line, "level=WARN") {
				t.Errorf("log: %s", line)
			}
		})
	}
}

// A client's log says which server it is about.
func TestLogNamesTheServer(t *testing.T) {
	_, url := serve(t, services(), quiet())
	log, o := logging()
	m := rpc.NewMux(rpc.Public)
	name.Handle(m, func(context.Context, struct{}) (string, error) { return "", errors.New("secret") })
	p := connectWith(t, url, m, o)
	if _, err := greet.Call(t.Context(), p, "hello"); err == nil {
		t.Error("no error")
	}
	<-log.new
	if host := strings.TrimPrefix(url, "http://"); !strings.Contains(log.all[0], "handler failed") || !strings.Contains(log.all[0], " remote="+host+" ") {
		t.Errorf("log: %s", log.all)
	}
}
