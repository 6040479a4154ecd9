package ws

import (
	"net/http"

	"github.com/chumsync/chum/wire"
)

// Subprotocol is the WebSocket subprotocol that both sides name in the handshake.
const Subprotocol = "chum.1"

// A Conn is a WebSocket, as Dial and Accept return it. Who may call what at the same time is
// as a wire.Conn says: ReadAny counts as ReadMessage, WriteText as WriteMessage.
//
// A write that failed ends the writing only: what the other side sent before is still read.
type Conn interface {
	wire.Conn

	// ReadAny is ReadMessage for both kinds of messages, where ReadMessage ends the connection
	// at a text message (close code 1003). A text that it returns is valid UTF-8 (RFC 6455, 8.1).
	ReadAny() (text bool, p []byte, err error)

	// WriteText sends p as one text message. If p is not valid UTF-8 the error says so and
	// nothing was sent; any other error is as that of WriteMessage.
	WriteText(p []byte) error

	// Ping sends a ping that holds p, at most 125 bytes (RFC 6455, 5.5.2). It counts as WriteMessage.
	// The other side answers by itself as soon as it reads it; of several pings it may answer the
	// last only.
	Ping(p []byte) error

	// OnPong has f called with what each pong holds, also one that answers nothing, by whoever
	// reads the next message meanwhile. f must be quick, must not use the Conn, and must not keep
	// its argument. OnPong may be called by anyone at any time; nil ends it.
	OnPong(f func(p []byte))

	// Subprotocol returns the subprotocol that both sides have named: the constant, or "" if
	// the other side did not name it.
	Subprotocol() string
}

// Options are what a connection may be told. The zero value, and nil, mean the defaults.
type Options struct {
	// MaxMessage is the longest message that is read, in bytes. 0 means wire.MaxMessage, which
	// is what a peer may expect; a longer one ends the connection.
	MaxMessage int
	// Header goes with the request of Dial: tokens, cookies.
	Header http.Header
	// Transport is what Dial connects with: proxies, TLS settings. nil means the settings of
	// http.DefaultTransport. It is not changed.
	Transport *http.Transport
	// Origins are the hosts, as patterns of path.Match ("*.example.com"), of web pages that may
	// connect to Accept besides those of the same host; a pattern with a scheme
	// ("https://*.example.com") asks for the scheme, too. Programs that send no Origin may always.
	Origins []string
}

func (o *Options) orDefault() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.MaxMessage == 0 {
		d.MaxMessage = wire.MaxMessage
	}
	return d
}
