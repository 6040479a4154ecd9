package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/chumsync/chum"
	"github.com/chumsync/chum/object/local"
	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

const (
	headerTime = 10 * time.Second // for a client to send the head of its request
	idleTime   = time.Minute      // before a plain HTTP connection is closed
	headerSize = 16 << 10         // bytes of a request's head
	drainTime  = 5 * time.Second  // for open calls to finish at the end
)

// serveEvent is a line that serve prints with --json.
type serveEvent struct {
	Event  string       `json:"event"` // ready, then done
	URL    string       `json:"url,omitempty"`
	Store  string       `json:"store,omitempty"`
	Write  *bool        `json:"write,omitempty"`
	PID    int          `json:"pid,omitzero"`
	Served *servedTotal `json:"served,omitempty"` // of done
}

// servedTotal adds up what was served on all connections.
type servedTotal struct {
	Connections uint64  `json:"connections"`
	Calls       uint64  `json:"calls"`
	Failed      uint64  `json:"failed"`
	Sent        uint64  `json:"sent"`     // bytes
	Received    uint64  `json:"received"` // bytes
	Seconds     float64 `json:"seconds"`
}

type serveOptions struct {
	listen string
	write  bool
	hosts  []string
}

func (a *app) serveCommand() *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:   "serve [--listen ADDR] [--write]",
		Short: "Let others fetch what is kept here",
		Long: `Serve the store on a WebSocket until SIGINT or SIGTERM. Prints the URL on standard output as
soon as it can be reached. At the end, calls that are open may finish for 5 seconds.

Whoever can connect may read everything; with --write also bring objects and change names.
There is no login yet, so it listens on this machine only unless --listen says otherwise.
Requests must name this machine by an address, as localhost, by the host of --listen or by
one of --host: a web page that points a name of its own here is refused (DNS rebinding).

With --json it prints a line when it is ready and one at the end, with what was served.`,
		Example: `  chum serve
  chum serve --listen 127.0.0.1:0 --write
  chum serve --listen 0.0.0.0:7171 --host files.example.org`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withStore(func(store *local.Store) error { return a.serve(c.Context(), store, o) })
		},
	}
	c.Flags().StringVar(&o.listen, "listen", "127.0.0.1:7171", "listen on `ADDR`, host and port; port 0 takes a free one")
	c.Flags().BoolVar(&o.write, "write", false, "let others bring objects and change names, too")
	c.Flags().StringArrayVar(&o.hosts, "host", nil, "take requests that call this machine `NAME`, too; may be repeated")
	return c
}

func (a *app) serve(ctx context.Context, store *local.Store, o serveOptions) error {
	log := a.logger(slog.LevelInfo)
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil {
		return misuse("--listen %q: %w", o.listen, err).hinted("give address and port, such as 127.0.0.1:7171 or :7171")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return fail(exitFailed, "%w", err).hinted("choose another address or port with --listen; port 0 takes a free one")
	}
	start := time.Now()
	served := &served{log: log}
	write := rpc.Rule(chum.Closed)
	if o.write {
		write = rpc.Public
	}
	peers := wsrpc.Handler(chum.NewSync(store).Services(rpc.Public, write), &wsrpc.Options{
		RPC:    rpc.Options{Agent: "chum/" + chum.Version, Logger: log},
		OnPeer: served.attend,
	})
	server := &http.Server{
		Handler:           onlyHosts(log, peers, append(slices.Clone(o.hosts), host)),
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerSize,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	address := "ws://" + listener.Addr().String()
	warn(log, listener.Addr(), o.write)
	if a.json {
		err = a.stdout.line(serveEvent{Event: "ready", URL: address, Store: a.storeDir(), Write: &o.write, PID: os.Getpid()})
	} else {
		_, err = fmt.Fprintln(a.stdout, address)
	}
	if err == nil {
		select {
		case err = <-failed:
		case <-ctx.Done():
		}
	}
	drain(log, server, peers)
	total := served.total()
	total.Seconds = seconds(time.Since(start))
	log.Info("served", "connections", total.Connections, "calls", total.Calls, "failed", total.Failed,
		"sent", amount(total.Sent), "received", amount(total.Received), "for", duration(time.Since(start)))
	if a.json && err == nil {
		err = a.stdout.line(serveEvent{Event: "done", Served: &total})
	}
	return err // nil when it was told to end, unlike with other commands: that is how it ends
}

// drain takes no more connections, lets open calls finish and closes what is left.
func drain(log *slog.Logger, server *http.Server, peers *wsrpc.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if n := len(peers.Peers()); n > 0 {
		log.Info("ending: open calls may finish", "connections", n, "within", drainTime)
	}
	var both sync.WaitGroup
	both.Go(func() {
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
	})
	both.Go(func() {
		if peers.Shutdown(ctx) != nil {
			log.Warn("calls that took too long were cut off")
		}
	})
	both.Wait()
}

func warn(log *slog.Logger, addr net.Addr, write bool) {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() {
		return
	}
	what := "can read everything in this store"
	if write {
		what = "can read everything in this store and change its names"
	}
	log.Warn("whoever reaches this address "+what+": there is no login yet", "address", addr)
}

// served counts what all connections have served.
type served struct {
	log *slog.Logger
	mu  sync.Mutex
	sum servedTotal
}

// attend sees a connection through to its end.
func (s *served) attend(peer *rpc.Peer) {
	s.log.Info("connected", "agent", harmless(peer.Agent()))
	start := time.Now()
	<-peer.Done()
	stats := peer.Stats()
	s.mu.Lock()
	s.sum.Connections++
	s.sum.Calls += stats.In.Started
	s.sum.Failed += stats.In.Failed
	s.sum.Sent += stats.Sent.Bytes
	s.sum.Received += stats.Received.Bytes
	s.mu.Unlock()
	args := []any{
		"calls", stats.In.Started, "failed", stats.In.Failed, "sent", amount(stats.Sent.Bytes),
		"received", amount(stats.Received.Bytes), "for", duration(time.Since(start)),
	}
	if err := peer.Err(); err != nil {
		args = append(args, "reason", harmless(err.Error()))
	}
	s.log.Info("disconnected", args...)
}

func (s *served) total() servedTotal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sum
}

// onlyHosts refuses requests for a host that is none of ours. A web page can let a name of
// its own point at this machine, and its scripts then speak with us as with their own server;
// but they cannot choose the name in the request. An address cannot be turned so.
func onlyHosts(log *slog.Logger, next http.Handler, ours []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostOf(r.Host)
		known := net.ParseIP(host) != nil || host == "localhost" || strings.HasSuffix(host, ".localhost") ||
			slices.ContainsFunc(ours, func(our string) bool { return strings.EqualFold(hostOf(our), host) && host != "" })
		log.Debug("request", "from", r.RemoteAddr, "host", harmless(host), "path", harmless(r.URL.Path))
		if !known {
			log.Warn("refused a request for another host", "from", r.RemoteAddr, "host", harmless(host))
			http.Error(w, fmt.Sprintf("%q is no name of this server; chum serve --host adds one", host), http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostOf takes the port, the brackets of IPv6 and a final dot off.
func hostOf(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	host, _, _ = strings.Cut(host, "%") // the zone of an IPv6 address
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
