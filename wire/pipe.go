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
	a := &pipeEnd{in: ba, out: ab, taken: make(chan struct{}, 1), closed: make(chan struct{})}
	b := &pipeEnd{in: ab, out: ba, taken: make(chan struct{}, 1), closed: make(chan struct{})}
	a.other, b.other = b, a
	return a, b
}

type pipeEnd struct {
	in     <-chan []byte
	out    chan<- []byte
	taken  chan struct{} // the reader of out has copied; holds one, so that it never waits
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
		e.other.taken <- struct{}{}
		return e.buf, nil
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
	select {
	case e.out <- p:
		<-e.taken // also if an end is closed now: p is not free before
		return nil
	case <-e.closed:
		return ErrClosed
	case <-e.other.closed:
		return io.ErrClosedPipe
	}
}

func (e *pipeEnd) Close() error {
	e.once.Do(func() { close(e.closed) })
	return nil
}
