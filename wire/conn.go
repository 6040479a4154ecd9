package wire

// A Conn carries whole messages, in order, between two ends.
//
// One goroutine may read and one may write at the same time; Close may be called by anyone
// at any time. A Conn has no deadlines: whoever wants to give up calls Close, which ends a
// blocked ReadMessage and WriteMessage.
type Conn interface {
	// ReadMessage returns the next message. The slice is valid until the next ReadMessage
	// or Close. After an orderly end of the other side it returns io.EOF; any other error
	// says what broke. An error is final.
	ReadMessage() ([]byte, error)

	// WriteMessage sends p as one message and returns when the Conn no longer needs p. An
	// error is final: how much of the message arrived is not known.
	WriteMessage(p []byte) error

	// Close ends the connection in both directions and unblocks ReadMessage and
	// WriteMessage. Later calls do nothing and return nil.
	Close() error
}
