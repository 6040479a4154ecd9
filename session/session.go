package session

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/chumsync/chum/wire"
)

// ErrLost is what the error of a Conn matches whose session ended other than in order: no
// connection came within the grace, or the server does not know the session. What was sent
// last may or may not have arrived.
var ErrLost = errors.New("session: the session is lost")

// Options are what a session may be told. The zero value, and nil, mean the defaults.
type Options struct {
	// Grace is how long a session waits for a new connection when it has none. 0 means 60 s; the
	// shorter one of both sides' holds. A Server with a negative one keeps no sessions: its
	// connections end when they are cut.
	Grace time.Duration
	// Buffer bounds the memory for what was sent and is not acknowledged, in bytes.
	// WriteMessage waits while it is full. 0 means 32 MiB: what a fast connection with a long
	// way has under way. 512 KiB is the least. Only what is under way is held.
	Buffer int
	// OnState, if not nil, is told by Dial's Conn what becomes of its connection, in order, one
	// at a time. It may take its time: nothing waits for it.
	OnState func(State)

	// MaxSessions is how many sessions a Server keeps. 0 means 65,536. Who comes when there are
	// as many gets a connection that ends when it is cut.
	MaxSessions int
	// MaxWaiting is how many of them may be without a connection. 0 means 16,384. The one that
	// has been longest goes first.
	MaxWaiting int
	// MaxMemory bounds the memory of all sessions of a Server for what is not acknowledged, in
	// bytes. 0 means 512 MiB. When it is used up, sessions that hold 512 KiB wait; for others the
	// one that has been without a connection longest makes room.
	MaxMemory int
}

func (o *Options) withDefaults() *Options {
	var d Options
	if o != nil {
		d = *o
	}
	def := func(v *int, n int) {
		if *v == 0 {
			*v = n
		}
	}
	def(&d.Buffer, 32<<20)
	d.Buffer = max(d.Buffer, leastBuffer)
	def(&d.MaxSessions, 1<<16)
	def(&d.MaxWaiting, 1<<14)
	def(&d.MaxMemory, 512<<20)
	if d.Grace == 0 {
		d.Grace = 60 * time.Second
	}
	return &d
}

const (
	// ackBytes and ackCount are how much may have come before it is acknowledged in a message of
	// its own, ackTime how long; sooner it rides on what is sent anyway.
	ackBytes = 256 << 10
	ackCount = 256
	ackTime  = time.Second
	// openTime is how long the other side may take for the first message of a connection.
	openTime = 10 * time.Second
	// closeTime is how long the last words may take.
	closeTime = time.Second
	// leastBuffer is the memory, in bytes, that each session may hold whatever was set and however
	// many there are: with less, a writer would wait for the timer of the other side's acks.
	leastBuffer = 2 * ackBytes
	// vainLimit is how often in a row a connection may be given up by Renew on which the other
	// side took nothing: it comes again, but does not listen.
	vainLimit = 3
	// maxEmptyAcks is how many acks may come alone and acknowledge nothing, beyond the messages
	// that others did acknowledge. Ours always acknowledge something.
	maxEmptyAcks = 256
)

// conn is a session, on either side.
type conn struct {
	opt    *Options
	client *client // nil on the server's side
	server *Server // nil on the client's side

	mu   sync.Mutex // guards what follows; never held while reading, writing or dialing
	turn sync.Cond  // a connection is there, there is room, or the end has come

	id, secret string
	try        uint64        // the highest number of a resume so far
	grace      time.Duration // negative: the session ends with its connection
	fresh      bool          // the client waits for the answer to its open

	link   *link // nil: none now
	over   bool
	err    error       // why; of the connection while there is none
	cuts   int         // how often a server's session lost its connection
	timer  *time.Timer // the end of the grace; or of the time for the last words
	cancel func()      // ends the redialing

	kept    kept
	writing bool // a goroutine writes: it takes along all there is
	bye     bool // the close is to be written behind all else

	received uint64 // messages that were delivered
	reported uint64 // of those, acknowledged
	unacked  int    // bytes that came since
	ackDue   bool   // do not wait for something to ride on
	ackTimer *time.Timer
	ackArmed bool

	emptyAcks        int    // acks alone that acknowledged nothing, less the messages that others did
	vain             int    // connections given up on which nothing was taken
	ackedAt, heardAt uint64 // kept.first and received, before the connection came
}

