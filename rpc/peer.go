package rpc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chumsync/chum/wire"
)

// Options are what a Peer may be told. The zero value, and nil, mean the defaults.
type Options struct {
	// CallTimeout is the time a call gets whose context has no deadline. 0 means 30 s, a
	// negative value none. Streams get none unless their context has one.
	CallTimeout time.Duration
	// KeepAlive is the time between two pings; a peer from which nothing comes for 10 s after
	// one is given up. 0 means 15 s, a negative value no pings.
	KeepAlive time.Duration
	// IdleStream is how long a stream or a long value may stand still while the other side owes
	// something: the rest of a value that it announced, or credit for items that it has not read.
	// A stream whose writer has nothing to say may rest for ever. 0 means 5 minutes, a negative
	// value no limit.
	IdleStream time.Duration
	// Login, if not empty, names the methods that the other side may call before [Peer.Admit]
	// is called for it: one at a time, no streams, with 16 KiB of messages in all and within 5 s,
	// the time of their handlers not counted. Others are refused as Unauthenticated. Calls made
	// here are not affected.
	Login []string
	// MaxCalls is how many calls of the other side may be open at once. 0 means 1,024.
	MaxCalls int
	// MaxStreams is how many of them may be streams. 0 means 256.
	MaxStreams int
	// MaxValue is the longest argument, result or item that is accepted, in bytes. 0 means
	// 8 MiB. What is longer goes through a stream in pieces.
	MaxValue int
	// MaxAssembly bounds the bytes of all long values that are arriving or wait to be
	// consumed, in bytes, and likewise of all long answers that wait to be taken. 0 means 64 MiB.
	MaxAssembly int
	// Budget bounds what this peer and all others that are given it hold for their other
	// sides. nil means one for the whole process: a quarter of GOMEMLIMIT if that is set, else
	// 1 GiB.
	Budget *Budget
	// Redial, if not nil, gives the peer another connection when its own is lost, or the other
	// side leaves: for the end that dials. It may take its time, waits between tries by itself,
	// and ends when ctx does; an error ends the peer. It is called at once, or after a random
	// and growing time of up to 3 s if the connection that it gave last was lost within 3 s and
	// brought no frame of any call. What happens to open calls then is told at [Repeatable].
	Redial func(ctx context.Context) (wire.Conn, error)
	// OnCall stands around the calls that the peer makes, OnServe around those it serves, the
	// first outermost.
	OnCall, OnServe []Middleware
	// Agent names the program to the other side. "" means "chum-go".
	Agent string
	// Logger gets what the other side is not told: texts of handlers' errors, panics, why a
	// connection was cut. nil means slog.Default.
	Logger *slog.Logger
	// Trace, if not nil, sees each frame that is sent or received. It is called by the
	// goroutine that writes or reads and must be quick; frames sent and frames received may
	// come to it at the same time.
	Trace func(TraceFrame)
}

