package ws

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// A burst, then so many a second.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rate
		allowed := func(n int) (ok int) {
			for range n {
				if r.allow(100, 10) {
					ok++
				}
			}
			return ok
		}
		for i, step := range []struct {
			wait time.Duration
			want int
		}{{0, 100}, {0, 0}, {50 * time.Millisecond, 0}, {50 * time.Millisecond, 1}, {time.Second, 10}, {time.Hour, 100}, {1000 * time.Hour, 100}} {
			time.Sleep(step.wait)
			if got := allowed(1000); got != step.want {
				t.Errorf("step %d: %d allowed, want %d", i, got, step.want)
			}
		}
	})
}

// pieces is a source that gives at most so many bytes at a time.
type pieces struct {
	p    []byte
	size func() int
}

func (s *pieces) Read(b []byte) (int, error) {
	if len(s.p) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), s.size())], s.p)
	s.p = s.p[n:]
	return n, nil
}

// simple reads all messages of a stream the obvious way: whole, without buffers.
func simple(p []byte, fromClient bool, limit int) (messages [][]byte, pings [][]byte, end error) {
	var message []byte
	var op opcode
	began := false
	for {
		if len(p) < 2 {
			return messages, pings, io.EOF
		}
		if v := checkStart(p[0], p[1], fromClient); v != nil {
			return messages, pings, v
		}
		size := headSize(p[1])
		if len(p) < size {
			return messages, pings, io.EOF
		}
		h, v := parseHead(p[:size])
		if v != nil {
			return messages, pings, v
		}
		p = p[size:]
		switch {
		case h.op.isControl():
		case (h.op == opContinuation) != began:
			return messages, pings, broken("fragments")
		case h.length > limit-len(message):
			return messages, pings, broken("too long")
		}
		if len(p) < h.length {
			return messages, pings, io.EOF
		}
		payload := bytes.Clone(p[:h.length])
		p = p[h.length:]
		if h.masked {
			for i := range payload {
				payload[i] ^= byte(h.key >> (i % 4 * 8))
			}
		}
		switch h.op {
		case opClose:
			code, reason, v := parseClose(payload)
			if v != nil {
				return messages, pings, v
			}
			return messages, pings, &closed{code, reason}
		case opPing:
			pings = append(pings, payload)
		case opPong:
		default:
			if !began {
				op = h.op
			}
			message, began = append(message, payload...), !h.fin
			if h.fin {
				if op == opText && !utf8.Valid(message) {
					return messages, pings, broken("text")
				}
				messages = append(messages, append([]byte{}, message...))
				message = nil
			}
		}
	}
}

// FuzzRead reads a stream of any bytes, in pieces of any sizes: the receiver does with its
// buffers what the obvious way does without.
func FuzzRead(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, fromClient := range []bool{true, false} {
		for range 4 {
			var stream []byte
			for range 1 + random.IntN(20) {
				stream = appendFuzzFrame(stream, random, fromClient)
			}
			f.Add(stream, fromClient, uint64(random.Int()))
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte, fromClient bool, seed uint64) {
		const limit = 1 << 16
		random := rand.New(rand.NewPCG(seed, 1))
		biggest := []int{1, 3, 20, 700, 5000, 1 << 20}[random.IntN(6)]
		messages, pings, end := simple(stream, fromClient, limit)
		src := &plainSource{Reader: &pieces{p: stream, size: func() int { return 1 + random.IntN(biggest) }}}
		var early []byte
		if seed&1 != 0 {
			n := min(len(stream), random.IntN(2000))
			early, src.Reader.(*pieces).p = stream[:n], stream[n:]
		}
		r := newReceiver(src, fromClient, limit, early)
		pinged := 0
		r.onPing = func(p []byte) {
			if pinged >= len(pings) || !bytes.Equal(p, pings[pinged]) {
				t.Fatalf("ping %d is %q", pinged, p)
			}
			pinged++
		}
		r.onPong = func([]byte) bool { return false }
		for i := 0; ; i++ {
			_, p, err := r.next(true)
			if v, ok := err.(*violation); ok && v.code == closePolicy {
				return // only the receiver counts these
			}
			if err != nil {
				if i < len(messages) || pinged < len(pings) {
					t.Fatalf("%d of %d messages, %d of %d pings, then %v", i, len(messages), pinged, len(pings), err)
				}
				if (err == io.EOF) != (end == io.EOF) {
					t.Fatalf("ends with %v, want %v", err, end)
				}
				want, got := new(closed), new(closed)
				if errors.As(end, &want) != errors.As(err, &got) || *want != *got {
					t.Fatalf("ends with %v, want %v", err, end)
				}
				return
			}
			if i >= len(messages) || !bytes.Equal(p, messages[i]) {
				t.Fatalf("message %d has %d bytes, %v", i, len(p), err)
			}
			if len(*r.buf) > 8*len(stream)+1<<17 {
				t.Fatalf("a buffer of %d bytes for a stream of %d", len(*r.buf), len(stream))
			}
		}
	})
}

// appendFuzzFrame appends a frame that is most often allowed where it is.
func appendFuzzFrame(b []byte, random *rand.Rand, fromClient bool) []byte {
	n := []int{0, 1, 50, 125, 126, 5000, 70_000}[random.IntN(7)]
	op := []opcode{opBinary, opBinary, opText, opPing, opPong, opContinuation}[random.IntN(6)]
	if op.isControl() {
		n = min(n, maxSmall)
	}
	key := random.Uint32()
	at := len(b)
	b = appendHead(b, op, n, fromClient, key)
	if op == opContinuation || !op.isControl() && random.IntN(3) == 0 {
		b[at] &^= byte(finBit * random.IntN(2))
	}
	p := bytes.Repeat([]byte{'a' + byte(random.IntN(26))}, n)
	if fromClient {
		mask(p, p, key)
	}
	return append(b, p...)
}

// The random streams of the fuzz target's corpus, many more of them.
func TestReceiverMovesNothingAmiss(t *testing.T) {
	for seed := range uint64(80) {
		random := rand.New(rand.NewPCG(seed, 3))
		fromClient := seed%2 == 0
		var stream []byte
		for range 1 + random.IntN(12) {
			from := len(stream)
			stream = appendFuzzFrame(stream, random, fromClient)
			if _, _, err := simple(stream, fromClient, 1<<20); err != io.EOF {
				stream = stream[:from] // not allowed there
			}
		}
		messages, _, _ := simple(stream, fromClient, 1<<20)
		biggest := []int{1, 100, 5000, 1 << 20}[seed/2%4]
		r := newReceiver(&plainSource{Reader: &pieces{stream, func() int { return 1 + random.IntN(biggest) }}}, fromClient, 1<<20, nil)
		r.onPing = func([]byte) {}
		r.onPong = func([]byte) bool { return true }
		for i, want := range messages {
			if _, p, err := r.next(true); err != nil || !bytes.Equal(p, want) {
				t.Fatalf("seed %d, message %d of %d: %d bytes, %v, want %d", seed, i, len(messages), len(p), err, len(want))
			}
		}
		if _, _, err := r.next(true); err != io.EOF {
			t.Fatal(seed, err)
		}
	}
}
