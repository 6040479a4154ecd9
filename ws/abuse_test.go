package ws_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chumsync/chum/wire"
	"github.com/chumsync/chum/ws"
)

// Frames that cost the sender little and mean nothing end the connection within 10,000 of
// them, whatever kind they are.
func TestFloods(t *testing.T) {
	one := frame{first: 0, payload: "x"}
	tiny := slices.Concat([]frame{{first: 2, payload: "x"}}, slices.Repeat([]frame{one}, 20), []frame{{first: 0x80, payload: "x"}})
	for _, tt := range []struct {
		name         string
		begin, again []frame
		text         string
	}{
		{"empty continuation frames", []frame{{first: 2, payload: "x"}}, []frame{{}}, "more than 4096 fragments"},
		{"empty fragments from the first", []frame{{first: 2}}, []frame{{}}, "more than 4096 fragments"},
		{"fragments of one byte, never a last", []frame{{first: 2, payload: "x"}}, []frame{one}, "more than 4096 fragments"},
		{"whole messages of such fragments", nil, tiny, "tiny fragments"},
		{"pings", nil, []frame{{first: 0x89, payload: "x"}}, "pings or pongs"},
		{"pings amid a message", []frame{{first: 2}}, []frame{{first: 0x89}}, "pings or pongs"},
		{"pongs that nobody asked for", nil, []frame{{first: 0x8a, payload: long[:125]}}, "pings or pongs"},
	} {
		for _, role := range roles {
			t.Run(role.name+"/"+tt.name, func(t *testing.T) {
				c, f := role.join(t, nil)
				var flood []byte
				for _, frame := range tt.begin {
					flood = append(flood, frame.bytes(f.isClient)...)
				}
				for n := 0; n < 10_000; n += len(tt.again) {
					for _, frame := range tt.again {
						flood = append(flood, frame.bytes(f.isClient)...)
					}
				}
				go f.Write(flood)
				limited := make(chan error, 1)
				go func() {
					for {
						if _, err := c.ReadMessage(); err != nil {
							limited <- err
							return
						}
					}
				}()
				if code, reason := f.gotClose(t); code != 1008 || !strings.Contains(reason, tt.text) {
					t.Errorf("closed with %d %q", code, reason)
				}
				f.Close()
				if err := <-limited; err == io.EOF || !strings.Contains(err.Error(), tt.text) {
					t.Error(err)
				}
			})
		}
	}
}

// Reading never waits for writing: while our write is stuck because the other side does not
// read, its messages are read, whatever pings come in between, and so is its Close frame.
func TestReadingBesideAStuckWrite(t *testing.T) {
	for _, role := range roles {
		t.Run(role.name, func(t *testing.T) {
			c, f := role.join(t, nil)
			var wait sync.WaitGroup
			defer wait.Wait()
			wait.Go(func() {
				if c.WriteMessage(make([]byte, 64<<20)) == nil { // more than all buffers on the way
					t.Error("written, and nobody has read it")
				}
			})
			defer c.Close()
			if _, err := f.r.Peek(1); err != nil { // it has begun
				t.Fatal(err)
			}
			for range 50 {
				f.Write(frame{first: 0x89, payload: "there?"}.bytes(f.isClient))
				f.Write(frame{first: 0x82, payload: "hello"}.bytes(f.isClient))
				if p, err := c.ReadMessage(); err != nil || string(p) != "hello" {
					t.Fatal(string(p), err)
				}
			}
			f.Write(normal.bytes(f.isClient))
			if _, err := c.ReadMessage(); err != io.EOF {
				t.Error(err)
			}
		})
	}
}

// A write that failed says nothing of what the other side has sent before it left.
func TestReadBehindAFailedWrite(t *testing.T) {
	for _, role := range roles {
		t.Run(role.name, func(t *testing.T) {
			c, f := role.join(t, nil)
			f.Write(frame{first: 0x82, payload: "because"}.bytes(f.isClient))
			f.Write(frame{first: 0x81, payload: "goodbye"}.bytes(f.isClient))
			f.Write(closing(1001, "").bytes(f.isClient))
			f.Close()
			for c.WriteMessage(make([]byte, 100_000)) == nil {
			}
			for _, want := range []string{"because", "goodbye"} {
				if _, p, err := c.ReadAny(); err != nil || string(p) != want {
					t.Fatalf("%q, %v, want %q", p, err, want)
				}
			}
			if _, err := c.ReadMessage(); err != io.EOF {
				t.Error(err)
			}
		})
	}
}

