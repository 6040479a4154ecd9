package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/chumsync/chum/wire"
)

// The line is the right to write to the connection. At any moment one goroutine holds it:
// a caller or a handler that found it idle writes its own message and hands the line over,
// otherwise who holds it takes along all that is queued. So one write carries many frames
// under load, and a single call costs no change of goroutine.

const (
	// bulkFrom is the length from which a value is bulk: sent in turns with the streams, behind
	// the calls, and counted in the connection's window.
	bulkFrom = 8 << 10
	// messageLimit is where queued frames are cut into another message, well below the
	// wire.MaxMessage that every peer accepts: bulk may follow in the same one.
	messageLimit = 256 << 10
	// owedLimit is how many bytes of control frames that the other side caused (pongs, refusals,
	// credit) may wait for it to read them, beside an answer for each call it may have open. Who
	// lets more pile up asks without listening, and is cut.
	owedLimit = 1 << 20
	// queueLimit is how many bytes may wait before calls made here are refused.
	queueLimit = 32 << 20
	// giveFrom is the length from which a message is given away to a connection that keeps what
	// it sends, rather than copied.
	giveFrom = busyBuffer
	// keepBuffer is the largest buffer that an idle connection keeps, busyBuffer one in use.
	keepBuffer = 4 << 10
	busyBuffer = 64 << 10
)

type line struct {
	conn  wire.Conn // what it writes to; nil while another is being made
	busy  bool      // a goroutine holds the line
	crowd bool      // others may be about to queue frames; for the holder
	said  bool      // our hello was taken
	open  bool      // the other side's hello is here: everything may go out
	out   []byte    // frames of calls and control, whole, in order
	owed  int       // bytes of out that the other side caused
	cuts  []int     // where out must be cut so that no message is too long
	spare []byte    // the buffer written last, to be filled next
	last  []byte    // the bye: sent alone, then the connection is closed
	batch uint64    // how many times out was taken

	ready    []*outflow    // flows with something to send, served in turns
	held     []*outflow    // flows that wait for more, see outflow.keep
	window   window        // how much of it may be on its way
	received uint64        // bulk bytes that came from it
	ackDue   bool          // it asked how many:
	arrived  uint64        // so many were before its last mark,
	markCame time.Duration // which came then
	marks    uint64        // set here
	acks     uint64        // that came
}

// control queues a frame before all bulk.
func (l *line) control(f wire.Frame) {
	l.head(f, len(f.Payload))
	l.out = append(l.out, f.Payload...)
}

// owe queues a control frame that the other side caused.
func (l *line) owe(f wire.Frame) {
	l.owed += wire.MaxHead + len(f.Payload)
	l.control(f)
}

// head queues the head of a frame whose payload of n bytes the caller then appends to out.
func (l *line) head(f wire.Frame, n int) {
	start := 0
	if k := len(l.cuts); k > 0 {
		start = l.cuts[k-1]
	}
	if len(l.out)-start+wire.MaxHead+n > messageLimit && len(l.out) > start {
		l.cuts = append(l.cuts, len(l.out))
	}
	l.out = wire.AppendHead(l.out, f, n)
}

// drop lets go of all that is queued: the connection ends.
func (l *line) drop() {
	l.out, l.cuts, l.ready, l.held, l.spare, l.owed = nil, nil, nil, nil, nil, 0
}

// lastWord queues the bye.
func (l *line) lastWord(body errorBody) {
	p, _ := json.Marshal(body)
	l.last = wire.Append(nil, wire.Frame{Kind: wire.Bye, Payload: p})
}

// pending tells whether there is something that may be sent now.
func (l *line) pending() bool {
	switch {
	case l.conn == nil:
		return false
	case l.last != nil || !l.said:
		return true
	case !l.open:
		return false
	}
	return len(l.out) > 0 || l.ackDue || (len(l.ready) > 0 && l.window.room() > 0) || l.window.due()
}

// enqueue gives a flow its turns.
func (l *line) enqueue(o *outflow) {
	l.letGo(o)
	if !o.queued {
		o.queued = true
		l.ready = append(l.ready, o)
	}
}

// hold has a flow wait until what it last sent has arrived.
func (l *line) hold(o *outflow) {
	if !o.held {
		o.held = true
		l.held = append(l.held, o)
	}
}

