package ws

import (
	"io"
	"net"
)

// A source is where a receiver reads from.
type source interface {
	// first waits until something has come and reads it into the beginning of a buffer that it
	// borrows when there is something to read, at least of want bytes: who waits holds none.
	// held is a buffer that may be used or given back; nil if there is none.
	first(held *[]byte, want int) (b *[]byte, n int, err error)
	io.Reader
}

// plainSource waits with a small buffer of its own: for TLS, and for systems and connections
// that cannot tell whether there is something to read.
type plainSource struct {
	io.Reader
	small [512]byte
}

func (s *plainSource) first(held *[]byte, want int) (*[]byte, int, error) {
	if held != nil {
		give(held)
	}
	n, err := s.Read(s.small[:])
	if n == 0 {
		return nil, 0, err
	}
	b := lend(want)
	return b, copy(*b, s.small[:n]), nil
}

// isSocket tells whether nobody stands between c and the operating system: only of these two
// it is known.
func isSocket(c net.Conn) bool {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}
