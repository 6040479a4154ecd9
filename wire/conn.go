package wire

import (
	"errors"
	"time"
)

// ErrBroken is what an error of ReadMessage matches if the Conn ended because of what the other
// side sent, not because it left or the network failed. Whoever reads puts it in the log.
var ErrBroken = errors.New("the other side broke the protocol")

// A Conn carries whole messages, in order, between two ends.
//
// One goroutine may read and one may write at the same time; Close may be called by anyone
// at any time. A Conn has no deadlines: whoever wants to give up calls Close, which ends a
// blocked ReadMessage and WriteMessage.
type Conn interface {
	// ReadMessage returns the next message. The slice is valid until the next ReadMessage, also
	// when somebody closes the Conn meanwhile. After an orderly end of the other side it returns io.EOF; any other error
	// says what broke. An error is final.
	ReadMessage() ([]byte, error)

	// WriteMessage sends p as one message, without changing it, and returns when the Conn no
	// longer needs p. An error is final: how much of the message arrived is not known.
	WriteMessage(p []byte) error

	// Close ends the connection in both directions and unblocks ReadMessage and
	// WriteMessage. Later calls do nothing and return nil.
	Close() error
}

// A Resumer is a Conn that can go on with another connection beneath when the one it has
// breaks.
type Resumer interface {
	Conn

	// Renew gives up the connection beneath if it is at least that old, because of why, and
	// tells whether the Conn goes on: with the connection it has, or by waiting for another
	// one. If not, nothing was done and the Conn is of no more use. It does not wait, and may
	// be called by anyone at any time.
	Renew(age time.Duration, why error) bool
}

// An OwnedWriter is a Conn that keeps what it sends for a while, and so would have to copy
// it: a large message is better given away.
type OwnedWriter interface {
	Conn

	// WriteOwned is WriteMessage, except that p belongs to the Conn until it calls free with
	// it: once, sooner or later, after an error too, on any goroutine. free must be quick and
	// must not use the Conn.
	WriteOwned(p []byte, free func([]byte)) error
}
