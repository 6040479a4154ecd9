package wsrpc_test

import (
	"context"
	"errors"
	"log/slog"
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

// Whatever the server logs of a peer says where that is, and is one line.
func TestLogNamesTheOtherEnd(t *testing.T) {
	m := rpc.NewMux(rpc.Public)
	m.Func("panics", func() { panic("on purpose") })
	m.Func("fails", func() error { return errors.New("secret") })
	for _, x := range []struct {
		name, want string
		do         func(t *testing.T, url string)
	}{
		{"a panic", "rpc: handler panicked", func(t *testing.T, url string) {
			p := connect(t, url, nil)
			_ = p.Send(t.Context(), "panics").Await(nil)
		}},
		{"a failure", "rpc: handler failed", func(t *testing.T, url string) {
			p := connect(t, url, nil)
			_ = p.Send(t.Context(), "fails").Await(nil)
		}},
		{"a broken protocol", "rpc: connection cut", func(t *testing.T, url string) {
			c, err := ws.Dial(t.Context(), url, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for err = c.WriteMessage([]byte("nonsense")); err == nil; {
				_, err = c.ReadMessage()
			}
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			log, o := logging()
			handler := wsrpc.Handler(m, o)
			from := make(chan string, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				from <- r.RemoteAddr
				handler.ServeHTTP(w, r)
			}))
			defer server.Close()
			defer func() { _ = handler.Shutdown(t.Context()) }()
			x.do(t, server.URL)
			<-log.new
			log.mu.Lock()
			defer log.mu.Unlock()
			if line := log.all[0]; len(log.all) != 1 || !strings.Contains(line, x.want) || !strings.Contains(line, " remote="+<-from+" ") {
				t.Errorf("log: %s", log.all)
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
