package jsonrpc

import (
	"context"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/rpc"
)

// ticks is a stream without end: an item of so many bytes each tenth of a second.
const ticks rpc.Source[int, string] = "ticks"

func tickMux() *rpc.Mux {
	m := testMux()
	ticks.Handle(m, func(ctx context.Context, n int) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for yield(strings.Repeat("x", n), nil) {
				select {
				case <-time.After(100 * time.Millisecond):
				case <-ctx.Done():
					return
				}
			}
		}
	})
	return m
}

// TestFallsSilent has a client take all that comes and say nothing any more, not even by its
// WebSocket: whatever is written to it meanwhile, it is given up 10 s after the next ping.
func TestFallsSilent(t *testing.T) {
	notify := func(c *client) {
		for tick := time.NewTicker(time.Second); c.peer.Err() == nil; <-tick.C {
			_ = c.peer.Send(Notification(c.t.Context()), "tick").Await(nil)
		}
	}
	for _, x := range []struct {
		name  string
		send  string
		serve func(c *client) // what the server does of its own accord
	}{
		{"idle", "", nil},
		{"it waits for an answer", `{"jsonrpc":"2.0","id":2,"method":"hang"}`, nil},
		{"it is called", "", func(c *client) {
			err := c.peer.Send(c.t.Context(), "ask").Await(nil)
			if rpc.CodeOf(err) != rpc.Unavailable || rpc.ExecutedOf(err) != rpc.Maybe || !strings.Contains(err.Error(), "no sign of life") {
				c.t.Error(err)
			}
		}},
		{"notifications", "", notify},
		{"a stream of little", `{"jsonrpc":"2.0","id":2,"method":"ticks","params":[10]}`, nil},
		{"a stream of more", `{"jsonrpc":"2.0","id":2,"method":"ticks","params":[2000]}`, nil},
		{"a stream of much", `{"jsonrpc":"2.0","id":2,"method":"count","params":[10000000]}`, nil},
		{"a long answer", `{"jsonrpc":"2.0","id":2,"method":"long","params":[1000000]}`, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := connect(t, tickMux(), rpc.Options{})
				c.ask(`{"jsonrpc":"2.0","id":1,"method":"nothing"}`, `{"jsonrpc":"2.0","id":1,"result":null}`)
				go func() {
					for {
						if _, _, err := c.conn.ReadAny(); err != nil {
							return
						}
					}
				}()
				synctest.Wait() // until the first ping is answered
				c.conn.mute.Store(true)
				begin := time.Now()
				var serving sync.WaitGroup
				defer serving.Wait()
				if x.send != "" {
					c.send(x.send)
				}
				if x.serve != nil {
					serving.Go(func() { x.serve(c) })
				}
				select {
				case <-c.peer.Done():
				case <-time.After(time.Hour):
					t.Fatal("it is still there")
				}
				if d := time.Since(begin); d > 25*time.Second || d < 10*time.Second {
					t.Errorf("given up after %v", d)
				}
				if err := c.peer.Err(); err == nil || !strings.Contains(c.log.String(), "connection given up") {
					t.Errorf("%v; log: %s", err, c.log)
				}
			})
		})
	}
}

// TestNoPings has a peer that gives nobody up: a client that answers no pings stays, and what is
// written to it counts as taken.
func TestNoPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, testMux(), rpc.Options{KeepAlive: -1})
		c.conn.mute.Store(true)
		texts := make(chan string, 1)
		go func() {
			for {
				_, p, err := c.conn.ReadAny()
				if err != nil {
					return
				}
				texts <- string(p)
			}
		}()
		c.send(`{"jsonrpc":"2.0","id":1,"method":"nothing"}`)
		<-texts
		for range 100 {
			time.Sleep(time.Minute)
			if err := c.peer.Send(Notification(t.Context()), "tick").Await(nil); err != nil {
				t.Fatal(err)
			}
			if text := <-texts; text != `{"jsonrpc":"2.0","method":"tick"}` {
				t.Error(text)
			}
		}
	})
}

// TestHeartbeats has a client answer nothing, and send pongs that nobody asked for, of whatever it
// likes: it is there.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, testMux(), rpc.Options{})
		c.conn.mute.Store(true)
		c.ask(`{"jsonrpc":"2.0","id":1,"method":"nothing"}`, `{"jsonrpc":"2.0","id":1,"result":null}`)
		go func() {
			for {
				if _, _, err := c.conn.ReadAny(); err != nil {
					return
				}
			}
		}()
		for i := range 1000 {
			time.Sleep(9 * time.Second)
			if err := c.conn.write('!', []byte(strings.Repeat("\xff", i%126))); err != nil {
				t.Fatal(err)
			}
		}
		if s := c.peer.Stats(); c.peer.Err() != nil || s.RoundTrip != 0 {
			t.Errorf("%v, %+v", c.peer.Err(), s)
		}
	})
}

// TestSlowClient has a client whose system takes all at once and whose program reads a message a
// millisecond: it is never given up, and not much waits there for it.
func TestSlowClient(t *testing.T) {
	for _, x := range []struct{ name, send string }{
		{"a stream of values", `{"jsonrpc":"2.0","id":2,"method":"count","params":[100000]}`},
		{"a stream of bytes", `{"jsonrpc":"2.0","id":2,"method":"zeros","params":[20000000]}`},
		{"a long answer", `{"jsonrpc":"2.0","id":2,"method":"long","params":[700000]}`},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := connect(t, testMux(), rpc.Options{CallTimeout: -1})
				const room = 2 << 20
				queue := make(chan []byte, 1<<20) // what the system has taken
				waits := make(chan int, 1)
				waits <- 0
				go func() {
					defer close(queue)
					for {
						p, err := c.conn.Conn.ReadMessage()
						if err != nil {
							return
						}
						n := <-waits + len(p)
						if waits <- n; n > room {
							t.Errorf("%d bytes wait for a client that is slow", n)
						}
						queue <- append([]byte{}, p...)
					}
				}()
				c.send(x.send)
				texts := 0
				for p := range queue {
					waits <- <-waits - len(p)
					time.Sleep(time.Millisecond + time.Duration(len(p))*10*time.Microsecond) // 100 kB/s
					if p[0] == '?' {
						go c.conn.write('!', p[1:])
						continue
					}
					texts++
					if text := string(p[1:]); strings.Contains(text, `"id":2,"result":`) {
						break
					}
				}
				if err := c.peer.Err(); err != nil {
					t.Errorf("after %d messages: %v", texts, err)
				}
				c.conn.Close()
				for range queue {
				}
			})
		})
	}
}

// TestRoundTrip tells how long the way to a client of JSON-RPC is.
func TestRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, testMux(), rpc.Options{})
		c.conn.mute.Store(true)
		got := make(chan []byte)
		go func() {
			for {
				p, err := c.conn.Conn.ReadMessage()
				if err != nil {
					return
				}
				got <- append([]byte{}, p...)
			}
		}()
		p := <-got
		time.Sleep(80 * time.Millisecond)
		c.conn.write('!', p[1:])
		synctest.Wait()
		if rtt := c.peer.Stats().RoundTrip; p[0] != '?' || rtt != 80*time.Millisecond {
			t.Errorf("%q: %v", p, rtt)
		}
	})
}
