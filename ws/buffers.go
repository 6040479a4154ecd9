package ws

import (
	"math/bits"
	"sync"
)

// Buffers for reading and writing are lent from pools, one for each power of two from 4 KiB
// to 1 MiB, so that an idle connection holds none. A buffer has slack bytes more than its
// power of two, so that the longest usual message fits together with its head and the
// beginning of the next one.
const (
	minBuffer = 4 << 10
	maxBuffer = 1 << 20
	slack     = 64
	classes   = 9
)

var pools [classes]sync.Pool

// class is the pool whose buffers have at least n bytes beside the slack.
func class(n int) int { return max(0, bits.Len(uint(max(n, 1)-1))-bits.Len(uint(minBuffer-1))) }

// lend returns a buffer of at least n bytes and slack, for give.
func lend(n int) *[]byte {
	if n > maxBuffer {
		b := make([]byte, n+slack)
		return &b
	}
	i := class(n)
	if b, ok := pools[i].Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, minBuffer<<i+slack)
	return &b
}

// give takes a buffer back.
func give(b *[]byte) {
	if n := len(*b) - slack; n <= maxBuffer {
		pools[class(n)].Put(b)
	}
}
