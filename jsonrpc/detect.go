package jsonrpc

import (
	"sync"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

// Detect returns a Conn for a peer that must not speak first: the other side's first message
// decides. If it is text, the other side speaks JSON-RPC and the Conn translates as that of [New]
// does; if it is binary, the Conn is conn itself. Until it comes, WriteMessage waits.
func Detect(conn TextConn, services *rpc.Mux, options *rpc.Options) wire.Conn {
	d := &detector{conn: conn, decided: make(chan struct{})}
	d.translate = func(first []byte) wire.Conn {
		t := newTranslator(conn, services, options)
		go t.read(append([]byte{}, first...))
		return t
	}
	return d
}

type detector struct {
	conn      TextConn
	translate func(first []byte) wire.Conn

	once    sync.Once     // the first ReadMessage decides
	decided chan struct{} // closed then, or when nothing will come
	is      wire.Conn     // what it came to; valid then

	mu     sync.Mutex
	closed bool
}

// ReadMessage is called by one goroutine at a time, so only WriteMessage and Close may meet the
// decision.
func (d *detector) ReadMessage() ([]byte, error) {
	var p []byte
	var err error
	first := false
	d.once.Do(func() { first, p, err = d.decide() })
	if first {
		return p, err
	}
	return d.is.ReadMessage()
}

// decide reads the first message. It reports whether that, or the error, is for the peer as it is.
func (d *detector) decide() (first bool, p []byte, err error) {
	text, p, err := d.conn.ReadAny()
	d.mu.Lock()
	defer d.mu.Unlock()
	defer close(d.decided)
	d.is = d.conn
	if text && err == nil && !d.closed {
		d.is = d.translate(p)
		return false, nil, nil
	}
	if d.closed && err == nil {
		err = wire.ErrClosed
	}
	return true, p, err
}

func (d *detector) WriteMessage(p []byte) error {
	<-d.decided
	return d.is.WriteMessage(p)
}

// Close ends a decision that is still to come, and WriteMessage with it, since it ends ReadMessage.
func (d *detector) Close() error {
	d.mu.Lock()
	d.closed = true
	is := d.is
	d.mu.Unlock()
	if is == nil {
		return d.conn.Close()
	}
	return is.Close()
}
