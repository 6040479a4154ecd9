package session

import (
	"errors"
	"fmt"
	"io"

	"github.com/chumsync/chum/wire"
)

// WriteMessage is that of wire.Conn. It returns when p is written or kept to be written.
func (c *conn) WriteMessage(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.room(len(p) + maxAck); err != nil {
		return err
	}
	c.hold(c.kept.copy(p))
	c.send()
	return nil
}

// WriteOwned is that of wire.OwnedWriter.
func (c *conn) WriteOwned(p []byte, free func([]byte)) error {
	if isControl(p) { // it needs a head
		defer free(p)
		return c.WriteMessage(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.room(cap(p)); err != nil {
		free(p)
		return err
	}
	c.hold(c.kept.own(p, free))
	c.send()
	return nil
}

// room waits until n bytes more may be kept.
func (c *conn) room(n int) error {
	for !c.over && !c.kept.empty() && (c.kept.bytes+n > c.opt.Buffer ||
		c.kept.bytes+n > leastBuffer && c.server != nil && c.server.full(n)) {
		c.turn.Wait()
	}
	if c.over {
		return fmt.Errorf("session: cannot write: %w", c.ended())
	}
	return nil
}

// ended is why nothing can be written any more.
func (c *conn) ended() error {
	if c.err == io.EOF {
		return errors.New("the other side has closed the session")
	}
	return c.err
}

// send writes what is there, unless somebody does already.
func (c *conn) send() {
	if c.link != nil && !c.writing {
		c.writing = true
		c.write()
	}
}

// kick has what is there written by another goroutine.
func (c *conn) kick() {
	if c.link != nil && !c.writing {
		c.writing = true
		go func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.write()
		}()
	}
}

// write writes until nothing is left. Who calls it has set writing; the lock is let go of while
// it writes.
func (c *conn) write() {
	defer func() {
		c.writing = false
		if c.over {
			c.free(c.kept.acknowledge(c.kept.next() - 1))
		}
	}()
	for c.link != nil {
		l := c.link
		p, last := c.pick(l)
		if p == nil {
			return
		}
		c.mu.Unlock()
		err := l.conn.WriteMessage(p)
		if last {
			l.conn.Close()
		}
		c.mu.Lock()
		c.free(c.kept.written())
		switch {
		case last:
			c.link = nil
			c.timer.Stop()
		case err != nil && c.over:
			c.drop()
		case err != nil:
			c.cut(l, err)
		case c.grace < 0 && c.link == l: // nothing will be sent again
			c.free(c.kept.acknowledge(l.next - 1))
		}
	}
}

// pick gives what is to be written next, nil if there is nothing, and whether it is the last.
func (c *conn) pick(l *link) (p []byte, last bool) {
	ack := c.received > c.reported && c.grace >= 0
	switch {
	case l.first != nil:
		p, l.first = l.first, nil
		return p, false
	case l.next < c.kept.next() && (c.kept.at(l.next).room != nil || !ack || !c.ackDue):
		m := c.kept.at(l.next)
		c.kept.writing = l.next
		l.next++
		if room := m.room != nil && len(m.room) <= wire.MaxMessage; !isControl(m.data) && (!ack || !room) {
			return m.data, false
		}
		head := appendAck(make([]byte, 0, maxAck), c.tell()) // stays on the stack
		p = m.room[maxAck-len(head):]
		copy(p, head)
		return p, false
	case ack && c.ackDue:
		return appendAck(nil, c.tell()), false
	case c.bye:
		return []byte{0, byte(opClose)}, true
	}
	return nil, false
}

// tell gives the count of what was received, which is then no longer owed.
func (c *conn) tell() uint64 {
	c.reported, c.unacked, c.ackDue = c.received, 0, false
	return c.received
}
