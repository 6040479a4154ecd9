package session

import (
	"math/bits"
	"sync"
)

// kept is what was sent and not yet acknowledged, in order. Small messages are copied into
// chunks that they share, large ones may be handed over with the buffer they are in. All of it
// is guarded by the session's lock.
type kept struct {
	first    uint64 // the count of the first message in it
	messages []message
	gone     int // how many at the beginning of messages have been let go
	bytes    int // memory that is held
	filling  *chunk
	writing  uint64  // the message that is being written now; 0: none
	held     message // that one, acknowledged before its write was over
}

// message is one of the layer above.
type message struct {
	room  []byte // maxAck free bytes, then the message; nil if it was handed over
	data  []byte
	chunk *chunk
	free  func([]byte)
}

// chunk is memory for messages that were copied.
type chunk struct {
	buf  []byte
	used int // messages in it that are still kept
}

const (
	smallChunk = 512      // bytes: what an idle session keeps for its last word
	largeChunk = 32 << 10 // bytes: what a busy one fills
	maxChunk   = 2 << 20  // bytes: the largest that is used again
)

// chunks are used again, by size: index i holds those of smallChunk << i bytes.
var chunks [13]sync.Pool

func newChunk(n int) *chunk {
	i := bits.Len(uint(n-1) / smallChunk)
	if i >= len(chunks) {
		return &chunk{buf: make([]byte, 0, n)}
	}
	if c, ok := chunks[i].Get().(*chunk); ok {
		return c
	}
	return &chunk{buf: make([]byte, 0, smallChunk<<i)}
}

func (c *chunk) recycle() {
	if n := cap(c.buf); n <= maxChunk {
		c.buf = c.buf[:0]
		chunks[bits.Len(uint(n-1)/smallChunk)].Put(c)
	}
}

// next is the count of the message that is kept next.
func (k *kept) next() uint64 { return k.first + uint64(len(k.messages)-k.gone) }

func (k *kept) empty() bool { return k.gone == len(k.messages) }

// at gives a message by its count.
func (k *kept) at(n uint64) *message { return &k.messages[k.gone+int(n-k.first)] }

// copy keeps a copy of p and returns how much more memory that holds.
func (k *kept) copy(p []byte) int {
	n, before := maxAck+len(p), k.bytes
	if c := k.filling; c != nil && c.used == 0 {
		c.buf = c.buf[:0]
	}
	if c := k.filling; c == nil || cap(c.buf)-len(c.buf) < n {
		size := smallChunk
		if c != nil {
			size = min(4*cap(c.buf), largeChunk)
		}
		k.leave()
		k.filling = newChunk(max(n, size))
		k.bytes += cap(k.filling.buf)
	}
	c := k.filling
	at := len(c.buf)
	c.buf = append(c.buf[:at+maxAck], p...)
	c.used++
	k.messages = append(k.messages, message{room: c.buf[at:len(c.buf):len(c.buf)], data: c.buf[at+maxAck : len(c.buf) : len(c.buf)], chunk: c})
	return k.bytes - before
}

// leave ends the filling of a chunk.
func (k *kept) leave() {
	if c := k.filling; c != nil && c.used == 0 {
		k.bytes -= cap(c.buf)
		c.recycle()
	}
	k.filling = nil
}

// own keeps p itself and returns how much more memory that holds.
func (k *kept) own(p []byte, free func([]byte)) int {
	k.messages = append(k.messages, message{data: p, free: free})
	k.bytes += cap(p)
	return cap(p)
}

// acknowledge lets go of all messages up to the count n, which is in bounds, and returns how
// much memory that freed.
func (k *kept) acknowledge(n uint64) int {
	before := k.bytes
	for k.first <= n && !k.empty() {
		m := k.messages[k.gone]
		k.messages[k.gone] = message{}
		if k.gone++; k.first == k.writing {
			k.held = m
		} else {
			k.release(m)
		}
		k.first++
	}
	switch {
	case k.empty():
		if k.messages, k.gone = k.messages[:0], 0; cap(k.messages) > 64 {
			k.messages = nil
		}
		k.leave()
	case k.gone > len(k.messages)/2:
		rest := copy(k.messages, k.messages[k.gone:])
		clear(k.messages[rest:])
		k.messages, k.gone = k.messages[:rest], 0
	}
	return before - k.bytes
}

// written notes that the message that was being written no longer is, and returns how much
// memory that freed.
func (k *kept) written() int {
	before := k.bytes
	k.writing = 0
	k.release(k.held)
	k.held = message{}
	return before - k.bytes
}

func (k *kept) release(m message) {
	switch {
	case m.free != nil:
		k.bytes -= cap(m.data)
		m.free(m.data)
	case m.chunk != nil:
		if m.chunk.used--; m.chunk.used == 0 && m.chunk != k.filling {
			k.bytes -= cap(m.chunk.buf)
			m.chunk.recycle()
		}
	}
}
