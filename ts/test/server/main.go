package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/ws"
	"github.com/chumsync/chum/wsrpc"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener at once
	if err != nil {
		return err
	}
	h := &house{rooms: map[string]*room{}, services: services()}
	http.HandleFunc("/ws", h.enter)
	http.HandleFunc("POST /cut", h.cut)
	http.HandleFunc("POST /restart", h.restart)
	http.HandleFunc("POST /visit", visit)
	proxy, err := suite()
	if err != nil {
		return err
	}
	defer proxy.Close()
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
	}
	fmt.Println(listener.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // either way that is the end
		os.Exit(0)
	}()
	return server.Serve(listener)
}

type connKey struct{}

// A house has a room for each name.
type house struct {
	services *rpc.Mux

	mu    sync.Mutex
	rooms map[string]*room
}

type room struct {
	server *wsrpc.Server
	conns  []net.Conn // since the last cut
	count  int
}

// room is that of a request's name. With h.mu held.
func (h *house) room(r *http.Request) *room {
	name := r.FormValue("name")
	if h.rooms[name] == nil {
		h.rooms[name] = &room{server: h.newServer()}
	}
	return h.rooms[name]
}

func (h *house) newServer() *wsrpc.Server { return serving(h.services) }

func serving(services *rpc.Mux) *wsrpc.Server {
	return wsrpc.Handler(services, &wsrpc.Options{
		// The pages of the tests come from another port of this machine.
		WS:  ws.Options{Origins: []string{"localhost:*", "127.0.0.1:*"}},
		RPC: rpc.Options{Logger: slog.New(slog.DiscardHandler)}, // handlers panic as they are asked to
	})
}

// enter takes a WebSocket.
func (h *house) enter(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	room := h.room(r)
	room.conns = append(room.conns, r.Context().Value(connKey{}).(net.Conn))
	room.count++
	server := room.server
	h.mu.Unlock()
	server.ServeHTTP(w, r)
}

// cut resets the connections of a name.
func (h *house) cut(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	room := h.room(r)
	for _, c := range room.conns {
		c.(*net.TCPConn).SetLinger(0) //nolint:errcheck // it may be closed already
		c.Close()
	}
	room.conns = nil
	w.Header().Set("Access-Control-Allow-Origin", "*")
	fmt.Fprintln(w, room.count) //nolint:errcheck // or whoever asked has gone
}

// restart cuts and forgets.
func (h *house) restart(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	room := h.room(r)
	old := room.server
	room.server = h.newServer()
	h.mu.Unlock()
	h.cut(w, r)
	now, cancel := context.WithCancel(r.Context())
	cancel()
	old.Shutdown(now) //nolint:errcheck // it says that it was not given the time
}

// visit calls the server at a URL, as Go clients do, and answers what it said.
func visit(w http.ResponseWriter, r *http.Request) {
	mux := rpc.NewMux(rpc.Public)
	mux.Func("name", func() string { return "Go" })
	peer, err := wsrpc.Connect(r.Context(), r.FormValue("url"), mux, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer peer.Close()
	word, err := greet.Call(r.Context(), peer, "Hello")
	sum := int32(0)
	for n, failed := range count.Call(r.Context(), peer, 100) {
		err = errors.Join(err, failed)
		sum += n
	}
	fmt.Fprintln(w, word, sum, err) //nolint:errcheck,gosec // or whoever asked has gone; no page shows it
}
