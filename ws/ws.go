package ws

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/chumsync/chum/wire"
)

// Subprotocol is the WebSocket subprotocol that both sides name in the handshake.
const Subprotocol = "chum.1"

// Options are what a connection may be told. The zero value, and nil, mean the defaults.
type Options struct {
	// MaxMessage is the longest message that is read, in bytes. 0 means wire.MaxMessage, which
	// is what a peer may expect; a longer one ends the connection.
	MaxMessage int
	// Header goes with the request of Dial: tokens, cookies.
	Header http.Header
	// Transport is what Dial connects with: proxies, TLS settings. nil means the settings of
	// http.DefaultTransport. Its dial functions are wrapped.
	Transport *http.Transport
	// Origins are the hosts, as patterns of path.Match ("*.example.com"), of web pages that may
	// connect to Accept besides those of the same host. Programs that send no Origin may always.
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

// Dial connects to a WebSocket server at a URL with the scheme ws, wss, http or https. ctx
// bounds the handshake and has no effect later.
func Dial(ctx context.Context, rawURL string, options *Options) (wire.Conn, error) {
	o := options.orDefault()
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("ws: %w", err)
	}
	switch {
	case u.Scheme != "ws" && u.Scheme != "wss" && u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("ws: %q: the URL must begin with ws:// or wss://", rawURL)
	case u.Host == "":
		return nil, fmt.Errorf("ws: %q: the URL names no host", rawURL)
	}
	transport := o.Transport
	if transport == nil {
		transport, _ = http.DefaultTransport.(*http.Transport)
	}
	if transport == nil { // somebody replaced the default
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	transport = transport.Clone()
	defer transport.CloseIdleConnections() // nobody else has this one; what a failed handshake leaves is idle
	// The upgrade exists in HTTP/1.1 only.
	transport.ForceAttemptHTTP2 = false
	var line *cork
	corked := func(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			line = &cork{Conn: c}
			return line, nil
		}
	}
	if transport.DialContext == nil {
		transport.DialContext = (&net.Dialer{}).DialContext
	}
	transport.DialContext = corked(transport.DialContext)
	if transport.DialTLSContext != nil {
		transport.DialTLSContext = corked(transport.DialTLSContext)
	}
	c, answer, err := websocket.Dial(ctx, rawURL, &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: transport},
		HTTPHeader:   o.Header,
		Subprotocols: []string{Subprotocol},
	})
	if err != nil {
		return nil, dialError(rawURL, answer, err)
	}
	return newConn(c, line, o.MaxMessage), nil
}

// dialError says what went wrong in words that name the likely cause.
func dialError(url string, answer *http.Response, err error) error {
	if answer == nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op
		}
		return fmt.Errorf("ws: cannot connect to %s: %w", url, err)
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
	answer.Body.Close()
	return fmt.Errorf("ws: %s does not speak WebSocket there: it answered %s %s", url, answer.Status, strings.TrimSpace(string(text)))
}

// Accept takes over an HTTP request that asks for a WebSocket. On an error it has answered the
// request already. The HTTP handler may return, and should: that frees the server's buffers.
func Accept(w http.ResponseWriter, r *http.Request, options *Options) (wire.Conn, error) {
	o := options.orDefault()
	h := &corkingHijacker{ResponseWriter: w}
	c, err := websocket.Accept(h, r, &websocket.AcceptOptions{
		OriginPatterns: o.Origins,
		Subprotocols:   []string{Subprotocol},
	})
	if err != nil {
		return nil, fmt.Errorf("ws: %w", err)
	}
	return newConn(c, h.line, o.MaxMessage), nil
}

// corkingHijacker puts a cork under the connection that the WebSocket library takes over.
type corkingHijacker struct {
	http.ResponseWriter
	line *cork
}

func (h *corkingHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.line = &cork{Conn: c}
	// The cork gathers what makes a message, so no other buffer is needed: a head fits in the
	// smallest that bufio makes, and a long payload goes past it uncopied.
	return h.line, bufio.NewReadWriter(rw.Reader, bufio.NewWriterSize(h.line, 16)), nil
}

// conn is a wire.Conn over a WebSocket.
type conn struct {
	c     *websocket.Conn
	line  *cork
	limit int
	buf   *[]byte // holds the last message; from the pool
	once  sync.Once
}

func newConn(c *websocket.Conn, line *cork, limit int) *conn {
	c.SetReadLimit(int64(limit))
	return &conn{c: c, line: line, limit: limit}
}

// buffers hold messages while they are read, so that an idle connection holds none.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// keepBuffer is the largest buffer that is kept for the next message: larger than the messages
// that a busy peer writes.
const keepBuffer = 512 << 10

func (c *conn) release() {
	if c.buf != nil {
		if cap(*c.buf) <= keepBuffer {
			buffers.Put(c.buf)
		}
		c.buf = nil
	}
}

func (c *conn) ReadMessage() ([]byte, error) {
	c.release()
	kind, r, err := c.c.Reader(context.Background())
	if err != nil {
		return nil, c.readError(err)
	}
	if kind != websocket.MessageBinary {
		_ = c.c.Close(websocket.StatusUnsupportedData, "text messages are not understood")
		return nil, errors.New("ws: a text message came; this side takes binary messages only")
	}
	c.buf = buffers.Get().(*[]byte)
	b := (*c.buf)[:0]
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			*c.buf = b
			return b, nil
		}
		if err != nil {
			*c.buf = b
			return nil, c.readError(err)
		}
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(4*cap(b), max(c.limit, cap(b))+512)), b...)
		}
	}
}

// readError says why nothing more can be read. An orderly end is io.EOF.
func (c *conn) readError(err error) error {
	var closed websocket.CloseError
	switch {
	case errors.Is(err, websocket.ErrMessageTooBig):
		return fmt.Errorf("ws: a message of more than %d bytes came: Options.MaxMessage allows no longer ones", c.limit)
	case errors.As(err, &closed):
		switch closed.Code {
		case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
			return io.EOF
		}
		return fmt.Errorf("ws: the other side closed the WebSocket: code %d %s", closed.Code, closed.Reason)
	case errors.Is(err, net.ErrClosed):
		return wire.ErrClosed
	case errors.Is(err, io.EOF):
		return fmt.Errorf("ws: the network connection ended: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("ws: %w", err)
}

func (c *conn) WriteMessage(p []byte) error {
	c.line.hold()
	err := c.c.Write(context.Background(), websocket.MessageBinary, p)
	if flushed := c.line.flush(); err == nil {
		err = flushed
	}
	if err != nil {
		return fmt.Errorf("ws: %w", err)
	}
	return nil
}

// closeTime is how long the closing handshake may take before the network connection is
// simply closed.
const closeTime = time.Second

// Close says goodbye in the WebSocket's way, without waiting for it; a read or a write that is
// under way ends within a second.
func (c *conn) Close() error {
	c.once.Do(func() {
		timer := time.AfterFunc(closeTime, func() { c.line.Conn.Close() })
		go func() {
			_ = c.c.Close(websocket.StatusNormalClosure, "") // it fails if the other side is gone: fine
			timer.Stop()
			c.line.Conn.Close()
		}()
	})
	return nil
}
