package rpc

import (
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// A Budget bounds the bytes that peers together hold for their other sides: long values that
// arrive, arguments of calls that run, items that nobody has read, answers that wait to be
// taken. Each connection has limits of its own; a Budget is what keeps many connections at
// their limits from adding up to more memory than there is. Peers that share one are given it
// in [Options]. Its methods may be called at any time by anyone.
//
// A connection may hold as much as is left for all others, and no more (Choudhury and Hahne,
// "Dynamic queue length thresholds for shared-memory packet switches", 1998): one alone may
// have half of the Budget, nine greedy ones leave a tenth of it to the next. What does not fit
// is refused as ResourceExhausted, call by call; what was taken in stays.
type Budget struct {
	bytes int64
	used  atomic.Int64
}

// NewBudget makes a Budget of so many bytes, above 0.
func NewBudget(bytes int64) *Budget {
	if bytes <= 0 {
		panic("rpc: a Budget needs bytes to give")
	}
	return &Budget{bytes: bytes}
}

// Used tells how many bytes peers have drawn now. They draw in portions, so it is somewhat
// more than they hold; it is 0 again when the last of them has ended.
func (b *Budget) Used() int64 { return b.used.Load() }

// processBudget is the Budget of all peers that are not given one.
var processBudget = sync.OnceValue(func() *Budget {
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		return NewBudget(max(limit/4, 1))
	}
	return NewBudget(1 << 30)
})

// take draws n bytes for who holds some already, if its share allows.
func (b *Budget) take(held, n int64) bool {
	for {
		used := b.used.Load()
		if held+n > b.bytes-used-n {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

const (
	// freeBytes is what a connection may hold without drawing from the Budget: what small calls
	// need, so that they do not touch it and nobody else's greed makes them fail.
	freeBytes = 64 << 10
	// portion is how much it draws at once, so that the Budget is no meeting place.
	portion = 256 << 10
)

// An Account is what one holder of memory draws from a Budget: each peer has one, and what stands
// between a peer and its connection and holds bytes itself, as package jsonrpc does, has another.
// Whoever has it calls its methods one at a time.
type Account struct {
	budget *Budget
	used   int64 // bytes held
	drawn  int64 // from the Budget, for what is above freeBytes
	owed   int64 // of a peer's: the part of used that is Peer.line.owed
	closed bool
}

// NewAccount makes an Account that holds nothing; nil is the Budget of those who are given none.
func NewAccount(b *Budget) *Account {
	if b == nil {
		b = processBudget()
	}
	return &Account{budget: b}
}

// Hold says how many bytes are held now. If those are more than before and there is no room for
// them, it reports false and leaves the count as it was.
func (a *Account) Hold(n int) bool {
	more := n - int(a.used)
	if more > 0 {
		return a.draw(more)
	}
	a.give(-more)
	return true
}

// Close gives everything back. What is held later is not counted.
func (a *Account) Close() {
	a.closed = true
	a.put(a.drawn)
}

// draw counts n more bytes in, or reports that there is no room for them.
func (a *Account) draw(n int) bool {
	need := a.used + int64(n) - freeBytes - a.drawn
	if need > 0 && !a.closed {
		much := (need + portion - 1) / portion * portion
		switch {
		case a.budget.take(a.drawn, much):
			a.drawn += much
		case a.budget.take(a.drawn, need):
			a.drawn += need
		default:
			return false
		}
	}
	a.used += int64(n)
	return true
}

// give counts n bytes out. It keeps a portion while there is use for it.
func (a *Account) give(n int) {
	a.used -= int64(n)
	switch spare := a.drawn - max(a.used-freeBytes, 0); {
	case a.drawn == 0:
	case a.used <= freeBytes:
		a.put(a.drawn)
	case spare > 2*portion:
		a.put(spare - portion)
	}
}

func (a *Account) put(n int64) {
	a.drawn -= n
	a.budget.used.Add(-n)
}

// cover counts what waits in the line for the other side to take it.
func (a *Account) cover(owed int) bool {
	more := int64(owed) - a.owed
	if more > 0 && !a.draw(int(more)) {
		return false
	}
	if more < 0 {
		a.give(int(-more))
	}
	a.owed = int64(owed)
	return true
}

// errNoMemory is the answer to who asks for more than there is.
func errNoMemory(ran Executed) *Error {
	return failure(ResourceExhausted, ran, "there is no memory to spare for it: try again later")
}

// ample tells whether there is room enough for windows to grow.
func (a *Account) ample() bool { return a.budget.used.Load() < a.budget.bytes/2 }
