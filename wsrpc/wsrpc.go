package wsrpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/chumsync/chum/jsonrpc"
	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/session"
	"github.com/chumsync/chum/wire"
	"github.com/chumsync/chum/ws"
)

// Options are what both sides may be told. The zero value, and nil, mean the defaults.
type Options struct {
	// RPC is of the peer. What its Logger gets says as "remote" who is at the other end: the
	// network address that the peer connected from, first of all if it came again, and the
	// server's host in a client's.
	RPC rpc.Options
	WS  ws.Options // of the WebSocket
	// Session is what becomes of a peer whose connection is cut: the client makes another one
	// and the peers go on, with all calls and streams, as if nothing had happened.
	// Session.OnState tells a client's program.
	Session session.Options
	// NoResume, on either side, has a peer end with its connection instead; a client's makes no
	// other one either, unless RPC.Redial does.
	NoResume bool
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

// naming gives the options of a peer whose log says who is at the other end.
func (o *Options) naming(remote string) rpc.Options {
	r := o.RPC
	if r.Logger == nil {
		r.Logger = slog.Default()
	}
	r.Logger = r.Logger.With("remote", remote)
	return r
}

// Connect calls the server at address (ws, wss, http or https) and returns a peer that is ready:
// both sides have said hello. It serves the other side from services; nil serves nothing.
// ctx bounds the connecting and has no effect later. The caller closes the peer.
//
// When the connection is cut, the peer makes another one by itself, and nothing is lost: see
// Options.Session. When the server is gone, or was started anew, the peer settles what was open
// and goes on with a new session as soon as there is a server again, without end until it is
// closed: see rpc.Options.Redial.
func Connect(ctx context.Context, address string, services *rpc.Mux, options *Options) (*rpc.Peer, error) {
	o := options.orDefault()
	dial := func(ctx context.Context) (wire.Conn, error) { return ws.Dial(ctx, address, &o.WS) }
	var conn wire.Conn
	var err error
	if o.NoResume {
		conn, err = dial(ctx)
	} else {
		conn, err = session.Dial(ctx, dial, &o.Session)
		if o.RPC.Redial == nil {
			o.RPC.Redial = func(ctx context.Context) (wire.Conn, error) { return session.Redial(ctx, dial, &o.Session) }
		}
	}
	if err != nil {
		return nil, err
	}
	if at, err := url.Parse(address); err == nil {
		o.RPC = o.naming(at.Host)
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
	o := options.orDefault()
	if o.NoResume {
		o.Session.Grace = -1
	}
	return &Server{
		services: services, options: o, sessions: session.NewServer(&o.Session),
		peers: make(map[*rpc.Peer]struct{}), arriving: make(map[wire.Conn]struct{}),
	}
}

// A Server accepts peers over HTTP. Its methods may be called at any time by anyone.
type Server struct {
	services *rpc.Mux
	options  Options
	sessions *session.Server

	mu       sync.Mutex
	peers    map[*rpc.Peer]struct{}
	arriving map[wire.Conn]struct{} // connections that have said nothing yet
	closing  bool
	wait     sync.WaitGroup // for the goroutine of each connection that arrives, and of each peer
}

// ServeHTTP takes over a request that asks for a WebSocket, and returns at once: the
// connection lives on. A client that names no subprotocol may speak JSON-RPC 2.0 in text
// messages, see package jsonrpc.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.isClosing() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
		return
	}
	accepted, err := ws.Accept(w, r, &s.options.WS)
	if err != nil {
		return // the request was answered
	}
	options := s.options.naming(r.RemoteAddr)
	conn := s.speaks(accepted, &options)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		conn.Close()
		return
	}
	s.arriving[conn] = struct{}{}
	s.wait.Go(func() { s.arrive(conn, &options) })
}

// arrive makes a peer of a new connection, unless an old one has waited for it.
func (s *Server) arrive(beneath wire.Conn, options *rpc.Options) {
	conn, err := s.sessions.Accept(beneath)
	if errors.Is(err, wire.ErrBroken) || errors.Is(err, session.ErrRefused) {
		options.Logger.Warn("wsrpc: connection refused", "reason", err)
	}
	s.mu.Lock()
	delete(s.arriving, beneath)
	switch {
	case err != nil || conn == nil:
		s.mu.Unlock()
		return
	case s.closing:
		s.mu.Unlock()
		conn.Close()
		return
	}
	// With the lock held, so that whoever has heard from the peer finds it in the list.
	peer := rpc.NewPeer(conn, s.services, options)
	s.peers[peer] = struct{}{}
	s.wait.Add(1)
	s.mu.Unlock()
	// A goroutine that waits for the end would cost each idle connection a stack.
	context.AfterFunc(peer.Context(), func() { s.depart(peer) })
	if s.options.OnPeer != nil && peer.Ready(context.Background()) == nil {
		s.options.OnPeer(peer)
	}
}

// depart takes a peer that has ended off the list.
func (s *Server) depart(peer *rpc.Peer) {
	defer s.wait.Done()
	<-peer.Done()
	s.mu.Lock()
	delete(s.peers, peer)
	s.mu.Unlock()
}

// speaks gives the Conn that brings a client's frames. A client that does not say by its
// subprotocol that it has a peer, too, may speak JSON-RPC: its first message decides.
func (s *Server) speaks(conn ws.Conn, options *rpc.Options) wire.Conn {
	if conn.Subprotocol() == ws.Subprotocol {
		return conn
	}
	return jsonrpc.Detect(conn, s.services, options)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// Peers returns the peers that are there now, also those whose connection was cut and may be
// resumed.
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
	for conn := range s.arriving {
		conn.Close()
	}
	s.mu.Unlock()
	peers := s.Peers()
	errs := make([]error, len(peers))
	var wait sync.WaitGroup
	for i, p := range peers {
		wait.Go(func() { errs[i] = p.Shutdown(ctx) })
	}
	wait.Wait()
	s.sessions.Close()
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
