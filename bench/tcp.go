package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"net"
)

// rawTCP is a TCP connection with a length before each message: the floor.
var rawTCP = system{
	name:       "raw TCP",
	oneAtATime: true,
	serve: func() (string, func(), error) {
		return listen(func(c net.Conn) { _ = serveRaw(newTCPConn(c)) })
	},
	dial: func(ctx context.Context, addr string) (*client, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return rawClient(newTCPConn(c)), nil
	},
}

type tcpConn struct {
	net.Conn
	r       *bufio.Reader // small: what passes it goes straight to in
	in, out []byte
}

func newTCPConn(c net.Conn) *tcpConn { return &tcpConn{Conn: c, r: bufio.NewReaderSize(c, 512)} }

func (c *tcpConn) read() ([]byte, error) {
	var head [4]byte
	for i := range head { // an array handed to an io.Reader would be allocated
		b, err := c.r.ReadByte()
		if err != nil {
			return nil, err
		}
		head[i] = b
	}
	c.in = grow(c.in, int(binary.BigEndian.Uint32(head[:])))
	return c.in, readFull(c.r, c.in)
}

func (c *tcpConn) write(p []byte) error {
	c.out = binary.BigEndian.AppendUint32(c.out[:0], uint32(len(p)))
	return writeBoth(c.Conn, c.out, p)
}

// writeBoth writes head and p at once. What is short is copied behind head,
// where that has room; that costs less than a second piece.
func writeBoth(c net.Conn, head, p []byte) (err error) {
	if len(p) <= 4<<10 {
		_, err = c.Write(append(head, p...))
	} else {
		_, err = (&net.Buffers{head, p}).WriteTo(c)
	}
	return err
}