// letGo ends that.
func (l *line) letGo(o *outflow) {
	if o.held {
		o.held = false
		l.held = slices.DeleteFunc(l.held, func(h *outflow) bool { return h == o })
	}
}

// release gives flows their turns whose last bytes have arrived.
func (l *line) release() {
	for _, o := range slices.Backward(l.held) { // enqueue takes it out
		if o.taken <= l.window.acked {
			l.enqueue(o)
		}
	}
}

// take returns what is to be written next, and where to cut it; nothing if there is nothing.
func (l *line) take(p *Peer) (msg []byte, cuts []int) {
	switch {
	case l.last != nil:
		msg, l.last = l.last, nil
		return msg, nil
	case !l.said:
		l.said = true
		return appendHello(nil, &p.opt, p.mux.schemaHash()), nil
	case !l.pending():
		return nil, nil
	}
	msg, cuts = l.out, l.cuts
	l.out, l.spare, l.cuts, l.owed = l.spare[:0], nil, nil, 0
	if len(l.ready) > 0 && cap(msg) < messageBuffer {
		msg = append(messageBuffers.Get().([]byte)[:0], msg...)
	}
	l.batch++
	if l.ackDue {
		l.ackDue = false
		msg = wire.Append(msg, wire.Frame{Kind: wire.Ack, Payload: binary.AppendUvarint(varint(l.arrived), uint64(l.markCame.Microseconds()))})
	}
	if n := len(msg); n > 0 {
		// What is small does not wait until the bulk behind it has arrived as well.
		if msg = l.takeBulk(p, msg); len(msg) > n {
			cuts = append(cuts, n)
		}
	} else {
		msg = l.takeBulk(p, msg)
	}
	if len(msg) == 0 { // all that was ready had ended meanwhile
		l.spare = msg
		return nil, nil
	}
	return msg, cuts
}

// takeBulk appends what streams and long values may send now, each in its turn.
func (l *line) takeBulk(p *Peer, msg []byte) []byte {
	w := &l.window
	if len(l.ready) == 0 && !w.due() {
		return msg
	}
	now := p.health.now()
	if len(l.ready) > 0 {
		w.busy(now)
	}
	asks := false
	portion := w.portion()
	turn := min(portion, wire.MaxFrame)
	for full := len(msg) + portion - turn/2; len(l.ready) > 0 && len(msg) < full && w.room() > 0; {
		o := l.ready[0]
		var n int
		msg, n = o.take(msg, turn, len(l.ready) == 1)
		w.sent += uint64(n)
		o.taken = w.sent
		l.ready[0] = nil
		l.ready = l.ready[1:]
		o.queued = false
		asks = asks || o.fed && w.near()
		if (len(msg) < full || !o.keep(asks)) && o.pending() {
			l.enqueue(o)
		}
	}
	if w.due() || asks && w.sent > w.marked {
		w.mark(now)
		l.marks++
		p.health.marking()
		msg = wire.Append(msg, wire.Frame{Kind: wire.Mark})
	}
	if len(l.ready) == 0 && w.room() > 0 {
		w.empty(now)
	}
	return msg
}

// acknowledged takes in how many bulk bytes the other side has.
func (p *Peer) acknowledged(payload []byte) error {
	w := &p.line.window
	n, rest, err := wire.Uvarint(payload)
	var came uint64
	if err == nil {
		came, rest, err = wire.Uvarint(rest)
	}
	if err != nil || len(rest) > 0 || came > maxClock {
		return errors.New("malformed ack")
	}
	if n > w.sent || n < w.acked {
		return fmt.Errorf("it acknowledged %d bytes; %d were sent, %d acknowledged before", n, w.sent, w.acked)
	}
	if n > w.acked {
		now := p.health.now()
		p.health.acknowledged(w.ack(n, time.Duration(came)*time.Microsecond, now))
		p.line.release()
		if len(p.line.ready) == 0 && w.room() > 0 {
			w.empty(now)
		}
	}
	if p.line.acks++; p.line.acks > p.line.marks {
		return p.inVain(1, "an ack that nobody asked for")
	}
	return nil
}

// messageBuffers hold what carries bulk, a message or what a stream has queued, and not longer
// than it is needed: an idle connection has none.
var messageBuffers = sync.Pool{New: func() any { return make([]byte, 0, messageBuffer) }}

// messageBuffer is what the longest of them needs, so that none has to grow.
const messageBuffer = maxPortion + wire.MaxFrame + keepBuffer

