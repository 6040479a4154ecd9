package rpc

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/chumsync/chum/wire"
)

const (
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
)

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
