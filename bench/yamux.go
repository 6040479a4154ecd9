package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/rpc"

	"github.com/hashicorp/yamux"
)

// yamuxSystem is net/rpc on one stream of a hashicorp/yamux session, and a further
// stream for each transfer: how much of a call layer is done by hand. The first byte
// of a stream says what it is for. Its defaults otherwise, without the log.
var yamuxSystem = system{
	name: "yamux + net/rpc", also: true,
	serve: func() (string, func(), error) {
		server := rpc.NewServer()
		if err := server.RegisterName("Bench", netRPCService{}); err != nil {
			return "", nil, err
		}
		return listen(func(c net.Conn) {
			session, err := yamux.Server(c, yamuxConfig())
			if err != nil {
				return
			}
			for {
				s, err := session.Accept()
				if err != nil {
					return
				}
				go serveYamux(server, s)
			}
		})
	},
	dial: func(ctx context.Context, addr string) (*client, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		session, err := yamux.Client(c, yamuxConfig())
		if err != nil {
			return nil, err
		}
		open := func(kind byte) (net.Conn, error) {
			s, err := session.Open()
			if err == nil {
				_, err = s.Write([]byte{kind})
			}
			return s, err
		}
		calls, err := open(rawEcho)
		if err != nil {
			return nil, err
		}
		cl := netRPCClient(rpc.NewClient(calls))
		cl.down = func(_ context.Context, size int64) error {
			s, err := open(rawDown)
			if err != nil {
				return err
			}
			defer s.Close()
			if _, err := s.Write(rawMessage(rawDown, size)); err != nil {
				return err
			}
			got, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{s}, make([]byte, chunkSize))
			if err != nil {
				return err
			}
			return arrived(got, size)
		}
		cl.up = func(_ context.Context, size int64) error {
			s, err := open(rawUp)
			if err != nil {
				return err
			}
			defer s.Close()
			if _, err := s.Write(rawMessage(rawUp, size)); err != nil {
				return err
			}
			err = chunks(size, func(p []byte) error { _, err := s.Write(p); return err })
			if err != nil {
				return err
			}
			count := rawMessage(rawUp, 0)
			if err := readFull(s, count); err != nil {
				return err
			}
			return arrived(rawSize(count), size)
		}
		cl.close = func() { _ = session.Close() }
		return cl, nil
	},
}

func serveYamux(server *rpc.Server, s net.Conn) {
	defer s.Close()
	r := bufio.NewReaderSize(s, 16)
	kind, err := r.ReadByte()
	if err != nil {
		return
	}
	if kind == rawEcho {
		server.ServeConn(struct {
			io.Reader
			io.WriteCloser
		}{r, s})
		return
	}
	head := rawMessage(kind, 0)
	if readFull(r, head) != nil {
		return
	}
	if kind == rawDown {
		_ = chunks(rawSize(head), func(p []byte) error { _, err := s.Write(p); return err })
		return
	}
	got, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{io.LimitReader(r, rawSize(head))}, make([]byte, chunkSize))
	if err == nil {
		_, _ = s.Write(rawMessage(rawUp, got))
	}
}

func yamuxConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.LogOutput = io.Discard
	return c
}