// link is one connection beneath a session.
type link struct {
	conn  wire.Conn
	born  time.Time
	first []byte // written before all else
	next  uint64 // the message that is written next
}

func newConn(o *Options) *conn {
	c := &conn{opt: o}
	c.turn.L = &c.mu
	c.kept.first = 1
	return c
}

// ReadMessage is that of wire.Conn. While there is no connection it waits for one. It never
// writes.
func (c *conn) ReadMessage() ([]byte, error) {
	for {
		l, err := c.linked()
		if err != nil {
			return nil, err
		}
		p, err := l.conn.ReadMessage() // waits here most of its life: what is on the stack now, stays
		if data, ok := c.came(l, p, err); ok {
			return data, nil
		}
	}
}

// linked waits for a connection.
func (c *conn) linked() (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.link == nil && !c.over {
		c.turn.Wait()
	}
	if c.over {
		return nil, c.err
	}
	return c.link, nil
}

// came takes in what was read from a connection, and gives what of it is for the layer above.
func (c *conn) came(l *link, p []byte, err error) (data []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over || c.link != l: // what came is not counted: it is sent again, or nobody wants it
	case err != nil:
		c.cut(l, err)
	default:
		if data, ok, err = c.take(p); err != nil {
			c.end(err)
			return nil, false
		}
	}
	return data, ok
}

// take counts what came and gives what of it is for the layer above.
func (c *conn) take(p []byte) (data []byte, ok bool, err error) {
	if c.fresh {
		c.fresh = false
		if answers(p, opOpened) {
			return nil, false, c.opened(p)
		}
		c.without() // it knows nothing of sessions
	}
	data = p
	if isControl(p) {
		switch {
		case answers(p, opClose):
			return nil, false, io.EOF
		case !answers(p, opAck):
			return nil, false, fmt.Errorf("session: %w: a control message %.2x where none may be", wire.ErrBroken, p)
		}
		var n uint64
		if n, data, err = split(p); err == nil {
			err = c.acknowledged(n, len(data) == 0)
		}
		if err != nil || len(data) == 0 {
			return nil, false, err
		}
	}
	if c.received++; c.grace < 0 {
		return data, true, nil
	}
	c.unacked += len(data)
	if n := c.received - c.reported; n >= ackCount || c.unacked >= ackBytes {
		c.ackDue = true
		c.kick()
	} else if !c.ackArmed {
		c.ackArmed = true
		if c.ackTimer == nil {
			c.ackTimer = time.AfterFunc(ackTime, c.ackLate)
		} else {
			c.ackTimer.Reset(ackTime)
		}
	}
	return data, true, nil
}

// acknowledged lets go of what the other side has. The layer above sees nothing of an ack that
// came alone and cannot count it, so a flood of those that say nothing new ends here.
func (c *conn) acknowledged(n uint64, alone bool) error {
	if sent := c.kept.next() - 1; n > sent || n+1 < c.kept.first {
		return fmt.Errorf("session: %w: it says it has %d messages; %d were sent, and it had %d before", wire.ErrBroken, n, sent, c.kept.first-1)
	}
	switch news := n + 1 - c.kept.first; {
	case news > 0:
		c.emptyAcks = max(0, c.emptyAcks-int(min(news, maxEmptyAcks)))
	case alone:
		if c.emptyAcks++; c.emptyAcks > maxEmptyAcks {
			return fmt.Errorf("session: %w: it floods: %d acks acknowledged nothing", wire.ErrBroken, c.emptyAcks)
		}
	}
	c.free(c.kept.acknowledge(n))
	return nil
}

