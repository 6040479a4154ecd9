//go:build unix

package ws_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"

	coder "github.com/coder/websocket"

	"github.com/chumsync/chum/wire"
	"github.com/chumsync/chum/ws"
)

// What a message costs, one way: our framing beside github.com/coder/websocket as we used it
// before (decision 4), and beside a length and the bytes on plain TCP. Compare only what ran
// in turns (-count 1, again and again), and on a machine with other work cpu-ns/op only: the
// processor time of both ends together.

// BenchmarkOneWay sends messages through one connection, as fast as they are read.
func BenchmarkOneWay(b *testing.B) {
	for _, way := range []string{"up", "down"} { // client to server, server to client
		for _, size := range []int{100, 120 << 10} {
			for _, s := range benchSystems {
				b.Run(fmt.Sprintf("way=%s/size=%d/by=%s", way, size, s.name), func(b *testing.B) {
					client, server := s.join(b)
					defer server.Close()
					defer client.Close()
					from, to := client, server
					if way == "down" {
						from, to = server, client
					}
					p := make([]byte, size)
					b.SetBytes(int64(size))
					b.ReportAllocs()
					var wait sync.WaitGroup
					wait.Go(func() {
						for range b.N {
							if q, err := to.ReadMessage(); err != nil || len(q) != size {
								b.Error(len(q), err)
								return
							}
						}
					})
					b.ResetTimer()
					defer reportCPU(b)()
					for range b.N {
						if err := from.WriteMessage(p); err != nil {
							b.Fatal(err)
						}
					}
					wait.Wait()
				})
			}
		}
	}
}

// BenchmarkThereAndBack sends one message and waits for its echo.
func BenchmarkThereAndBack(b *testing.B) {
	for _, size := range []int{100, 120 << 10} {
		for _, s := range benchSystems {
			b.Run(fmt.Sprintf("size=%d/by=%s", size, s.name), func(b *testing.B) {
				client, server := s.join(b)
				var wait sync.WaitGroup
				wait.Go(func() {
					for {
						p, err := server.ReadMessage()
						if err != nil || server.WriteMessage(p) != nil {
							return
						}
					}
				})
				p := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				defer reportCPU(b)()
				for b.Loop() {
					if err := client.WriteMessage(p); err != nil {
						b.Fatal(err)
					}
					if _, err := client.ReadMessage(); err != nil {
						b.Fatal(err)
					}
				}
				client.Close()
				server.Close()
				wait.Wait()
			})
		}
	}
}

// reportCPU begins to measure the processor time of this process, and what it returns ends it.
func reportCPU(b *testing.B) (end func()) {
	b.Helper()
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	start := used()
	return func() { b.ReportMetric(float64(used()-start)/float64(b.N), "cpu-ns/op") }
}

var benchSystems = []struct {
	name string
	join func(b *testing.B) (client, server wire.Conn)
}{{"chum", joinOurs}, {"coder", joinCoder}, {"tcp", joinTCP}}

// joinBy joins a client with what a server's handler has accepted.
func joinBy(b *testing.B, dial func(url string) (wire.Conn, error), accept func(http.ResponseWriter, *http.Request) (wire.Conn, error)) (c, s wire.Conn) {
	b.Helper()
	accepted := make(chan wire.Conn, 1)
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := accept(w, r)
		if err != nil {
			b.Error(err)
		}
		accepted <- c
	}))
	b.Cleanup(hs.Close)
	c, err := dial(hs.URL)
	if err != nil {
		b.Fatal(err)
	}
	return c, <-accepted
}

func joinOurs(b *testing.B) (c, s wire.Conn) {
	b.Helper()
	return joinBy(b,
		func(url string) (wire.Conn, error) { return ws.Dial(context.Background(), url, nil) },
		func(w http.ResponseWriter, r *http.Request) (wire.Conn, error) { return ws.Accept(w, r, nil) })
}

// tcpConn has a length of four bytes before each message, and nothing else.
type tcpConn struct {
	net.Conn
	r       *bufio.Reader
	in, out []byte
}

func joinTCP(b *testing.B) (c, s wire.Conn) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return &tcpConn{Conn: client, r: bufio.NewReaderSize(client, 16<<10)}, &tcpConn{Conn: server, r: bufio.NewReaderSize(server, 16<<10)}
}

func (c *tcpConn) ReadMessage() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if cap(c.in) < n {
		c.in = make([]byte, n)
	}
	_, err := io.ReadFull(c.r, c.in[:n])
	return c.in[:n], err
}

func (c *tcpConn) WriteMessage(p []byte) error {
	c.out = append(binary.BigEndian.AppendUint32(c.out[:0], uint32(len(p))), p...)
	_, err := c.Conn.Write(c.out)
	return err
}

// coderConn is a wire.Conn by github.com/coder/websocket, the way this package was before.
type coderConn struct {
	c    *coder.Conn
	line *cork
	in   bytes.Buffer
}

func joinCoder(b *testing.B) (c, s wire.Conn) {
	b.Helper()
	return joinBy(b,
		func(url string) (wire.Conn, error) {
			var line *cork
			transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				line = &cork{Conn: c}
				return line, err
			}}
			c, _, err := coder.Dial(context.Background(), url, &coder.DialOptions{HTTPClient: &http.Client{Transport: transport}})
			if err != nil {
				return nil, err
			}
			c.SetReadLimit(-1)
			return &coderConn{c: c, line: line}, nil
		},
		func(w http.ResponseWriter, r *http.Request) (wire.Conn, error) {
			h := &corkingHijacker{ResponseWriter: w}
			c, err := coder.Accept(h, r, nil)
			if err != nil {
				return nil, err
			}
			c.SetReadLimit(-1)
			return &coderConn{c: c, line: h.line}, nil
		})
}

func (c *coderConn) ReadMessage() ([]byte, error) {
	_, r, err := c.c.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	c.in.Reset()
	_, err = c.in.ReadFrom(r)
	return c.in.Bytes(), err
}

func (c *coderConn) WriteMessage(p []byte) error {
	c.line.in = true
	err := c.c.Write(context.Background(), coder.MessageBinary, p)
	if flushed := c.line.flush(nil); err == nil {
		err = flushed
	}
	return err
}

func (c *coderConn) Close() error { return c.c.CloseNow() }

// cork gathers the pieces of a message that the library writes into one write. Unlike the one
// that this package had it has no lock: here the library writes messages and nothing else.
type cork struct {
	net.Conn
	in   bool // gathering
	held []byte
}

func (c *cork) flush(p []byte) error {
	b := net.Buffers{c.held, p}
	c.in, c.held = false, c.held[:0]
	_, err := b.WriteTo(c.Conn)
	return err
}

func (c *cork) Write(p []byte) (int, error) {
	if !c.in {
		return c.Conn.Write(p)
	}
	if len(p) < 8<<10 {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	err := c.flush(p)
	c.in = true
	return len(p), err
}

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
	return h.line, bufio.NewReadWriter(rw.Reader, bufio.NewWriterSize(h.line, 16)), nil
}
