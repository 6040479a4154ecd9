package wsrpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/ws"
)

// Options are what both sides may be told. The zero value, and nil, mean the defaults.
type Options struct {
	RPC rpc.Options // of the peer
	WS  ws.Options  // of the WebSocket
	// OnPeer, if not nil, is called by a Server with each peer that has connected and said
	// hello, on a goroutine of its own: the place for a server to call its clients.
	OnPeer func(*rpc.Peer)
}

func (o *Options) orDefault() Options {
	if o == nil {
		return Options{}
	}
	return *o
}

// Connect calls the server at url (ws, wss, http or https) and returns a peer that is ready:
// both sides have said hello. It serves the other side from services; nil serves nothing.
// ctx bounds the connecting and has no effect later. The caller closes the peer.
func Connect(ctx context.Context, url string, services *rpc.Mux, options *Options) (*rpc.Peer, error) {
	o := options.orDefault()
	conn, err := ws.Dial(ctx, url, &o.WS)
	if err != nil {
		return nil, err
	}
	peer := rpc.NewPeer(conn, services, &o.RPC)
	if err := peer.Ready(ctx); err != nil {
		peer.Close()
		return nil, err
	}
	return peer, nil
}

// Handler returns an http.Handler that turns each request into a peer served from services;
// nil serves nothing.
func Handler(services *rpc.Mux, options *Options) *Server {
	return &Server{services: services, options: options.orDefault(), peers: make(map[*rpc.Peer]struct{})}
}

// A Server accepts peers over HTTP. Its methods may be called at any time by anyone.
type Server struct {
	services *rpc.Mux
	options  Options

	mu      sync.Mutex
	peers   map[*rpc.Peer]struct{}
	closing bool
	wait    sync.WaitGroup // for the goroutine of each peer
}

// ServeHTTP takes over a request that asks for a WebSocket, and returns at once: the
// connection lives on.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.isClosing() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
		return
	}
	conn, err := ws.Accept(w, r, &s.options.WS)
	if err != nil {
		return // the request was answered
	}
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		conn.Close()
		return
	}
	// With the lock held, so that whoever has heard from the peer finds it in the list.
	peer := rpc.NewPeer(conn, s.services, &s.options.RPC)
	s.peers[peer] = struct{}{}
	s.wait.Add(1)
	s.mu.Unlock()
	go s.attend(peer)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// attend keeps a peer in the list while it lives.
func (s *Server) attend(peer *rpc.Peer) {
	defer s.wait.Done()
	if s.options.OnPeer != nil && peer.Ready(context.Background()) == nil {
		s.options.OnPeer(peer)
	}
	<-peer.Done()
	s.mu.Lock()
	delete(s.peers, peer)
	s.mu.Unlock()
}

// Peers returns the peers that are connected now.
func (s *Server) Peers() []*rpc.Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*rpc.Peer, 0, len(s.peers))
	for p := range s.peers {
		list = append(list, p)
	}
	return list
}

// Shutdown takes no more connections and ends each peer when its open calls have finished. If
// ctx ends first, those that are left are closed and the context's error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	peers := s.Peers()
	errs := make([]error, len(peers))
	var wait sync.WaitGroup
	for i, p := range peers {
		wait.Go(func() { errs[i] = p.Shutdown(ctx) })
	}
	wait.Wait()
	s.wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// ListenAndServe serves on addr until ctx ends, then lets open calls finish for up to five
// seconds. It is the whole of a small server.
func ListenAndServe(ctx context.Context, addr string, services *rpc.Mux, options *Options) error {
	handler := Handler(services, options)
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	err := server.ListenAndServe()
	drain, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	drained := handler.Shutdown(drain)
	if errors.Is(err, http.ErrServerClosed) && ctx.Err() != nil {
		return drained
	}
	return fmt.Errorf("wsrpc: %w", err)
}
