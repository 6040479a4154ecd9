package rpc

import (
	"fmt"
	"time"

	"github.com/chumsync/chum/wire"
)

// What the other side asks for is bounded by what it was given: slots for calls, credit for
// items, the connection's window for bulk. Some frames need none of these, cost time, and
// bring nothing: pings, calls that are refused or cancelled at once, credit that nothing was
// sent for. Patience bounds them. It counts what was in vain against what was not, so that a
// busy connection may waste more than an idle one, and no rate of honest calls, items or bytes
// is ever too high.

const (
	// patienceMost is how many frames may be in vain one after the other. A flood takes up to
	// three frames for each, so it ends before its ten-thousandth. Our own peer has at most 1,024
	// calls and streams open, so no more can be refused before it knows.
	patienceMost = 3000
	// patiencePerSecond is how many may be in vain for ever: at 2 µs each, under 1 % of a
	// processor.
	patiencePerSecond = 2000
	// patiencePerAnswer is how many more each answered call allows: somebody who asks four and
	// takes the first answer, or gives up four calls out of five, may do so at any rate.
	patiencePerAnswer = 4
	// youngCall is how old a call must be for its cancelling to cost nothing. It had a slot for so
	// long, so the slots bound the rate: 1,024 each 10 ms, the cost of as many honest calls.
	youngCall = 10 * time.Millisecond
	// refusedStream is what a refused stream costs; it may have items on their way, which a
	// refused call has not.
	refusedStream = 2
	// ampleFrame is the length from which a frame for a call that has ended pays by its bytes.
	ampleFrame = 1 << 10
	// lateMost bounds Peer.patience.late: 32 MiB of streams, in empty items.
	lateMost = 1 << 20
)

// patience is a token bucket (Turner, "New directions in communications", 1986), and beside it
// what may honestly be late. Guarded by Peer.mu.
type patience struct {
	left int           // frames that may be in vain
	at   time.Duration // when time was last counted in
	late int           // frames for ended calls that may still be on their way
}

// refill counts in the time since the last message.
func (q *patience) refill(now time.Duration) {
	const each = time.Second / patiencePerSecond
	if n := int64((now - q.at) / each); n > 0 {
		q.left = int(min(int64(q.left)+n, patienceMost))
		q.at += time.Duration(n) * each
	}
}

// answered counts in a call of the other side that was answered.
func (q *patience) answered() { q.left = min(q.left+patiencePerAnswer, patienceMost) }

// ended counts in what may be on its way for a call when it ends: a cancel that crossed the
// answer, as many items as there was credit for, credit for as many as were sent.
func (q *patience) ended(x *exchange) {
	n := 2
	if x.in != nil && !x.in.ended && x.in.left > 0 {
		n += int(x.in.left)/itemCost + 1
	}
	if x.out != nil && x.out.items > x.out.credits {
		n += int(min(x.out.items-x.out.credits, maxWindow/itemCost))
	}
	q.late = min(q.late+n, lateMost)
}

// inVain counts frames of the other side that cost time and brought nothing. The error means
// that there were too many.
func (p *Peer) inVain(cost int, what string) error {
	p.stats.InVain++
	if p.patience.left -= cost; p.patience.left >= 0 {
		return nil
	}
	return fmt.Errorf("it floods: %d frames were in vain, the last was %s", p.stats.InVain, what)
}

// refused is refuseID for a call that had no slot.
func (p *Peer) refused(s *serving, e *Error) error {
	p.stats.In.Failed++
	p.refuseID(s.id, e)
	cost := 1
	if s.mode != 0 {
		cost = refusedStream
		p.patience.late = min(p.patience.late+firstWindow/itemCost, lateMost)
	}
	return p.inVain(cost, "a call that was refused")
}

// cancelled takes in that the other side no longer wants one of its calls.
func (p *Peer) cancelled(s *serving) error {
	if s.in != nil {
		s.in.left = 0 // who cancels sends no more
	}
	used := s.out != nil && (s.out.items > 0 || s.out.last)
	p.abandon(s, errCancelled)
	if used || p.heard-s.began >= youngCall {
		return nil
	}
	return p.inVain(1, "a cancel right behind its call")
}

// late counts a frame for a call that has ended.
func (p *Peer) late(f wire.Frame) error {
	p.stats.Late++
	switch {
	case len(f.Payload) >= ampleFrame:
		return nil
	case p.patience.late > 0:
		p.patience.late--
		return nil
	}
	return p.inVain(1, "a frame for a call that had ended")
}

// marked takes in that the other side asks for an ack.
func (p *Peer) marked() error {
	l := p.line
	l.ackDue = true
	l.markCame = p.health.now()
	if l.received == l.arrived {
		return p.inVain(1, "a mark with no bulk before it")
	}
	l.arrived = l.received
	return nil
}
