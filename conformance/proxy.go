package conformance

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/chumsync/chum/wire"
	"github.com/chumsync/chum/ws"
)

// A Proxy stands between clients and servers of the suite and does to their connections what a Fault says. A client asks it
// for a WebSocket by a URL that names the server ("to"), the fault as JSON, and the case. "POST /cut" resets the
// connections of the case, and "GET /resets" tells how many the fault has reset. It listens on loopback and goes nowhere
// but to the servers it was told. Its methods may be called at any time by anyone.
type Proxy struct {
	server http.Server
	at     string

	mu     sync.Mutex
	to     map[string]bool
	cases  map[string]*route
	closed bool
	wait   sync.WaitGroup
}

// route is what passes the proxy for one case.
type route struct {
	reset int               // connections that were, by the fault
	conns map[*passage]bool // open now
}

// NewProxy starts a proxy to servers by their URLs. The caller closes it.
func NewProxy(servers ...string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener at once
	if err != nil {
		return nil, err
	}
	p := &Proxy{at: l.Addr().String(), to: map[string]bool{}, cases: map[string]*route{}}
	p.Allow(servers...)
	mux := http.NewServeMux()
	mux.HandleFunc("/", p.pass)
	mux.HandleFunc("POST /cut", p.cut)
	mux.HandleFunc("GET /resets", p.resets)
	p.server = http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // of connections that were cut
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, linkKey{}, c)
		},
	}
	p.wait.Go(func() { p.server.Serve(listener{l}) }) //nolint:errcheck // it was closed
	return p, nil
}

// Allow lets it go to these servers, too.
func (p *Proxy) Allow(servers ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range servers {
		p.to[s] = true
	}
}

// Address is host and port of the proxy.
func (p *Proxy) Address() string { return p.at }

// URL is where a client of a case finds the server, behind a fault.
func (p *Proxy) URL(server, name string, fault *Fault) string {
	return "ws://" + p.at + "/?" + url.Values{"to": {server}, "case": {name}, "fault": {string(writeData(fault))}}.Encode()
}

// Close ends all connections, and returns when they have ended.
func (p *Proxy) Close() {
	p.server.Close()
	p.mu.Lock()
	for _, t := range p.cases {
		t.end()
	}
	p.closed = true
	p.mu.Unlock()
	p.wait.Wait()
}

// Cut resets the connections of a case.
func (p *Proxy) Cut(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.cases[name]; t != nil {
		t.end()
	}
}

// Resets tells how many connections of a case its fault has reset.
func (p *Proxy) Resets(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.cases[name]; t != nil {
		return t.reset
	}
	return 0
}

func (p *Proxy) cut(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	p.Cut(r.FormValue("case"))
}

func (p *Proxy) resets(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	fmt.Fprint(w, p.Resets(r.FormValue("case"))) //nolint:errcheck // or whoever asked has gone
}

func (t *route) end() {
	for c := range t.conns {
		c.end()
	}
}

type linkKey struct{}

// pass takes a client's WebSocket and makes another to the server.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request) {
	var fault Fault
	to, name := r.FormValue("to"), r.FormValue("case")
	if err := json.Unmarshal([]byte(r.FormValue("fault")), &fault); err != nil {
		http.Error(w, "fault: "+err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	allowed := p.to[to]
	p.mu.Unlock()
	if !allowed {
		http.Error(w, "to: no server that is known", http.StatusForbidden)
		return
	}
	near, _ := r.Context().Value(linkKey{}).(*link)
	c := &passage{links: [2]*link{near, nil}}
	c.trickle(fault.Trickle)
	var err error
	if c.conns[1], err = ws.Dial(r.Context(), to, &ws.Options{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err == nil {
				c.links[1] = &link{Conn: conn}
				c.trickle(fault.Trickle)
				conn = c.links[1]
			}
			return conn, err
		},
	}}); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	if c.conns[0], err = ws.Accept(w, r, &ws.Options{Origins: []string{"localhost:*", "127.0.0.1:*"}}); err != nil {
		c.conns[1].Close()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.end()
		return
	}
	t := p.cases[name]
	if t == nil {
		t = &route{conns: map[*passage]bool{}}
		p.cases[name] = t
	}
	t.conns[c] = true
	if t.reset >= max(1, fault.Conns) {
		fault.Up, fault.Down = 0, 0
	}
	var both sync.WaitGroup
	for from, after := range [2]int{fault.Up, fault.Down} {
		both.Go(func() {
			if c.carry(from, after, &fault) {
				p.mu.Lock() // before the client knows of it, and comes again
				t.reset++
				p.mu.Unlock()
				c.end()
			}
		})
	}
	p.wait.Go(func() {
		both.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(t.conns, c)
	})
}

// A passage is one connection through the proxy: [0] is the client's side of it, [1] the server's.
type passage struct {
	conns [2]wire.Conn
	links [2]*link
}

func (c *passage) trickle(n int) {
	for _, l := range c.links {
		if l != nil {
			l.chunk.Store(int64(n))
		}
	}
}

// end resets both sides.
func (c *passage) end() {
	for _, l := range c.links {
		l.reset()
	}
	c.conns[0].Close()
	c.conns[1].Close()
}

// carry brings the messages of one direction over, until either side ends or the fault resets them.
func (c *passage) carry(from, after int, fault *Fault) (reset bool) {
	in, out := c.conns[from], c.conns[1-from]
	defer func() {
		if !reset {
			out.Close()
		}
	}()
	for n := 1; ; n++ {
		msg, err := in.ReadMessage()
		if err != nil {
			return false
		}
		if fault.Delay > 0 {
			<-time.After(time.Duration(fault.Delay) * time.Millisecond)
		}
		if after > 0 && n > after {
			if fault.Half {
				c.links[1-from].half.Store(true)
				out.WriteMessage(msg) //nolint:errcheck // it is half of one
			}
			return true
		}
		if err := c.write(out, msg, fault.Split); err != nil {
			return false
		}
	}
}

// write brings a message over, or each of its frames as one.
func (c *passage) write(out wire.Conn, msg []byte, split bool) error {
	for split && len(msg) > 0 && msg[0] != 0 { // what begins with 00 belongs to the session
		_, rest, err := wire.Next(msg)
		if err != nil {
			break // the receiver is to judge
		}
		if len(rest) == 0 {
			break
		}
		if err := out.WriteMessage(msg[:len(msg)-len(rest)]); err != nil {
			return err
		}
		msg = rest
	}
	return out.WriteMessage(msg)
}

// A link is a TCP connection that can be slow, or break off.
type link struct {
	net.Conn

	chunk atomic.Int64 // bytes that are written at a time; 0: all
	half  atomic.Bool  // of the next write half goes out
}

func (l *link) Write(b []byte) (n int, err error) {
	if l.half.Load() {
		n, _ = l.Conn.Write(b[:len(b)/2])
		return n, net.ErrClosed
	}
	chunk := int(l.chunk.Load())
	if chunk <= 0 {
		return l.Conn.Write(b)
	}
	for n < len(b) && err == nil {
		var some int
		some, err = l.Conn.Write(b[n:min(len(b), n+chunk)])
		n += some
	}
	return n, err
}

func (l *link) reset() {
	if c, ok := l.Conn.(*net.TCPConn); ok {
		c.SetLinger(0) //nolint:errcheck // it may be closed already
	}
	l.Close()
}

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &link{Conn: c}, nil
}
