package soak

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
	"github.com/chumsync/chum/wsrpc"
)

var slow = flag.Bool("slow", false, "test those as well who send a byte every 10 s")

// What the floods call, beside what all servers here have.
const (
	hang  rpc.Method[struct{}, struct{}]       = "hang"
	idle  rpc.Source[struct{}, []byte]         = "idle" // has nothing to give
	deaf  rpc.Sink[struct{}, []byte, struct{}] = "deaf" // reads nothing
	curt  rpc.Sink[struct{}, []byte, string]   = "curt" // answers at once
	greet rpc.Method[string, string]           = "greet"
)

func floodServices(mux *rpc.Mux) {
	until := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	hang.Handle(mux, func(ctx context.Context, _ struct{}) (struct{}, error) { return struct{}{}, until(ctx) })
	rpc.HandleWriter(mux, idle, func(ctx context.Context, _ struct{}, _ io.Writer) error { return until(ctx) })
	rpc.HandleReader(mux, deaf, func(ctx context.Context, _ struct{}, _ io.Reader) (struct{}, error) {
		return struct{}{}, until(ctx)
	})
	curt.Handle(mux, func(context.Context, struct{}, iter.Seq2[[]byte, error]) (string, error) { return "enough", nil })
	greet.Handle(mux, func(_ context.Context, name string) (string, error) { return "hello " + name, nil })
}

// The frames that floods are made of.

const (
	feeds = 1 // modes of a request
	takes = 2
)

func request(id, mode uint64, method, args string) []byte {
	return own(wire.Request, id, string(append(requestHead(mode, method), args...)))
}

func requestHead(mode uint64, method string) []byte {
	b := binary.AppendUvarint(nil, mode)
	b = append(b, 0, 0) // no deadline, no metadata
	b = binary.AppendUvarint(b, uint64(len(method)))
	return append(b, method...)
}

// long marks a frame that begins a long value, raw one whose value is raw bytes.
func long(frame []byte) []byte { frame[0] |= 0x80; return frame }
func raw(frame []byte) []byte  { frame[0] |= byte(wire.Bytes) << 5; return frame }

func own(kind wire.Kind, id uint64, payload string) []byte {
	return wire.Append(nil, wire.Frame{Kind: kind, Own: true, ID: id, Payload: []byte(payload)})
}

func theirs(kind wire.Kind, id uint64, payload string) []byte {
	return wire.Append(nil, wire.Frame{Kind: kind, ID: id, Payload: []byte(payload)})
}

func uvarint(n uint64) string { return string(binary.AppendUvarint(nil, n)) }

var (
	hello   = theirs(wire.Hello, 0, `{"version":1,"agent":"flood","limits":{"calls":1024,"streams":256,"value":8388608,"window":32768}}`)
	greeted = message(hello)
	// A client that keeps a session opens it first.
	opened = slices.Concat(frame(final|binaryFrame, []byte("\x00\x01"+`{"version":1}`)...), greeted)
)

// A flood is one thing sent over and over.
type flood struct {
	name   string
	begin  []byte                // after the handshake
	again  func(i uint64) []byte // i counts from 1
	frames int                   // that each again has, of the kind that the flood is made of
	plain  bool                  // JSON-RPC: a client without a subprotocol
}

func always(b []byte) func(uint64) []byte { return func(uint64) []byte { return b } }

func jsonFlood(name, format string) flood {
	return flood{"JSON-RPC: " + name, nil, func(i uint64) []byte {
		return frame(final|text, fmt.Appendf(nil, format, i)...)
	}, 1, true}
}

