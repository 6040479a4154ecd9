package ws

import (
	"crypto/rand"
	"encoding/binary"
	"net"
)

const (
	// joinBelow is the length below which a payload is copied behind its head and written by
	// write(2); above, head and payload go out by writev(2) from where they are.
	joinBelow = 8 << 10
	// pieceLength is how much of a message is copied, and written, at a time: it stays in the
	// processor's cache, and a usual message is one piece.
	pieceLength = 256 << 10
)

// A sender writes frames: one message, one system call. It does not lock.
type sender struct {
	c      net.Conn
	client bool // masks
	joins  bool // head and payload are written from one place: masked, or as the connection cannot otherwise

	// For writev, so that nothing is allocated.
	head  [maxHead]byte
	parts [2][]byte
	both  net.Buffers
}

func newSender(c net.Conn, client bool) sender {
	return sender{c: c, client: client, joins: client || !isSocket(c)}
}

// frame writes an unfragmented frame. It does not change p.
func (s *sender) frame(op opcode, p []byte) error {
	if len(p) < joinBelow || s.joins {
		return s.joined(op, p)
	}
	s.parts = [2][]byte{appendHead(s.head[:0], op, len(p), false, 0), p}
	s.both = s.parts[:]
	_, err := s.both.WriteTo(s.c)
	s.parts, s.both = [2][]byte{}, nil
	return err
}

// joined copies a frame behind its head, masked or not, and writes it, by pieces if it is long.
func (s *sender) joined(op opcode, p []byte) error {
	b := lend(maxHead + min(len(p), pieceLength-maxHead))
	defer give(b)
	key := uint32(0)
	if s.client {
		key = newMask()
	}
	at := len(appendHead((*b)[:0], op, len(p), s.client, key))
	for {
		n := min(len(p), pieceLength-at)
		if s.client {
			key = mask((*b)[at:at+n], p[:n], key)
		} else {
			copy((*b)[at:], p[:n])
		}
		if _, err := s.c.Write((*b)[:at+n]); err != nil {
			return err
		}
		if p = p[n:]; len(p) == 0 {
			return nil
		}
		at = 0
	}
}

// newMask is a key that cannot be foreseen, as RFC 6455, 5.3 wants.
func newMask() uint32 {
	var k [4]byte
	_, _ = rand.Read(k[:]) // it never fails
	return binary.LittleEndian.Uint32(k[:])
}
