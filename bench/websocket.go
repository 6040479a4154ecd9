package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
)

// coderWebSocket is github.com/coder/websocket at both ends.
var coderWebSocket = system{
	name:       "coder/websocket",
	oneAtATime: true,
	serve: func() (string, func(), error) {
		l, err := loopback()
		if err != nil {
			return "", nil, err
		}
		server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			go func() { _ = serveRaw(newCoderConn(c)) }() // the handler returns: 6 kB less a connection
		})}
		go func() { _ = server.Serve(l) }() // it ends with the server
		return "ws://" + l.Addr().String(), func() { server.Close() }, nil
	},
	dial: func(ctx context.Context, addr string) (*client, error) {
		c, _, err := websocket.Dial(ctx, addr, nil)
		if err != nil {
			return nil, err
		}
		return rawClient(newCoderConn(c)), nil
	},
}

type coderConn struct {
	c  *websocket.Conn
	in []byte
}

func newCoderConn(c *websocket.Conn) *coderConn {
	c.SetReadLimit(1 << 20)
	return &coderConn{c: c}
}

func (c *coderConn) read() ([]byte, error) {
	_, r, err := c.c.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	c.in = c.in[:0]
	for {
		if len(c.in) == cap(c.in) {
			c.in = append(c.in, make([]byte, max(512, len(c.in)))...)[:len(c.in)]
		}
		n, err := r.Read(c.in[len(c.in):cap(c.in)])
		c.in = c.in[:len(c.in)+n]
		if err == io.EOF {
			return c.in, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (c *coderConn) write(p []byte) error {
	return c.c.Write(context.Background(), websocket.MessageBinary, p)
}

func (c *coderConn) Close() error { return c.c.CloseNow() }

// gobwasWebSocket is github.com/gobwas/ws: handshake, header and mask by the
// library, one buffer and one write a message. It is the fastest raw WebSocket
// here in both directions.
var gobwasWebSocket = system{
	name:       "gobwas/ws",
	oneAtATime: true,
	serve: func() (string, func(), error) {
		return listen(func(c net.Conn) {
			if _, err := ws.Upgrade(c); err != nil {
				c.Close()
				return
			}
			_ = serveRaw(newGobwasConn(c, c, false))
		})
	},
	dial: func(ctx context.Context, addr string) (*client, error) {
		c, buffered, _, err := ws.Dial(ctx, "ws://"+addr)
		if err != nil {
			return nil, err
		}
		if buffered != nil {
			return nil, errors.New("bench: the server spoke before it was asked")
		}
		return rawClient(newGobwasConn(c, c, true)), nil
	},
}

type gobwasConn struct {
	net.Conn
	r       *bufio.Reader
	op      ws.OpCode // of all messages
	masks   bool      // a client masks what it writes
	in, out []byte
}

func newGobwasConn(c net.Conn, r io.Reader, masks bool) *gobwasConn {
	return &gobwasConn{Conn: c, r: bufio.NewReaderSize(r, 512), op: ws.OpBinary, masks: masks}
}

func (c *gobwasConn) read() ([]byte, error) {
	h, err := ws.ReadHeader(c.r)
	if err != nil {
		return nil, err
	}
	if h.OpCode != c.op || !h.Fin || h.Length > 1<<20 {
		return nil, errors.New("bench: not a whole message of one kind")
	}
	c.in = grow(c.in, int(h.Length))
	if err := readFull(c.r, c.in); err != nil {
		return nil, err
	}
	if h.Masked {
		ws.Cipher(c.in, h.Mask, 0)
	}
	return c.in, nil
}

func (c *gobwasConn) write(p []byte) error {
	h := ws.Header{Fin: true, OpCode: c.op, Length: int64(len(p))}
	if c.masks {
		h.Masked, h.Mask = true, ws.NewMask()
	}
	b := appendTo{c.out[:0]}
	if err := ws.WriteHeader(&b, h); err != nil {
		return err
	}
	c.out = b.p
	if !c.masks {
		return writeBoth(c.Conn, c.out, p)
	}
	head := len(c.out)
	c.out = append(c.out, p...)
	ws.Cipher(c.out[head:], h.Mask, 0)
	_, err := c.Conn.Write(c.out)
	return err
}

// appendTo is an io.Writer that appends.
type appendTo struct{ p []byte }

func (a *appendTo) Write(p []byte) (int, error) {
	a.p = append(a.p, p...)
	return len(p), nil
}