// A length that is announced takes no memory before the bytes have come.
func TestAnnouncedLengthTakesNoMemory(t *testing.T) {
	const n = 50
	hs, accepted := serve(t, nil)
	before := heap()
	for range n {
		c, _, err := raw(t, hs.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.CloseNow() // its place is taken by one that speaks without a library
		(<-accepted).Close()
	}
	idle := heap()
	var conns []ws.Conn
	for range n {
		c, f := farClient(t, nil)
		f.Write([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 1, 0x80, 0, 1, 2, 3, 4, 'x'}) // 98,304 bytes, and one of them
		go c.ReadMessage()
		conns = append(conns, c)
	}
	for range 100 { // the bytes are on their way
		runtime.Gosched()
	}
	if took := (heap() - idle) / n; took > 64<<10 {
		t.Errorf("%d bytes for each length that was announced (%d at the start)", took, before)
	}
	for _, c := range conns {
		c.Close()
	}
}

// An idle connection holds no buffers, whatever has passed on it.
func TestIdleHoldsNoBuffer(t *testing.T) {
	const n = 100
	hs, accepted := serve(t, nil)
	before := heap()
	var reading sync.WaitGroup
	var conns []wire.Conn
	for range n {
		c, err := ws.Dial(t.Context(), hs.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := <-accepted
		conns = append(conns, c, s)
		for _, way := range [][2]wire.Conn{{c, s}, {s, c}} {
			came := make(chan bool)
			reading.Go(func() {
				p, err := way[1].ReadMessage()
				came <- err == nil && len(p) == 120<<10
				way[1].ReadMessage() // and idle
			})
			if err := way[0].WriteMessage(make([]byte, 120<<10)); err != nil || !<-came {
				t.Fatal(err)
			}
		}
	}
	// Both ends, with what net and net/http keep of them.
	if took := (heap() - before) / n; took > 12<<10 {
		t.Errorf("%d bytes of heap for an idle connection's two ends", took)
	}
	for _, c := range conns {
		c.Close()
	}
	reading.Wait()
}

// heap is the bytes in use when what is pooled is gone.
func heap() int {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// A message's bytes are the caller's, a client masks a copy; a text that is none is refused,
// and that is all.
func TestWritersBytesAreTheirs(t *testing.T) {
	for _, role := range roles {
		c, f := role.join(t, nil)
		for _, n := range []int{0, 1, 100, 8 << 10, 300_000} {
			p := payload(n)
			wrote := make(chan error, 1)
			go func() { wrote <- c.WriteMessage(p) }()
			op, got, err := f.got()
			if err != nil || op != 2 || got != string(payload(n)) {
				t.Errorf("%s: %d bytes: opcode %d, %d bytes, %v", role.name, n, op, len(got), err)
			}
			if err := <-wrote; err != nil || !bytes.Equal(p, payload(n)) {
				t.Errorf("%s: %d bytes were changed, or %v", role.name, n, err)
			}
		}
		if err := c.WriteText([]byte("gr\xfc\xdf")); err == nil || !strings.Contains(err.Error(), "UTF-8") {
			t.Error(err)
		}
		if err := c.WriteText([]byte("grüß")); err != nil {
			t.Error(err)
		}
		if op, got, err := f.got(); op != 1 || got != "grüß" || err != nil {
			t.Error(op, got, err)
		}
	}
}

// The other side does not answer our Close frame, or goes on sending: within a second and a
// bit, all is over.
func TestCloseIsBounded(t *testing.T) {
	for _, role := range roles {
		for _, talks := range []bool{false, true} {
			c, f := role.join(t, nil)
			start := time.Now()
			go func() {
				for talks {
					if _, err := f.Write(frame{first: 0x82, payload: long[:1000]}.bytes(f.isClient)); err != nil {
						return
					}
				}
			}()
			c.Close()
			if _, err := c.ReadMessage(); !errors.Is(err, wire.ErrClosed) {
				t.Error(err)
			}
			f.SetReadDeadline(start.Add(10 * time.Second))
			_, err := io.Copy(io.Discard, f.r)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%s, talks %v: it took %v, %v", role.name, talks, took, err)
			}
		}
	}
}
