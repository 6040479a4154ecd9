package soak

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chumsync/chum/wire"
)

// A flooder is a client that speaks without any library of ours, right or wrong, and looks at what comes back only to see
// whether it is still there.
type flooder struct {
	net.Conn
	pongs chan struct{} // the answers to pings of barrier
	cut   chan struct{} // closed when the server has closed the WebSocket
	at    time.Time     // when that was; zero if it never did
	said  string        // why, in its own words
	ended chan struct{} // closed when the network connection has ended, too
}

// The first bytes of WebSocket frames (RFC 6455, 5.2).
const (
	final        = 0x80
	continuation = 0x0
	text         = 0x1
	binaryFrame  = 0x2
	closeFrame   = 0x8
	ping         = 0x9
	pong         = 0xa
)

// frame is a frame of a client, masked with a key of zeros: it costs the server the same.
func frame(first byte, payload ...byte) []byte {
	b := []byte{first, 0x80}
	switch n := len(payload); {
	case n < 126:
		b[1] |= byte(n)
	case n < 1<<16:
		b[1] |= 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] |= 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// message is a whole binary message of chum's frames.
func message(frames ...[]byte) []byte {
	var p []byte
	for _, f := range frames {
		p = append(p, f...)
	}
	return frame(final|binaryFrame, p...)
}

// newFlooder connects to the server at addr, with a subprotocol or without one, and says what begin holds.
func newFlooder(t *testing.T, addr, subprotocol string, begin []byte) *flooder {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	f := &flooder{Conn: c, pongs: make(chan struct{}, 1), cut: make(chan struct{}), ended: make(chan struct{})}
	if err := f.SetDeadline(time.Now().Add(hangs)); err != nil { // nothing in the tests waits for longer
		t.Fatal(err)
	}
	head := "GET / HTTP/1.1\r\nHost: server\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	if subprotocol != "" {
		head += "Sec-WebSocket-Protocol: " + subprotocol + "\r\n"
	}
	if _, err := io.WriteString(c, head+"\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReaderSize(c, 64<<10)
	answer, err := http.ReadResponse(r, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake: %v, %+v", err, answer)
	}
	go f.read(r)
	if _, err := f.Write(begin); err != nil {
		t.Fatal(err)
	}
	f.barrier()
	return f
}

// hangs is how long a test of a flood waits for anything at most.
const hangs = 40 * time.Second

// read takes what the server says, until that has ended.
func (f *flooder) read(r *bufio.Reader) {
	defer close(f.ended)
	cut := sync.OnceFunc(func() {
		f.at = time.Now()
		close(f.cut)
	})
	for {
		op, p, err := readFrame(r)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			close(f.cut)
			return
		case err != nil:
			cut()
			return
		}
		switch op {
		case pong:
			if len(p) == len(here) { // else that of a ping that was part of the flood
				f.pongs <- struct{}{}
			}
		case closeFrame:
			if f.said == "" && len(p) > 2 {
				f.said = string(p[2:])
			}
			cut()
		case binaryFrame:
			f.bye(p)
		}
	}
}

// bye keeps the reason if a message is the server's last.
func (f *flooder) bye(p []byte) {
	for len(p) > 0 && p[0] != 0 {
		var frame wire.Frame
		var err error
		if frame, p, err = wire.Next(p); err != nil {
			return
		}
		var body struct {
			Message string `json:"message"`
		}
		if frame.Kind == wire.Bye && json.Unmarshal(frame.Payload, &body) == nil {
			f.said = strings.TrimPrefix(body.Message, "rpc: ")
		}
	}
}

// readFrame reads a frame of the server; only its first bytes if it is long.
func readFrame(r *bufio.Reader) (op byte, p []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1] & 0x7f)
	if more := map[uint64]int{126: 2, 127: 8}[n]; more > 0 {
		var b [8]byte
		if _, err := io.ReadFull(r, b[8-more:]); err != nil {
			return 0, nil, err
		}
		n = binary.BigEndian.Uint64(b[:])
	}
	p = make([]byte, min(n, 4<<10))
	if _, err := io.ReadFull(r, p); err != nil {
		return 0, nil, err
	}
	_, err = r.Discard(int(n) - len(p))
	return head[0] & 0xf, p, err
}

const here = "still here?"

// barrier waits until the server has taken all that was sent, and tells whether it is still there.
func (f *flooder) barrier() bool {
	if _, err := f.Write(frame(final|ping, []byte(here)...)); err != nil {
		<-f.cut
		return false
	}
	select {
	case <-f.pongs:
		return true
	case <-f.cut:
		return false
	}
}

// usage is what the server process says of itself.
type usage struct {
	Peers int           `json:"peers"`
	CPU   time.Duration `json:"cpu"` // of the process, user and system, since its start
}

// floodServer is a server process that can be asked what it costs.
type floodServer struct {
	t    *testing.T
	addr string
	in   io.Writer
	out  *bufio.Reader
}

func (s *floodServer) usage() (u usage) {
	s.t.Helper()
	_, err := fmt.Fprintln(s.in)
	if err == nil {
		var line []byte
		if line, err = s.out.ReadBytes('\n'); err == nil {
			err = json.Unmarshal(line, &u)
		}
	}
	if err != nil {
		s.t.Fatalf("the server process does not answer: %v", err)
	}
	return u
}

// settled waits until there are so many peers, and what they cost is counted.
func (s *floodServer) settled(peers int) usage {
	s.t.Helper()
	for end := time.Now().Add(hangs); ; wait(s.t.Context(), time.Millisecond) {
		u := s.usage()
		if u.Peers == peers {
			return u
		}
		if time.Now().After(end) {
			s.t.Fatalf("%d peers are left at the server, want %d", u.Peers, peers)
		}
	}
}