// hold and free account for memory of what is not acknowledged.
func (c *conn) hold(n int) {
	if c.server != nil && n > 0 {
		c.server.hold(c, n)
	}
}

func (c *conn) free(n int) {
	if n == 0 {
		return
	}
	if c.server != nil {
		c.server.bytes.Add(int64(-n))
	}
	c.turn.Broadcast()
}

// ackLate is called when something has waited for long to be acknowledged.
func (c *conn) ackLate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ackArmed = false
	if c.received > c.reported && c.link != nil {
		c.ackDue = true
		c.kick()
	}
}

// attach goes on with a connection on which the other side has said how much it has.
func (c *conn) attach(l *link, has uint64) error {
	before := c.kept.first
	if err := c.acknowledged(has, false); err != nil {
		return err
	}
	if c.kept.first > before {
		c.vain = 0
	}
	c.tell()
	l.next, l.born = has+1, time.Now()
	c.link, c.err = l, nil
	c.ackedAt, c.heardAt = before, c.received
	c.turn.Broadcast()
	c.kick()
	return nil
}

// cut gives the connection up and has another one looked for, if there may be one. There may be
// none for who broke the rules of the connection: the same message would do so again.
func (c *conn) cut(l *link, why error) {
	if c.link != l || c.over {
		return
	}
	if c.fresh || c.grace < 0 || errors.Is(why, wire.ErrBroken) {
		c.end(why)
		return
	}
	c.drop()
	c.err = why
	if c.client != nil {
		c.redial(l, why)
		return
	}
	c.cuts++
	cut := c.cuts
	c.timer = time.AfterFunc(c.grace, func() { c.expire(cut) })
	c.server.waits(c)
}

// without goes on as if there were no session: the end of the connection is the end.
func (c *conn) without() {
	c.grace = -1
	c.free(c.kept.acknowledge(c.link.next - 1))
}

// drop closes the connection, which may take a moment.
func (c *conn) drop() {
	if l := c.link; l != nil {
		c.link = nil
		go l.conn.Close()
	}
}

// end is the one way out.
func (c *conn) end(why error) {
	if c.over {
		return
	}
	c.over, c.err = true, why
	if c.bye {
		c.kick()
	} else {
		c.drop()
		c.free(c.kept.acknowledge(c.kept.next() - 1))
	}
	for _, t := range []*time.Timer{c.timer, c.ackTimer} {
		if t != nil {
			t.Stop()
		}
	}
	if c.cancel != nil {
		c.cancel()
	}
	c.turn.Broadcast()
	if c.server != nil {
		c.server.forget(c)
	}
	if c.client != nil {
		if why == io.EOF || why == wire.ErrClosed {
			why = nil
		}
		c.client.tell(State{Phase: Over, Err: why})
	}
}

// expire ends a session that still has no connection.
func (c *conn) expire(cut int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil && c.cuts == cut {
		c.end(fmt.Errorf("%w: no new connection came within %v after the last was cut: %v", ErrLost, c.grace, c.err)) //nolint:errorlint // its EOF is not ours
	}
}

// Close is that of wire.Conn: the orderly end. What was written before and not sent yet has a
// second to go out; without a connection there is nobody to tell.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return nil
	}
	l := c.link
	c.bye = l != nil && c.grace >= 0
	c.end(wire.ErrClosed)
	if c.bye {
		c.timer = time.AfterFunc(closeTime, func() { l.conn.Close() })
	}
	return nil
}

// Renew is that of wire.Resumer.
func (c *conn) Renew(age time.Duration, why error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch l := c.link; {
	case c.over || c.fresh || c.grace < 0:
		return false
	case l == nil || time.Since(l.born) < age:
		return true
	case c.kept.first == c.ackedAt && (!c.kept.empty() || c.received == c.heardAt):
		if c.vain++; c.vain >= vainLimit {
			return false
		}
		c.cut(l, why)
	default:
		c.vain = 0
		c.cut(l, why)
	}
	return true
}
