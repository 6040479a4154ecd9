package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// The raw systems have no call layer: one exchange at a time on a connection,
// in messages whose first byte says what is wanted. They are the floor (TCP) and
// the carrier (WebSocket) that call layers are compared with.
const (
	rawEcho = 'e' // the same message comes back
	rawDown = 'd' // 8 bytes of size follow; messages of size bytes in all come back
	rawUp   = 'u' // 8 bytes of size follow; messages of size bytes in all go, then one with the count comes back
)

// rawConn carries whole messages. What read returns is valid until the next read;
// write neither keeps nor changes p.
type rawConn interface {
	read() ([]byte, error)
	write(p []byte) error
	Close() error
}

// serveRaw answers on c until it ends.
func serveRaw(c rawConn) error {
	defer func() { _ = c.Close() }()
	for {
		m, err := c.read()
		if err != nil {
			return err
		}
		if len(m) == 0 {
			return errors.New("bench: an empty message")
		}
		switch m[0] {
		case rawEcho:
			err = c.write(m)
		case rawDown:
			err = chunks(rawSize(m), c.write)
		case rawUp:
			want, got := rawSize(m), int64(0)
			for got < want && err == nil {
				m, err = c.read()
				got += int64(len(m))
			}
			if err == nil {
				err = c.write(rawMessage(rawUp, got))
			}
		default:
			err = fmt.Errorf("bench: unknown message %q", m[0])
		}
		if err != nil {
			return err
		}
	}
}

// rawClient is the other end of serveRaw.
func rawClient(c rawConn) *client {
	var call []byte
	return &client{
		bytes: func(_ context.Context, p []byte) ([]byte, error) {
			call = append(append(call[:0], rawEcho), p...)
			if err := c.write(call); err != nil {
				return nil, err
			}
			m, err := c.read()
			if err != nil {
				return nil, err
			}
			return m[1:], nil
		},
		down: func(_ context.Context, size int64) error {
			if err := c.write(rawMessage(rawDown, size)); err != nil {
				return err
			}
			var got int64
			for got < size {
				m, err := c.read()
				if err != nil {
					return err
				}
				got += int64(len(m))
			}
			return arrived(got, size)
		},
		up: func(_ context.Context, size int64) error {
			if err := c.write(rawMessage(rawUp, size)); err != nil {
				return err
			}
			if err := chunks(size, c.write); err != nil {
				return err
			}
			m, err := c.read()
			if err != nil {
				return err
			}
			return arrived(rawSize(m), size)
		},
		close: func() { _ = c.Close() },
	}
}

func rawMessage(op byte, size int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{op}, uint64(size))
}

func rawSize(m []byte) int64 {
	if len(m) != 9 {
		return -1
	}
	return int64(binary.BigEndian.Uint64(m[1:]))
}

// loopback listens where only this machine can connect.
func loopback() (net.Listener, error) {
	return new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
}

// listen serves each connection to a loopback port by serve, in a goroutine.
func listen(serve func(net.Conn)) (addr string, stop func(), err error) {
	l, err := loopback()
	if err != nil {
		return "", nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String(), func() { _ = l.Close() }, nil
}

// grow returns p with length n, keeping its memory where that suffices.
func grow(p []byte, n int) []byte {
	if cap(p) < n {
		return make([]byte, n)
	}
	return p[:n]
}

// readFull is io.ReadFull without the count.
func readFull(r io.Reader, p []byte) error {
	_, err := io.ReadFull(r, p)
	return err
}
