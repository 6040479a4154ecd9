package ws

import (
	"net"
	"sync"
)

// cork gathers the pieces of a message that the WebSocket library writes (a head, and masked
// payload 4 KiB at a time) into one write to the network. Measured on uploads: 0.26 of TCP's
// speed without, 0.8 with it.
type cork struct {
	net.Conn
	mu   sync.Mutex
	in   bool // gathering
	held *[]byte
}

// direct is the length from which a piece is not copied but written at once, together with
// what was held before it.
const direct = 8 << 10

var held = sync.Pool{New: func() any { return new([]byte) }}

// hold begins to gather, until flush.
func (c *cork) hold() {
	c.mu.Lock()
	c.in = true
	c.mu.Unlock()
}

// flush writes what was gathered.
func (c *cork) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = false
	return c.writeHeld(nil)
}

// writeHeld writes what is held, and then p, in one system call where the connection can.
func (c *cork) writeHeld(p []byte) error {
	if c.held == nil {
		if len(p) == 0 {
			return nil
		}
		_, err := c.Conn.Write(p)
		return err
	}
	h := c.held
	c.held = nil
	var err error
	if len(p) == 0 {
		_, err = c.Conn.Write(*h)
	} else {
		b := net.Buffers{*h, p}
		_, err = b.WriteTo(c.Conn)
	}
	if cap(*h) <= keepBuffer {
		*h = (*h)[:0]
		held.Put(h)
	}
	return err
}

// Write is called by the WebSocket library, for messages and for control frames of its own.
func (c *cork) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.in && len(p) < direct {
		if c.held == nil {
			c.held = held.Get().(*[]byte)
		}
		*c.held = append(*c.held, p...)
		return len(p), nil
	}
	if err := c.writeHeld(p); err != nil {
		return 0, err
	}
	return len(p), nil
}
