package rpc

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/chumsync/chum/wire"
)

const (
	// itemCost is what an item costs in credit beyond its bytes: about what it takes to keep it,
	// so that a flood of tiny items is bounded too.
	itemCost = 32
	// firstWindow is the credit each stream starts with, as our hello says. With 256 streams
	// each way, the first windows add up to 16 MiB.
	firstWindow = 32 << 10
	// grownLimit is what all windows of a connection may grow by, so that they never add up to
	// more than 32 MiB. Each may take half of what is left: one alone grows to maxWindow, enough
	// for 100 MB/s at a round trip of 80 ms, and the next still finds some.
	maxWindow  = 8 << 20
	grownLimit = 16 << 20
	// nearTrip is the shortest round trip that windows are made for. Close by, a round trip is
	// mostly waiting for a processor, of which a ping at a quiet moment knows nothing.
	nearTrip = 500 * time.Microsecond
	// maxCredit is the most that a stream's credit may come to.
	maxCredit = 1 << 40
	// sendAhead is how many bytes of framed items wait in a flow before Send does.
	sendAhead = 64 << 10
)

// outflow is the bulk that one side of a call sends: items of its stream, and values too
// long to go with the calls. Guarded by Peer.mu.
type outflow struct {
	x      *exchange
	frames []byte // whole frames, to be sent from off on
	off    int

	value     []byte // a long value, sent behind the frames unless it is the call's arguments
	valueHead wire.Frame
	valueOff  int
	begun     bool // its first frame was taken

	run []byte // bytes to be cut into items as there is credit, behind all else; its writer waits

	credit  int64 // what the other side still takes
	items   uint64
	credits uint64 // credit frames that came
	ending  bool   // the stream's end is queued
	seen    uint64 // items, see stalled
	since   time.Duration
	queued  bool // in line.ready
	last    bool // with what lies here the call is answered
	failed  bool // and the answer is an error
	surplus int  // 0, or below: what it has sent beyond its share
	wake    chan struct{}
	over    bool
	err     error
}

func (o *outflow) pending() bool {
	return !o.over && (o.off < len(o.frames) || o.value != nil || len(o.run) > 0 && o.credit > 0)
}

// arguments tells that the value is the rest of a request: it goes before anything else.
func (o *outflow) arguments() bool { return o.value != nil && o.valueHead.Kind == wire.Request }

// waiting is how many bytes lie here.
func (o *outflow) waiting() int {
	return len(o.frames) - o.off + len(o.value) - o.valueOff + len(o.run)
}

// ready wakes whoever feeds the flow, unless what it gave has not all been taken.
func (o *outflow) ready() {
	if len(o.run) == 0 && o.value == nil {
		o.signal()
	}
}

func (o *outflow) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// setValue queues a long value; a request's first frame is the caller's affair. The slice is
// read until it has been sent or the call ends.
func (o *outflow) setValue(f wire.Frame, value []byte) {
	f.Long = true
	o.valueHead, o.value, o.valueOff, o.begun = f, value, 0, f.Kind == wire.Request
	o.x.p.line.enqueue(o)
}

// queue appends a frame behind the items.
func (o *outflow) queue(f wire.Frame) {
	if o.frames == nil && len(f.Payload) > keepBuffer {
		o.frames = messageBuffers.Get().([]byte)[:0]
	}
	if o.off > 0 && len(o.frames)+wire.MaxHead+len(f.Payload) > cap(o.frames) { // make room in front
		o.frames, o.off = o.frames[:copy(o.frames, o.frames[o.off:])], 0
	}
	o.frames = wire.Append(o.frames, f)
	o.x.p.line.enqueue(o)
}

// finish drops what has not been sent.
func (o *outflow) finish(err error) {
	o.over, o.err = true, err
	o.frames, o.off, o.value, o.valueOff = nil, 0, nil, 0
	o.signal()
}

