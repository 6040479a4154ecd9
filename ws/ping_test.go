package ws_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/chumsync/chum/ws"
)

// Pings of ours are answered with what they hold, by whom it may be, and their pongs are no flood.
func TestPing(t *testing.T) {
	const many = 500 // more than may come unasked
	for _, role := range roles {
		t.Run(role.name, func(t *testing.T) {
			c, f := role.join(t, nil)
			pongs := make(chan string, many)
			c.OnPong(func(p []byte) { pongs <- string(p) })
			read := make(chan error, 1)
			go func() {
				_, err := c.ReadMessage()
				read <- err
			}()
			for i := range many {
				if err := c.Ping(fmt.Appendf(nil, "ping %d", i)); err != nil {
					t.Fatal(err)
				}
				op, p, err := f.got()
				if want := fmt.Sprintf("ping %d", i); op != 9 || p != want || err != nil {
					t.Fatalf("opcode %d, %q, %v; want a ping of %q", op, p, err, want)
				}
				f.Write(frame{first: 0x8a, payload: p}.bytes(f.isClient))
				if got := <-pongs; got != p {
					t.Fatalf("the pong has %q, want %q", got, p)
				}
			}
			if err := c.Ping(make([]byte, 126)); err == nil || !strings.Contains(err.Error(), "126 bytes; it may hold 125") {
				t.Error(err)
			}
			c.OnPong(nil)
			f.Write(frame{first: 0x8a, payload: "unasked"}.bytes(f.isClient))
			f.Write(frame{first: 0x82, payload: "x"}.bytes(f.isClient))
			if err := <-read; err != nil {
				t.Error(err)
			}
			if len(pongs) > 0 {
				t.Errorf("%q was still passed on", <-pongs)
			}
			c.Close()
			f.Close()
			for c.Ping(nil) == nil { // until the Close frame is written
				runtime.Gosched()
			}
		})
	}
}

// The libraries of others answer pings while they read.
func TestOthersAnswerPings(t *testing.T) {
	for name, library := range libraries {
		t.Run(name, func(t *testing.T) {
			hs, accepted := serve(t, nil)
			f, err := library.dial(hs.URL)
			if err != nil {
				t.Fatal(err)
			}
			c := (<-accepted).(ws.Conn)
			go f.read()
			pongs := make(chan string, 1)
			c.OnPong(func(p []byte) { pongs <- string(p) })
			reading := make(chan struct{})
			go func() {
				defer close(reading)
				_, _ = c.ReadMessage()
			}()
			for i := range 200 {
				want := fmt.Sprintf("%d?", i)
				if err := c.Ping([]byte(want)); err != nil {
					t.Fatal(err)
				}
				if got := <-pongs; got != want {
					t.Fatalf("%q, want %q", got, want)
				}
			}
			c.Close()
			<-reading
		})
	}
}
