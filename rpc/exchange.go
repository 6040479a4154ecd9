package rpc

import (
	"fmt"
	"time"

	"github.com/chumsync/chum/wire"
)

// exchange is what the two ends of a call have in common: the streams in both directions and
// the long value that is arriving. Guarded by Peer.mu.
type exchange struct {
	p        *Peer
	id       uint64
	own      bool // the call is ours
	priority Priority
	in       *inflow
	out      *outflow
	long     *assembly
	unwatch  func() bool // stops watching the caller's context
	ended    bool        // close was called,
	why      error       // with this
}

// flow gives the outgoing flow, made when first needed.
func (x *exchange) flow() *outflow {
	if x.out == nil {
		x.out = &outflow{x: x, open: -1, credit: int64(x.p.remote.Limits.Window), wake: make(chan struct{}, 1)}
		if x.ended {
			x.out.finish(x.why)
		} else {
			x.p.watchIdle()
		}
	}
	return x.out
}

// close ends the streams and frees what was arriving. The error is what a reader or a writer
// of a stream gets; nil means that the call went well.
func (x *exchange) close(err error) {
	x.ended, x.why = true, err
	x.p.patience.ended(x)
	if x.in != nil {
		x.in.finish(err)
	}
	if x.out != nil {
		x.out.finish(err)
	}
	x.dropLong()
}

func (x *exchange) dropLong() {
	if x.long != nil {
		x.p.assembling -= x.long.total
		x.p.account.give(cap(x.long.buf))
		x.long = nil
	}
}

// assembly is a long value on its way in. Its buffer grows with what has come, never with
// what was announced.
type assembly struct {
	frame wire.Frame // the frame that began it
	buf   []byte
	total int
	seen  int           // how much there was of it, see stalled
	since time.Duration // when that changed, on the peer's clock
}

// refusedError says that a long value is not taken; the connection goes on.
type refusedError struct{ reason string }

func (e refusedError) Error() string { return e.reason }

// beginLong takes the first bytes of a long value in. It reports whether the value is whole.
func (x *exchange) beginLong(f wire.Frame, payload []byte) (whole bool, err error) {
	if x.long != nil {
		return false, fmt.Errorf("call %d: a %s frame amid a long value", f.ID, f.Kind)
	}
	total, first, err := wire.Uvarint(payload)
	if err != nil {
		return false, fmt.Errorf("call %d: length of a long value: %w", f.ID, err)
	}
	p := x.p
	switch {
	case total > uint64(p.opt.MaxValue):
		return false, refusedError{fmt.Sprintf("a value of %d bytes came, %d are taken; send what is longer through a stream", total, p.opt.MaxValue)}
	case p.assembling+int(total) > p.opt.MaxAssembly:
		return false, refusedError{fmt.Sprintf("a value of %d bytes came while %d are arriving or not consumed; %d are taken at once", total, p.assembling, p.opt.MaxAssembly)}
	}
	p.assembling += int(total)
	f.Payload = nil
	x.long = &assembly{frame: f, total: int(total), since: p.heard}
	p.watchIdle()
	if whole, err = x.addLong(first); err != nil {
		x.dropLong()
	}
	return whole, err
}

// addLong takes more of the long value in.
func (x *exchange) addLong(b []byte) (whole bool, err error) {
	a := x.long
	if len(a.buf)+len(b) > a.total {
		return false, fmt.Errorf("call %d: a long value runs past the %d bytes it announced", x.id, a.total)
	}
	if len(a.buf)+len(b) > cap(a.buf) {
		size := min(a.total, max(2*cap(a.buf), len(a.buf)+len(b), 128<<10))
		if !x.p.account.draw(size - cap(a.buf)) {
			return false, refusedError{fmt.Sprintf("a value of %d bytes came, and there is no memory to spare for it: try again later", a.total)}
		}
		grown := make([]byte, len(a.buf), size)
		copy(grown, a.buf)
		a.buf = grown
	}
	a.buf = append(a.buf, b...)
	return len(a.buf) == a.total, nil
}