// take appends what the flow may send when it is its turn, in frames of about the bytes given
// at most, and returns how many bulk bytes that is.
func (o *outflow) take(msg []byte, turn int) (_ []byte, bulk int) {
	if o.over { // it ended while it waited for its turn
		return msg, 0
	}
	if o.surplus += o.x.priority.share(turn); o.surplus <= 0 {
		return msg, 0
	}
	for o.surplus > 0 && o.pending() {
		before := len(msg)
		var n int
		if o.off < len(o.frames) && !o.arguments() {
			f, rest, err := wire.Next(o.frames[o.off:])
			if err != nil {
				panic("rpc: own frame is malformed: " + err.Error())
			}
			size := len(o.frames) - o.off - len(rest)
			msg = append(msg, o.frames[o.off:o.off+size]...)
			o.off += size
			if f.Bulk() {
				n = len(f.Payload)
			}
		} else if o.value != nil {
			msg, n = o.takeValue(msg, turn)
		} else {
			msg, n = o.takeRun(msg, turn)
		}
		bulk += n
		o.surplus -= len(msg) - before
	}
	o.surplus = min(o.surplus, 0)
	if !o.pending() {
		if cap(o.frames) > keepBuffer {
			reuse(o.frames)
			o.frames = nil
		}
		o.frames, o.off = o.frames[:0], 0
		if o.last {
			o.x.p.answered(o)
		}
	}
	o.ready()
	return msg, bulk
}

// takeValue appends one frame of the long value, of at most the bytes given.
func (o *outflow) takeValue(msg []byte, most int) (_ []byte, bulk int) {
	f := o.valueHead
	var head []byte
	if o.begun {
		f = wire.Frame{Kind: wire.Part, Own: f.Own, ID: f.ID}
	} else {
		head = varint(uint64(len(o.value)))
	}
	n := min(len(o.value)-o.valueOff, most-len(head))
	msg = wire.AppendHead(msg, f, len(head)+n)
	msg = append(msg, head...)
	msg = append(msg, o.value[o.valueOff:o.valueOff+n]...)
	o.begun = true
	if o.valueOff += n; o.valueOff == len(o.value) {
		o.value, o.valueOff = nil, 0
	}
	return msg, len(head) + n
}

// takeRun appends one item of the run, of at most the bytes given.
func (o *outflow) takeRun(msg []byte, most int) (_ []byte, bulk int) {
	n := min(len(o.run), most)
	o.credit -= int64(n + itemCost)
	o.items++
	f := wire.Frame{Kind: wire.Item, Form: wire.Bytes, Own: o.x.own, ID: o.x.id, Payload: o.run[:n]}
	o.run = o.run[n:]
	return wire.Append(msg, f), n
}

// sendRun sends bytes as items, straight out of b, and returns when the last was taken. If the
// line is idle, this goroutine writes them itself: it would have to wait anyway.
func (x *exchange) sendRun(b []byte) (n int, err error) {
	p := x.p
	p.mu.Lock()
	o := x.flow()
	if !o.over {
		o.run = b
		p.line.enqueue(o)
	}
	for len(o.run) > 0 && !o.over {
		mine := p.claim()
		p.mu.Unlock()
		if mine != nil {
			p.write(mine, func() bool { return len(o.run) > 0 && !o.over })
		} else {
			<-o.wake
		}
		p.mu.Lock()
	}
	n = len(b) - len(o.run)
	if o.over {
		err = o.ended()
	}
	o.run = nil
	p.mu.Unlock()
	return n, err
}