// reuse gives a buffer to messageBuffers, if it is of the right size.
func reuse(b []byte) {
	if cap(b) >= messageBuffer && cap(b) <= 2*messageBuffer {
		messageBuffers.Put(b) //nolint:staticcheck // SA6002: a slice header a message is not worth a pointer
	}
}

// recycle takes a buffer back that was written.
func (l *line) recycle(msg []byte) {
	if cap(msg) <= busyBuffer {
		l.spare = msg
		return
	}
	reuse(msg)
}

// trim lets buffers go that an idle connection does not need.
func (l *line) trim() {
	if !l.busy && len(l.out) == 0 && cap(l.out)+cap(l.spare) > keepBuffer {
		l.out, l.spare = nil, nil
	}
}

// claim takes the line if it is idle and there is something to send, else it gives nil; then
// the caller must let go of p.mu and call write.
func (p *Peer) claim() *line {
	if p.line.busy || !p.line.pending() {
		return nil
	}
	p.line.busy = true
	p.line.crowd = p.crowded()
	return p.line
}

// kick sees to it that what is queued gets written, by a worker. It never waits.
func (p *Peer) kick() {
	if l := p.claim(); l != nil {
		p.run(lineTask{p, l})
	}
}

type lineTask struct {
	p *Peer
	l *line
}

func (t lineTask) do(*worker) { t.p.write(t.l, toTheEnd) }

// once and toTheEnd say how long a goroutine goes on writing: a caller writes one message and
// then waits for its answer, a worker has nothing else to do.
func once() bool     { return false }
func toTheEnd() bool { return true }

// write sends what is queued, and is called with the line claimed. When stay, which is asked
// with p.mu held, says no, it leaves the rest to a worker. When the line's connection was lost
// and another took its place, nothing is left to do.
func (p *Peer) write(l *line, stay func() bool) {
	if l == nil {
		return
	}
	for {
		if l.crowd {
			// Others are about to queue frames: let them, one write then carries all. Measured at
			// 100 open calls: without it, 0.38 of the calls per second.
			runtime.Gosched()
		}
		p.mu.Lock()
		if p.line != l {
			p.mu.Unlock()
			return
		}
		bye := l.last != nil
		msg, cuts := l.take(p)
		if msg == nil {
			l.busy = false
			p.checkDrained()
			p.mu.Unlock()
			return
		}
		p.health.writing()
		p.mu.Unlock()

		n, kept, err := p.writeMessages(l.conn, msg, cuts)
		if err != nil {
			p.lost(l, err)
		}
		if bye || err != nil {
			l.conn.Close() // the read loop ends
		}

		p.mu.Lock()
		if p.line != l {
			p.mu.Unlock()
			return
		}
		p.health.written()
		p.stats.Sent.Bytes += uint64(len(msg))
		p.stats.Sent.Messages += uint64(n)
		if !kept {
			l.recycle(msg)
		}
		if err != nil || !l.pending() {
			l.busy = err != nil // a broken line is never idle again
			p.checkDrained()
			p.mu.Unlock()
			return
		}
		l.crowd = p.crowded()
		if !stay() {
			p.run(lineTask{p, l})
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
}

// crowded tells whether others may be about to queue frames. With p.mu held.
func (p *Peer) crowded() bool { return len(p.calls)+p.running > 1 }

// writeMessages writes, cut where cuts says, and tells whether the connection keeps msg.
func (p *Peer) writeMessages(conn wire.Conn, msg []byte, cuts []int) (n int, kept bool, err error) {
	start := 0
	for _, cut := range append(cuts, len(msg)) {
		part := msg[start:cut]
		start = cut
		if p.opt.Trace != nil {
			p.trace(part)
		}
		n++
		if owner, ok := conn.(wire.OwnedWriter); ok && len(part) == len(msg) && len(msg) >= giveFrom {
			return n, true, owner.WriteOwned(msg, reuse)
		}
		if err = conn.WriteMessage(part); err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}

// trace shows the frames of a message that is about to be sent.
func (p *Peer) trace(msg []byte) {
	for len(msg) > 0 {
		f, rest, err := wire.Next(msg)
		if err != nil {
			panic("rpc: own message is malformed: " + err.Error())
		}
		p.opt.Trace(TraceFrame{Sent: true, Frame: f})
		msg = rest
	}
}

func varint(v uint64) []byte { return binary.AppendUvarint(nil, v) }
