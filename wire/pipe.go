package wire

import (
	"errors"
	"io"
	"sync"
)

// ErrClosed is returned by a Conn of this module that was closed at this end.
var ErrClosed = errors.New("wire: connection closed at this end")

// Pipe returns the two ends of an in-memory connection. It holds no messages: WriteMessage
// waits until the other end has read its message, or was closed. That is the hardest case for
// a protocol: nothing can be written while nobody reads. It works inside a testing/synctest
// bubble.
func Pipe() (Conn, Conn) {
	ab, ba := make(chan []byte), make(chan []byte)
	a := &pipeEnd{in: ba, out: ab, closed: make(chan struct{})}
	b := &pipeEnd{in: ab, out: ba, closed: make(chan struct{})}
	a.other, b.other = b, a
	return a, b
}

type pipeEnd struct {
	in     <-chan []byte
	out    chan<- []byte
	other  *pipeEnd
	once   sync.Once
	closed chan struct{}
	buf    []byte // the reader's own copy of the last message
}

func (e *pipeEnd) ReadMessage() ([]byte, error) {
	select {
	case <-e.closed:
		return nil, ErrClosed
	default:
	}
	select {
	case p := <-e.in:
		e.buf = append(e.buf[:0], p...)
		// The second hand-over tells the writer that its slice is free again.
		select {
		case <-e.in:
			return e.buf, nil
		case <-e.closed:
			return nil, ErrClosed
		case <-e.other.closed: // amid its own write; the message is whole
			return e.buf, nil
		}
	case <-e.closed:
		return nil, ErrClosed
	case <-e.other.closed:
		return nil, io.EOF
	}
}

func (e *pipeEnd) WriteMessage(p []byte) error {
	select {
	case <-e.closed:
		return ErrClosed
	default:
	}
	for _, m := range [2][]byte{p, nil} {
		select {
		case e.out <- m:
		case <-e.closed:
			return ErrClosed
		case <-e.other.closed:
			return io.ErrClosedPipe
		}
	}
	return nil
}

func (e *pipeEnd) Close() error {
	e.once.Do(func() { close(e.closed) })
	return nil
}