// send queues an item, and waits while there is no credit or too much lies here already. It
// does not keep data. One goroutine sends on a stream.
func (x *exchange) send(form wire.Form, data []byte) error {
	p := x.p
	long := len(data) > wire.MaxFrame
	for {
		p.mu.Lock()
		o := x.flow()
		switch {
		case o.over:
			p.mu.Unlock()
			return o.ended()
		case o.credit <= 0 || o.value != nil || len(o.frames)-o.off >= sendAhead || long && o.pending():
			p.mu.Unlock()
			<-o.wake
			continue
		case long && len(data) > p.remote.Limits.Value: // known, since there is credit
			p.mu.Unlock()
			return failure(ResourceExhausted, Maybe, "rpc: an item has %d bytes, the other side takes %d; send it in pieces", len(data), p.remote.Limits.Value)
		}
		o.credit -= int64(len(data) + itemCost)
		o.items++
		f := wire.Frame{Kind: wire.Item, Form: form, Own: x.own, ID: x.id}
		if long {
			o.setValue(f, data)
			p.kick()
			for o.value != nil && !o.over { // until it was taken: data is the caller's again then
				p.mu.Unlock()
				<-o.wake
				p.mu.Lock()
			}
			p.mu.Unlock()
			return nil
		}
		f.Payload = data
		o.queue(f)
		mine := p.claim()
		p.mu.Unlock()
		p.write(mine, once)
		return nil
	}
}

// sendEnd queues the end of the stream.
func (x *exchange) sendEnd() error {
	p := x.p
	p.mu.Lock()
	defer p.mu.Unlock()
	o := x.flow()
	if o.over {
		return o.ended()
	}
	o.ending = true
	o.queue(wire.Frame{Kind: wire.End, Own: x.own, ID: x.id, Payload: varint(o.items)})
	p.kick()
	return nil
}

// errEnded is returned by send when the call has its answer: nobody wants more items.
var errEnded = fmt.Errorf("rpc: the call has ended: %w", io.ErrClosedPipe)

func (o *outflow) ended() error {
	if o.err != nil {
		return o.err
	}
	return errEnded
}

// addCredit takes credit from the other side in.
func (o *outflow) addCredit(n uint64) error {
	if n > maxCredit || o.credit+int64(n) > maxCredit {
		return fmt.Errorf("call %d: credit of %d overflows", o.x.id, n)
	}
	o.credit += int64(n)
	if o.pending() { // a run that had none
		o.x.p.line.enqueue(o)
	}
	o.ready()
	return nil
}

// inflow is a stream that comes in: items that wait for their reader. Guarded by Peer.mu.
type inflow struct {
	x      *exchange
	queue  []item
	window int           // what the sender may have on its way or lying here, in cost
	left   int64         // what it may still send of that
	eaten  int           // cost of items read whose credit was not given back yet
	waited bool          // the reader has waited for an item since the last credit,
	gave   time.Duration // which was given then
	items  uint64
	bytes  int  // of the items in queue
	ended  bool // the sender's end is here
	over   bool // nothing more comes, whatever the reason
	err    error
	pooled bool // items are read into somebody else's buffer, so theirs come from a pool
	wake   chan struct{}
}

type item struct {
	form   wire.Form
	data   []byte
	long   bool    // accounted in Peer.assembling
	pooled *[]byte // what data lies in, if it goes back to itemBuffers
}

// itemBuffers hold items whose bytes are copied to the reader's own buffer, if they fill most
// of one.
var itemBuffers = sync.Pool{New: func() any { b := make([]byte, wire.MaxFrame); return &b }}

// copy makes an item of the bytes, which are the read loop's.
func (in *inflow) copy(form wire.Form, b []byte) item {
	if in.pooled && len(b) >= wire.MaxFrame/2 {
		buf := itemBuffers.Get().(*[]byte)
		return item{form: form, data: (*buf)[:copy(*buf, b)], pooled: buf}
	}
	return item{form: form, data: append(make([]byte, 0, len(b)), b...)}
}

func (it *item) cost() int { return len(it.data) + itemCost }

func newInflow(x *exchange) *inflow {
	return &inflow{x: x, window: firstWindow, left: firstWindow, gave: x.p.health.now(), wake: make(chan struct{}, 1)}
}