// A TraceFrame is a frame on its way.
type TraceFrame struct {
	Sent  bool // by this side; else received
	Frame wire.Frame
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	def := func(v *int, n int) {
		if *v == 0 {
			*v = n
		}
	}
	def(&d.MaxCalls, 1024)
	def(&d.MaxStreams, 256)
	def(&d.MaxValue, 8<<20)
	def(&d.MaxAssembly, 64<<20)
	if d.CallTimeout == 0 {
		d.CallTimeout = 30 * time.Second
	}
	if d.KeepAlive == 0 {
		d.KeepAlive = 15 * time.Second
	}
	if d.IdleStream == 0 {
		d.IdleStream = 5 * time.Minute
	}
	if d.Agent == "" {
		d.Agent = "chum-go"
	}
	if d.Budget == nil {
		d.Budget = processBudget()
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	return d
}

// A Peer calls the other end of a connection and serves it. Both ends are alike. All methods
// may be called at any time by anyone.
type Peer struct {
	mux *Mux
	opt Options

	greeted chan struct{} // closed when the other side's first hello is here
	gone    chan struct{} // closed when the connection is over and every call settled
	drained chan struct{} // closed when no call is open any more after Shutdown began
	plain   atomic.Bool   // the other side takes values in form json only, as its hello says

	spare  spareCalls
	values sync.Map

	life context.Context // ends with the peer
	die  context.CancelFunc

	mu     sync.Mutex // guards what follows; held for short, never during I/O or user code
	remote hello      // the other side's; valid once greeted
	line   *line      // one for each connection
	health health
	stats  Stats

	calls    map[uint64]*call // our calls that are open
	streams  int              // those among them that stream
	lastCall uint64

	servings   map[uint64]*serving // the other side's calls that are open
	lastServed uint64
	running    int // slots taken by them, and by handlers that have not returned
	streaming  int // those among them that stream
	idle       []*worker

	account    Account
	answering  int // bytes of long answers that wait to be taken, see Options.MaxAssembly
	assembling int // bytes of long values, see Options.MaxAssembly
	grown      int // what the streams' windows have grown by, see grownLimit

	draining  bool // Shutdown began here
	goneAway  bool // it began on the other side
	ending    bool // a bye is on its way: nothing else is
	over      bool // it is at its end for good
	err       error
	strikes   int
	patience  patience
	barren    int           // connections in a row that Redial gave and that brought nothing
	heard     time.Duration // when the last message came, on the peer's clock
	helloSeen bool
	stranger  bool // it has to log in, see Options.Login
}

// NewPeer makes a peer on a connection, which it then owns, and starts to serve the other
// side from mux (nil serves nothing). Calls may be made at once; they are sent when the other
// side has said hello, see [Peer.Ready].
func NewPeer(conn wire.Conn, mux *Mux, options *Options) *Peer {
	p := &Peer{
		mux:      mux,
		opt:      options.withDefaults(),
		greeted:  make(chan struct{}),
		gone:     make(chan struct{}),
		drained:  make(chan struct{}),
		line:     &line{conn: conn, window: window{size: startWindow}},
		calls:    make(map[uint64]*call),
		servings: make(map[uint64]*serving),
		patience: patience{left: patienceMost},
	}
	mux.schemaHash() // now, or the first peer would describe the methods when it says hello, with its lock held
	p.account.budget = p.opt.Budget
	p.stranger = len(p.opt.Login) > 0
	p.life, p.die = context.WithCancel(context.Background())
	p.mu.Lock()
	p.health.begin(p)
	p.kick() // the hello
	p.mu.Unlock()
	go p.live(p.line)
	return p
}

// Ready waits until the other side has said hello: the connection works and both sides speak
// the same version.
func (p *Peer) Ready(ctx context.Context) error {
	select {
	case <-p.greeted:
		return nil
	case <-p.gone:
		if err := p.Err(); err != nil {
			return err
		}
		return errClosedHere()
	case <-ctx.Done():
		return fromContext(ctx.Err(), No)
	}
}

// Done is closed when the connection is over for good and every call has been settled.
func (p *Peer) Done() <-chan struct{} { return p.gone }

// Context returns a context that ends with the peer: for context.AfterFunc, or for what is
// done on its behalf. Done is closed a moment later, when every call has been settled.
func (p *Peer) Context() context.Context { return p.life }

// Err says why the connection ended: nil while it has not, and nil if either side closed it
// in order.
func (p *Peer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// SetValue keeps a value of the program's along with the peer, under a key of a type of its
// own, as with context.WithValue: who has logged in on it, say. Handlers reach it by [PeerFrom].
func (p *Peer) SetValue(key, value any) { p.values.Store(key, value) }

// Value gives what SetValue kept under the key; nil if there is nothing.
func (p *Peer) Value(key any) any {
	v, _ := p.values.Load(key)
	return v
}

// Agent tells the name the other side gave in its hello; "" before that.
func (p *Peer) Agent() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.remote.Agent
}

// Close ends the connection. Open calls of both sides end at once: the error of those made
// here says whether they were executed. It tells the other side and returns when the
// connection is closed, within a second.
func (p *Peer) Close() error {
	p.end(errClosedHere(), nil, &errorBody{Message: "closed"})
	<-p.gone
	return nil
}

// shutdownHello is how long Shutdown waits for the other side's hello.
const shutdownHello = 500 * time.Millisecond

// Shutdown ends the connection when nothing is open on it any more: no new call is taken from
// either side, those that are open may finish. If ctx ends first, the connection is closed
// all the same and the context's error returned.
func (p *Peer) Shutdown(ctx context.Context) error {
	select { // before its hello the other side is told nothing, and would take the end for final
	case <-p.greeted:
	case <-p.gone:
	case <-ctx.Done():
	case <-time.After(shutdownHello):
	}
	p.mu.Lock()
	if !p.draining && !p.over {
		p.draining = true
		p.line.control(wire.Frame{Kind: wire.GoAway, Payload: varint(p.lastServed)})
		p.kick()
		p.checkDrained()
	}
	p.mu.Unlock()
	var err error
	select {
	case <-p.drained:
	case <-p.gone:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return errors.Join(err, p.Close())
}

// checkDrained tells Shutdown when the last open call has gone and its answer is written.
func (p *Peer) checkDrained() {
	written := !p.helloSeen || !p.line.busy && !p.line.pending()
	if p.draining && len(p.calls) == 0 && p.running == 0 && written && !closed(p.drained) {
		close(p.drained)
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func errClosedHere() *Error {
	return failure(Unavailable, No, "rpc: the connection was closed at this end")
}

// end is the one way out: it settles everything with the error lost, keeps why for Err, and
// closes the connection, after a last word to the other side if there is one.
func (p *Peer) end(lost *Error, why error, bye *errorBody) {
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		return
	}
	p.over, p.err = true, why
	p.die()
	p.health.stop()
	for _, c := range p.calls {
		e := *lost
		e.Executed = c.executed()
		p.settle(c, &e)
	}
	for _, s := range p.servings {
		p.abandon(s, context.Canceled)
	}
	for _, w := range p.idle {
		close(w.task)
	}
	p.idle = nil
	p.checkDrained()
	p.line.drop()
	p.account.Close()
	p.ending = bye != nil && p.line.conn != nil
	if p.ending {
		p.line.lastWord(*bye)
		p.kick()
	}
	busy, conn := p.line.busy, p.line.conn
	p.mu.Unlock()

	if p.ending && busy {
		// Whoever holds the line closes the connection after the last word; it has a second.
		timer := time.AfterFunc(time.Second, func() { conn.Close() })
		go func() {
			<-p.gone
			timer.Stop()
		}()
		return
	}
	if conn != nil {
		conn.Close()
	}
}

// live reads from one connection after the other: there is another only with Options.Redial.
func (p *Peer) live(l *line) {
	defer close(p.gone)
	for l != nil {
		p.readLoop(l)
		l = p.redial()
	}
}

// readLoop takes messages in until the connection ends. It runs only this package's own
// control code: it never writes, and waits for nothing but the next message.
func (p *Peer) readLoop(l *line) {
	defer l.conn.Close()
	for {
		msg, err := l.conn.ReadMessage() // waits here most of its life: what is on the stack now, stays
		if err != nil {
			p.unread(l, err)
			return
		}
		if bad := p.receive(msg); bad != nil {
			p.misbehaved(bad)
			drainAway(l.conn)
			return
		}
	}
}

// unread takes note that nothing can be read any more.
func (p *Peer) unread(l *line, err error) {
	p.lost(l, err)
	if errors.Is(err, wire.ErrBroken) {
		p.opt.Logger.Warn("rpc: connection cut", "agent", p.Agent(), "reason", err)
	}
}

// lost takes note that a connection broke, or was closed by the other side without a word.
func (p *Peer) lost(l *line, err error) {
	if errors.Is(err, io.EOF) {
		err = errors.New("it was closed by the other side without a word")
	}
	e := failure(Unavailable, Maybe, "rpc: the connection was lost: %w", err)
	if !p.interrupt(l, e) {
		p.end(e, e, nil)
	}
}

// misbehaved ends the peer because the other side broke the protocol.
func (p *Peer) misbehaved(bad error) {
	p.opt.Logger.Warn("rpc: connection cut", "agent", p.Agent(), "reason", bad)
	e := failure(Unavailable, Maybe, "rpc: the other side broke the protocol: %w", bad)
	p.end(e, e, &errorBody{Code: InvalidArgument, Message: bad.Error()})
}

// drainAway reads on, so that a side that is busy writing still gets to see our last word.
func drainAway(conn wire.Conn) {
	for {
		if _, err := conn.ReadMessage(); err != nil {
			return
		}
	}
}