func floods() []flood {
	tiny := frame(binaryFrame, theirs(wire.Pong, 0, "12345678")[0])
	for _, b := range theirs(wire.Pong, 0, "12345678")[1:] {
		tiny = append(tiny, frame(continuation, b)...)
	}
	tiny = append(tiny, frame(final|continuation)...)
	return []flood{
		// WebSocket frames; who sends them need not say hello.
		{"empty fragments, never a last", frame(binaryFrame, 'x'), always(frame(continuation)), 1, false},
		{"fragments of a byte, never a last", frame(binaryFrame, 'x'), always(frame(continuation, 'x')), 1, false},
		{"whole messages of such fragments", greeted, always(tiny), 12, false},
		{"pings", nil, always(frame(final|ping, 'x')), 1, false},
		{"pings amid a message", frame(binaryFrame), always(frame(final | ping)), 1, false},
		{"pongs", nil, always(frame(final|pong, make([]byte, 125)...)), 1, false},
		{"unmasked frames", nil, always([]byte{final | binaryFrame, 1, 'x'}), 1, false},
		{"reserved bits", nil, always(frame(final|0x40|binaryFrame, 'x')), 1, false},
		{"reserved opcodes", nil, always(frame(final | 3)), 1, false},
		{"fragmented control frames", nil, always(frame(ping)), 1, false},
		{"long control frames", nil, always(frame(final|ping, make([]byte, 126)...)), 1, false},
		{"text that is not UTF-8", nil, always(frame(final|text, 0xff)), 1, true},
		{"close reasons that are not UTF-8", nil, always(frame(final|closeFrame, 3, 0xe8, 0xff)), 1, false},
		{"close codes that may not be", nil, always(frame(final|closeFrame, 3, 0xed)), 1, false},

		// Frames of the call layer.
		{"frames' pings", greeted, always(message(theirs(wire.Ping, 0, ""))), 1, false},
		{"frames' pongs", greeted, always(message(theirs(wire.Pong, 0, "12345678"))), 1, false},
		{"marks", greeted, always(message(theirs(wire.Mark, 0, ""))), 1, false},
		{"acks", greeted, always(message(theirs(wire.Ack, 0, "\x00\x00"))), 1, false},
		{"open and cancel", greeted, func(i uint64) []byte {
			return message(request(i, 0, "hang", ""), own(wire.Cancel, i, ""))
		}, 2, false},
		{"open and cancel of streams", greeted, func(i uint64) []byte {
			return message(request(i, takes, "idle", ""), own(wire.Cancel, i, ""))
		}, 2, false},
		{"open, an item, cancel", greeted, func(i uint64) []byte {
			return message(request(i, feeds, "deaf", ""), raw(own(wire.Item, i, "x")), own(wire.Cancel, i, ""))
		}, 3, false},
		{"open and cancel of long arguments", greeted, func(i uint64) []byte {
			return message(long(request(i, 0, "greet", uvarint(8<<20))), own(wire.Cancel, i, ""))
		}, 2, false},
		{"10,001 calls at once", greeted, func(i uint64) []byte { return message(request(i, 0, "hang", "")) }, 1, false},
		{"10,001 streams at once", greeted, func(i uint64) []byte { return message(request(i, takes, "idle", "")) }, 1, false},
		{"unknown methods", greeted, func(i uint64) []byte { return message(request(i, 0, "nothing", "")) }, 1, false},
		{"lengths of 2^62", greeted, func(i uint64) []byte { return message(long(request(i, 0, "greet", uvarint(1<<62)))) }, 1, false},
		{"data for a stream that was never opened", greeted, always(message(raw(own(wire.Item, 1, "x")))), 1, false},
		{"data for a stream that was closed", slices.Concat(greeted, message(request(1, feeds, "curt", ""))), always(message(raw(own(wire.Item, 1, "x")))), 1, false},
		{"data beyond the credit", slices.Concat(greeted, message(request(1, feeds, "deaf", ""))), always(message(raw(own(wire.Item, 1, "x")))), 1, false},
		{"credit one byte at a time", slices.Concat(greeted, message(request(1, takes, "idle", ""))), always(message(own(wire.Credit, 1, "\x01"))), 1, false},
		{"a long value one byte at a time", slices.Concat(greeted, message(long(request(1, 0, "greet", uvarint(1<<20))))), always(message(own(wire.Part, 1, "x"))), 1, false},
		{"answers to calls never made", greeted, always(message(theirs(wire.Result, 1, ""))), 1, false},

		// Those of a session.
		{"session: acks of nothing", opened, always(frame(final|binaryFrame, 0, 6, 0)), 1, false},
		{"session: open and cancel", opened, func(i uint64) []byte {
			return message(request(i, 0, "hang", ""), own(wire.Cancel, i, ""))
		}, 2, false},
		{"session: frames' pings", opened, always(message(theirs(wire.Ping, 0, ""))), 1, false},

		jsonFlood("text that is no JSON", `{"%d`),
		jsonFlood("requests that are none", `{"id":%d}`),
		jsonFlood("unknown methods", `{"jsonrpc":"2.0","id":%d,"method":"nothing"}`),
		jsonFlood("calls that hang", `{"jsonrpc":"2.0","id":%d,"method":"hang"}`),
		jsonFlood("notifications of unknown methods", `{"jsonrpc":"2.0","method":"nothing","params":[%d]}`),
		jsonFlood("cancels of nothing", `{"jsonrpc":"2.0","method":"rpc.cancel","params":{"id":%d}}`),
		jsonFlood("answers to nothing", `{"jsonrpc":"2.0","id":%d,"result":1}`),
	}
}

