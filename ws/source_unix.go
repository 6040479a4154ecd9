//go:build unix

package ws

import (
	"io"
	"net"
	"os"
	"syscall"
)

// socketSource waits for a socket without a buffer: it borrows one for each attempt to read.
type socketSource struct {
	net.Conn
	raw     syscall.RawConn
	attempt func(fd uintptr) bool

	// Of the attempt that goes on:
	want int
	b    *[]byte
	n    int
	err  error
}

// newSource makes a source of a connection and what was read ahead of it by others: r reads
// all there is, or c alone if r is nil.
func newSource(c net.Conn, r io.Reader) source {
	if sc, ok := c.(syscall.Conn); ok && r == nil && isSocket(c) {
		if raw, err := sc.SyscallConn(); err == nil {
			s := &socketSource{Conn: c, raw: raw}
			s.attempt = s.try // made once, not at each read
			return s
		}
	}
	if r == nil {
		r = c
	}
	return &plainSource{Reader: r}
}

// try reads what has come, and answers false if that is nothing: it is called again then.
func (s *socketSource) try(fd uintptr) bool {
	if s.b == nil {
		s.b = lend(s.want)
	}
	for {
		s.n, s.err = syscall.Read(int(fd), (*s.b)[:min(s.want, len(*s.b))])
		switch s.err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			s.release()
			return false
		}
		return true
	}
}

func (s *socketSource) release() {
	if s.b != nil {
		give(s.b)
		s.b = nil
	}
}

func (s *socketSource) first(held *[]byte, want int) (*[]byte, int, error) {
	s.b, s.want = held, want
	if held != nil && len(*held) < want {
		s.release()
	}
	err := s.raw.Read(s.attempt)
	b := s.b
	switch {
	case err != nil:
	case s.err != nil:
		err = &net.OpError{Op: "read", Net: "tcp", Addr: s.RemoteAddr(), Err: os.NewSyscallError("read", s.err)}
	case s.n == 0:
		err = io.EOF
	default:
		s.b = nil
		return b, s.n, nil
	}
	s.release()
	return nil, 0, err
}
