package rpc

import (
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// When a peer gives up another that is silent, and when it does not.
func TestKeepAlive(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options Options
		answer  bool          // the other side answers pings
		talk    bool          // it does not, but says other things
		dead    time.Duration // when it is given up; 0: never
	}{
		{"silent from the start", Options{}, false, false, pongTime},
		{"answers", Options{}, true, false, 0},
		{"talks", Options{}, false, true, 0},
		{"silent, other interval", Options{KeepAlive: time.Minute}, false, false, pongTime},
		{"answers, short interval", Options{KeepAlive: time.Second}, true, false, 0},
		{"silent, no pings", Options{KeepAlive: -1}, false, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca, cb := wire.Pipe()
				var log record
				tt.options.Logger = log.options().Logger
				p := NewPeer(ca, nil, &tt.options)
				h := &puppet{t: t, conn: cb}
				h.expect(wire.Hello)
				h.send(wire.Frame{Kind: wire.Hello, Payload: []byte(`{"version":1,"agent":"mute"}`)})
				begin := time.Now()
				pings := make(chan int)
				go func() {
					n := 0
					defer func() { pings <- n }()
					for {
						msg, err := cb.ReadMessage()
						if err != nil {
							return
						}
						for len(msg) > 0 {
							var f wire.Frame
							f, msg, _ = wire.Next(msg)
							if f.Kind != wire.Ping {
								continue
							}
							n++
							if tt.answer {
								f.Kind = wire.Pong
								cb.WriteMessage(wire.Append(nil, f))
							}
						}
					}
				}()
				end := time.After(10 * time.Minute)
				var talking sync.WaitGroup
				if tt.talk {
					talking.Go(func() {
						for cb.WriteMessage(wire.Append(nil, wire.Frame{Kind: wire.Mark})) == nil {
							time.Sleep(9 * time.Second)
						}
					})
				}
				select {
				case <-p.Done():
					if d := time.Since(begin); d != tt.dead {
						t.Errorf("given up after %v, want %v", d, tt.dead)
					}
					if err := p.Err(); err == nil || !strings.Contains(err.Error(), "no sign of life") {
						t.Error(err)
					}
					if !strings.Contains(log.String(), "agent=mute") {
						t.Errorf("log: %s", &log)
					}
				case <-end:
					if tt.dead != 0 {
						t.Error("it was not given up")
					}
					cb.Close()
				}
				n := <-pings
				switch interval := cmp.Or(tt.options.KeepAlive, 15*time.Second); {
				case interval < 0 && n != 1: // one tells the round trip
					t.Errorf("%d pings", n)
				case tt.answer && (n < int(10*time.Minute/interval)-1 || n > int(10*time.Minute/interval)+1):
					t.Errorf("%d pings in 10 minutes at an interval of %v", n, interval)
				}
				cb.Close()
				talking.Wait()
				leave(t, p)
			})
		})
	}
}

// A peer that lived and then falls silent is given up 10 s after the next ping: at most 25 s.
func TestFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, h := withPuppet(t, nil, nil)
		begin := time.Now()
		h.send(wire.Frame{Kind: wire.Pong, Payload: make([]byte, 8)})
		promise := p.Send(t.Context(), "x")
		go io.Copy(io.Discard, messages{h.conn}) // it takes everything and says nothing
		fails(t, promise.Await(nil), Unavailable, Maybe, "no sign of life")
		if d := time.Since(begin); d != 25*time.Second {
			t.Errorf("given up after %v", d)
		}
	})
}

// messages reads a Conn as a stream.
type messages struct{ c wire.Conn }

func (m messages) Read(b []byte) (int, error) {
	p, err := m.c.ReadMessage()
	return copy(b, p), err
}

// A side that takes nothing off us is given up after the write deadline.
func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, h := withPuppet(t, nil, &Options{KeepAlive: -1})
		begin := time.Now()
		promise := p.Send(t.Context(), "x")
		var talking sync.WaitGroup
		talking.Go(func() { // it talks, but does not read
			for h.conn.WriteMessage(wire.Append(nil, wire.Frame{Kind: wire.Mark})) == nil {
				time.Sleep(time.Second)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := hi.Call(ctx, p, "x") // a caller whose context ends does not wait for that
		fails(t, err, DeadlineExceeded, Maybe, "")
		if d := time.Since(begin); d != time.Second {
			t.Errorf("the call with a deadline of 1 s took %v", d)
		}
		fails(t, promise.Await(nil), Unavailable, Maybe, "took nothing of a message")
		if d := time.Since(begin); d != writeTime {
			t.Errorf("given up after %v", d)
		}
		talking.Wait()
	})
}

func TestNoHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, cb := wire.Pipe()
		p := NewPeer(ca, nil, quiet(nil))
		go io.Copy(io.Discard, messages{cb})
		promise := p.Send(t.Context(), "x")
		begin := time.Now()
		err := p.Ready(t.Context())
		fails(t, err, Unavailable, Maybe, "no hello within 10 s")
		if d := time.Since(begin); d != helloTime {
			t.Errorf("after %v", d)
		}
		fails(t, promise.Await(nil), Unavailable, No, "no hello")
		leave(t, p)
		cb.Close()
	})
}

// A slow connection shows in Stats.
func TestRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, h := withPuppet(t, nil, nil)
		if rtt := p.Stats().RoundTrip; rtt != 0 {
			t.Error(rtt)
		}
		time.Sleep(80 * time.Millisecond)
		h.send(wire.Frame{Kind: wire.Pong, Payload: binary.BigEndian.AppendUint64(nil, 0)}) // the first ping is sent at 0
		synctest.Wait()
		if rtt := p.Stats().RoundTrip; rtt != 80*time.Millisecond {
			t.Error(rtt)
		}
		ping := h.expect(wire.Ping)
		time.Sleep(20 * time.Millisecond)
		h.send(wire.Frame{Kind: wire.Pong, Payload: ping.Payload})
		synctest.Wait()
		if rtt := p.Stats().RoundTrip; rtt != 20*time.Millisecond {
			t.Error(rtt)
		}
		// One that was never asked for changes nothing.
		h.send(wire.Frame{Kind: wire.Pong, Payload: []byte("12345678")}, wire.Frame{Kind: wire.Pong})
		synctest.Wait()
		if rtt := p.Stats().RoundTrip; rtt != 20*time.Millisecond {
			t.Error(rtt)
		}
	})
}

// A peer at rest wakes up for pings only, and keeps no worker.
func TestAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mux := testMux()
		gate := make(chan struct{})
		mux.Func("wait", func() { <-gate })
		a, b := pair(t, mux)
		var promises []*Promise
		for range 100 {
			promises = append(promises, a.Send(t.Context(), "wait"))
		}
		synctest.Wait()
		close(gate)
		for _, p := range promises {
			if err := p.Await(nil); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Minute)
		sent := a.Stats().Sent.Messages
		time.Sleep(time.Minute)
		for _, p := range []*Peer{a, b} {
			p.mu.Lock()
			if n := len(p.idle); n > 2 { // the pings' own
				t.Errorf("%d workers are kept", n)
			}
			p.mu.Unlock()
		}
		if n := a.Stats().Sent.Messages - sent; n < 4 || n > 10 {
			t.Errorf("%d messages were sent in a minute without calls", n)
		}
	})
}