func (in *inflow) signal() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// begin checks that an item may begin: an item is taken whole if there is any credit left.
func (in *inflow) begin() error {
	switch {
	case in.ended:
		return fmt.Errorf("call %d: an item after the stream's end", in.x.id)
	case in.left <= 0:
		return fmt.Errorf("call %d: an item beyond the stream's credit", in.x.id)
	}
	return nil
}

// put takes a whole item in.
func (in *inflow) put(it item) {
	in.left -= int64(it.cost())
	in.items++
	if in.over {
		in.drop(it)
		return
	}
	in.queue = append(in.queue, it)
	in.bytes += len(it.data)
	in.signal()
}

func (in *inflow) drop(it item) {
	if it.long {
		in.x.p.assembling -= len(it.data)
		in.x.p.account.give(len(it.data))
		return
	}
	in.x.p.account.give(it.cost())
}

// end takes the sender's end in.
func (in *inflow) end(items uint64) error {
	if in.ended {
		return fmt.Errorf("call %d: its stream ends twice", in.x.id)
	}
	if items != in.items {
		return fmt.Errorf("call %d: its stream ends after %d items, %d came", in.x.id, items, in.items)
	}
	in.ended = true
	if !in.x.own { // a caller's reader also waits for the call's result
		in.over = true
		in.signal()
	}
	return nil
}

// finish ends the stream with the call. What is queued may still be read after a good end or
// an error of the other side; after a cancel nobody wants it.
func (in *inflow) finish(err error) {
	in.x.p.grown -= in.window - firstWindow
	in.window = firstWindow
	if !in.over {
		if err == nil && !in.ended {
			err = errEnded
		}
		in.over, in.err = true, err
	}
	if code := CodeOf(err); code == Cancelled || code == DeadlineExceeded {
		if len(in.queue) > 0 { // without them it is not whole, though its end is here
			in.err = err
		}
		in.discard()
	}
	in.signal()
}

// leave drops what lies here and what may still come: its reader has gone.
func (in *inflow) leave() {
	if !in.over {
		in.over, in.err = true, errEnded
	}
	in.discard()
	in.signal()
}

// discard drops what lies here.
func (in *inflow) discard() {
	for _, it := range in.queue {
		in.drop(it)
	}
	in.queue, in.bytes = nil, 0
}

// next waits for an item. io.EOF is the stream's good end. One goroutine reads a stream.
func (in *inflow) next() (item, error) {
	p := in.x.p
	for {
		p.mu.Lock()
		if len(in.queue) > 0 {
			it := in.queue[0]
			in.queue[0] = item{}
			in.queue = in.queue[1:]
			in.bytes -= len(it.data)
			in.drop(it)
			var mine *line
			if in.credit(it.cost()) {
				mine = p.claim()
			}
			p.mu.Unlock()
			p.write(mine, once)
			return it, nil
		}
		if in.over {
			err := in.err
			p.mu.Unlock()
			if err == nil {
				err = io.EOF
			}
			return item{}, err
		}
		in.waited = true
		p.mu.Unlock()
		<-in.wake
	}
}

// credit gives the sender back what was read, in large enough portions, and more than that if
// the window is what holds the stream up: the reader has read all that came, and at this pace
// the window lasts no longer than two round trips. It reports whether there is something to send.
func (in *inflow) credit(cost int) bool {
	in.eaten += cost
	if in.over || in.eaten < in.window/4 {
		return false
	}
	p := in.x.p
	grant := in.eaten
	now := p.health.now()
	lasts := (now - in.gave).Seconds() * float64(in.window) / float64(in.eaten)
	held := in.waited && lasts <= 2*max(p.health.roundTrip, nearTrip).Seconds() && p.account.ample()
	if grow := in.window; held && grow <= (grownLimit-p.grown)/2 {
		p.grown += grow
		in.window += grow
		grant += grow
	}
	in.waited, in.gave = false, now
	in.eaten = 0
	in.left += int64(grant)
	p.line.owe(wire.Frame{Kind: wire.Credit, Own: in.x.own, ID: in.x.id, Payload: varint(uint64(grant))})
	return true
}