// The floods of a peer that means ill are cut off, each before its 10,000th frame, and a peer beside it is served. Each comes
// twice: in steps, to count frames, and as fast as it goes, on and on until the network connection is closed. What the second
// costs the server process is printed and not tested.
func TestFloods(t *testing.T) {
	s := startFloodServer(t)
	beside, err := wsrpc.Connect(t.Context(), "ws://"+s.addr, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	t.Logf("%-40s %9s  %9s %9s  %s", "flood", "frames <=", "cut after", "CPU", "why")
	for _, f := range floods() {
		protocol := "chum.1"
		if f.plain {
			protocol = ""
		}
		frames := s.count(t, newFlooder(t, s.addr, protocol, f.begin), f)
		x := newFlooder(t, s.addr, protocol, f.begin)
		took, cpu := s.press(t, x, f)
		t.Logf("%-40s %9d  %6.1f ms %6.1f ms  %s", f.name, frames, 1e3*took.Seconds(), 1e3*cpu.Seconds(), x.said)
		if _, err := greet.Call(t.Context(), beside, "you"); err != nil {
			t.Fatalf("%s: a peer beside it: %v", f.name, err)
		}
	}
}

func startFloodServer(t *testing.T) *floodServer {
	t.Helper()
	_, in, out := child(t, "server", "127.0.0.1:0", os.DevNull)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatalf("the server does not start: %v", err)
	}
	return &floodServer{t: t, addr: line[:len(line)-1], in: in, out: out}
}

// count floods in steps, each taken in before the next, until the server cuts, and tells within how many frames that was:
// at most 10,000, or else within a second, since patience grows with time.
func (s *floodServer) count(t *testing.T, x *flooder, f flood) (frames int) {
	t.Helper()
	defer x.Close()
	const most, step = 10_000, 256
	began := time.Now()
	for i := uint64(1); frames < most || time.Since(began) < time.Second; {
		var b []byte
		for range (step + f.frames - 1) / f.frames {
			b = append(b, f.again(i)...)
			i++
			frames += f.frames
		}
		if _, err := x.Write(b); err != nil || !x.barrier() {
			return frames
		}
	}
	t.Errorf("%s: still there after %d frames and %v", f.name, frames, time.Since(began))
	return frames
}

// press floods as fast as it goes until the server cuts, and tells when that was and what it cost the server.
func (s *floodServer) press(t *testing.T, x *flooder, f flood) (took, cpu time.Duration) {
	t.Helper()
	before := s.usage()
	began := time.Now()
	go func() {
		b := make([]byte, 0, 80<<10)
		for i := uint64(1); ; {
			for b = b[:0]; len(b) < 64<<10; i++ {
				b = append(b, f.again(i)...)
			}
			if _, err := x.Write(b); err != nil {
				return
			}
		}
	}()
	<-x.ended
	x.Close()
	if x.at.IsZero() {
		t.Errorf("%s: not cut within %v", f.name, hangs)
	}
	return x.at.Sub(began), s.settled(1).CPU - before.CPU
}

// Who sends a byte every 10 s is given up, wherever it is.
func TestSlowSenders(t *testing.T) {
	if !*slow {
		t.Skip("it takes half a minute of real time: -args -slow")
	}
	s := startFloodServer(t)
	t.Run("a byte every 10 s", func(t *testing.T) {
		for _, x := range []struct {
			of    string
			begin []byte // after the handshake; of no handshake itself
			rest  string
		}{
			{"the handshake", nil, "GET / HTTP/1.1\r\nHost: server\r\n"},
			{"the first message", nil, string(greeted)},
			{"a message", greeted, string(message(request(1, 0, "greet", `["you"]`)))},
			{"a message of a session", opened, string(message(request(1, 0, "greet", `["you"]`)))},
		} {
			t.Run(x.of, func(t *testing.T) {
				t.Parallel()
				c, ended := connectSlow(t, s.addr, x.begin, x.of != "the handshake")
				began := time.Now()
				for i := range len(x.rest) {
					_, _ = io.WriteString(c, x.rest[i:i+1])
					select {
					case <-time.After(10 * time.Second):
						continue
					case <-ended:
					}
					break
				}
				took := time.Since(began)
				t.Logf("cut after %.1f s", took.Seconds())
				if took > 30*time.Second {
					t.Error("it may do so for too long")
				}
			})
		}
	})
	t.Logf("CPU of the server, its start and all: %v", s.usage().CPU)
}

// connectSlow connects, and tells when the server has ended that.
func connectSlow(t *testing.T, addr string, begin []byte, handshake bool) (c net.Conn, ended chan struct{}) {
	t.Helper()
	if handshake {
		f := newFlooder(t, addr, "chum.1", begin)
		return f, f.ended
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ended = make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, c)
		close(ended)
	}()
	return c, ended
}
