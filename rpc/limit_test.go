package rpc

import (
	"bytes"
	"context"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// A flood of frames that cost time and bring nothing is cut off before its ten-thousandth, by
// name, and a busy honest side never is.

// hasty is a Source that a handler has nothing for, and a Sink that it answers at once.
const (
	hasty Source[struct{}, int]          = "hasty"
	curt  Sink[struct{}, []byte, string] = "curt"
	dots  Source[int, []byte]            = "dots"
)

func limitMux() *Mux {
	m := rawMux()
	hasty.Handle(m, func(ctx context.Context, _ struct{}) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) { <-ctx.Done() }
	})
	curt.Handle(m, func(context.Context, struct{}, iter.Seq2[[]byte, error]) (string, error) { return "enough", nil })
	dots.Handle(m, func(_ context.Context, n int) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			for range n {
				if !yield([]byte("."), nil) {
					return
				}
			}
		}
	})
	return m
}

func TestFlood(t *testing.T) {
	const most = 10_000 // frames
	for _, test := range []struct {
		name   string
		before [][]byte
		frames func(i uint64) []byte // i counts from 1
		reason string
	}{
		{"pings", nil, func(uint64) []byte { return conFrame(wire.Ping, "") }, "a ping"},
		{"pongs", nil, func(uint64) []byte { return conFrame(wire.Pong, "12345678") }, "a pong"},
		{"marks", nil, func(uint64) []byte { return conFrame(wire.Mark, "") }, "a mark with no bulk"},
		{"acks", nil, func(uint64) []byte { return conFrame(wire.Ack, "\x00\x00") }, "an ack that nobody asked for"},
		{"open and cancel", nil, func(i uint64) []byte {
			return msg(request(i, 0, "hang", ""), mine(wire.Cancel, i, ""))
		}, "a cancel right behind its call"},
		{"streams opened and cancelled", nil, func(i uint64) []byte {
			return msg(request(i, takes, "hasty", ""), mine(wire.Cancel, i, ""))
		}, "a cancel right behind its call"},
		{"sinks opened, fed once and cancelled", nil, func(i uint64) []byte {
			return msg(request(i, feeds, "deaf", ""), formed(mine(wire.Item, i, "x"), wire.Bytes), mine(wire.Cancel, i, ""))
		}, "a cancel right behind its call"},
		{"long arguments begun and cancelled", nil, func(i uint64) []byte {
			return msg(long(request(i, 0, "echo", uvarint(8<<20))), mine(wire.Cancel, i, ""))
		}, "a cancel right behind its call"},
		{"unknown methods", nil, func(i uint64) []byte { return request(i, 0, "nothing", "") }, "a call that was refused"},
		{"streams in the wrong mode", nil, func(i uint64) []byte { return request(i, feeds, "hi", "") }, "a call that was refused"},
		{"10,001 calls at once", nil, func(i uint64) []byte { return request(i, 0, "hang", "") }, "a call that was refused"},
		{"10,001 streams at once", nil, func(i uint64) []byte { return request(i, takes, "hasty", "") }, "a call that was refused"},
		{"announced and too long", nil, func(i uint64) []byte { return long(request(i, 0, "echo", uvarint(1<<62))) }, "a call that was refused"},
		{
			"data for a stream that was closed",
			[][]byte{request(1, feeds, "curt", "")},
			func(uint64) []byte { return formed(mine(wire.Item, 1, "x"), wire.Bytes) }, "a frame for a call that had ended",
		},
		{
			"data for a stream that was refused",
			[][]byte{request(1, feeds, "nothing", "")},
			func(uint64) []byte { return formed(mine(wire.Item, 1, "x"), wire.Bytes) }, "a frame for a call that had ended",
		},
		{
			"cancels of a call that was answered",
			[][]byte{request(1, 0, "hi", `["x"]`)},
			func(uint64) []byte { return mine(wire.Cancel, 1, "") }, "a frame for a call that had ended",
		},
		{
			"credit one byte at a time",
			[][]byte{request(1, takes, "hasty", "")},
			func(uint64) []byte { return mine(wire.Credit, 1, "\x01") }, "credit that nothing was sent for",
		},
		{
			"credit where there is no stream",
			[][]byte{request(1, 0, "hang", "")},
			func(uint64) []byte { return mine(wire.Credit, 1, "\x01") }, "credit that nothing was sent for",
		},
		{
			"a long value one byte at a time",
			[][]byte{long(request(1, 0, "echo", uvarint(1<<20)))},
			func(uint64) []byte { return mine(wire.Part, 1, "x") }, "a part of a few bytes",
		},
		{
			"a long value in parts of nothing",
			[][]byte{long(request(1, 0, "echo", uvarint(1<<20)))},
			func(uint64) []byte { return mine(wire.Part, 1, "") }, "a part of a few bytes",
		},
		{"answers to an id already answered", [][]byte{yours(wire.Result, 1, `"x"`)}, func(uint64) []byte { return yours(wire.Result, 1, `"x"`) }, "a frame for a call that had ended"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				beside, _ := pair(t, limitMux())
				r := greeted(t, limitMux(), Options{KeepAlive: -1, CallTimeout: -1})
				go hi.Call(t.Context(), r.peer, "x")
				synctest.Wait()
				for _, m := range test.before {
					r.send(m)
					synctest.Wait()
				}
				began, frames := time.Now(), 0
				for i := uint64(len(test.before) + 1); r.peer.Err() == nil && frames <= most; i++ {
					m := test.frames(i)
					for rest := m; len(rest) > 0; frames++ {
						_, rest, _ = wire.Next(rest)
					}
					r.send(m)
					if i%64 == 0 {
						synctest.Wait()
					}
				}
				synctest.Wait()
				if frames > most || time.Since(began) > time.Second {
					t.Fatalf("still there after %d frames and %v", frames, time.Since(began))
				}
				checkCut(t, r, test.reason)
				if s := r.peer.Stats(); s.InVain < 1000 {
					t.Errorf("%d frames counted as in vain", s.InVain)
				}
				r.gone()
				if _, err := hi.Call(t.Context(), beside, "x"); err != nil {
					t.Errorf("a connection beside it: %v", err)
				}
			})
		})
	}
}

// The flood may be as long as it likes, if time passes or honest calls are answered between.
func TestNoFlood(t *testing.T) {
	type side struct {
		*raw
		id uint64
	}
	hundred := func(s *side, f func(id uint64) []byte) {
		var b []byte
		for range 100 {
			s.id++
			b = append(b, f(s.id)...)
		}
		s.send(b)
		synctest.Wait()
	}
	for _, test := range []struct {
		name  string
		times int
		pause time.Duration // between
		do    func(s *side)
	}{
		{"calls at any rate", 60, 0, func(s *side) {
			hundred(s, func(id uint64) []byte { return request(id, 0, "add", "[1,2]") })
		}},
		{"four calls of five cancelled", 60, 0, func(s *side) {
			hundred(s, func(id uint64) []byte {
				if id%5 == 0 {
					return request(id, 0, "add", "[1,2]")
				}
				return msg(request(id, 0, "hang", ""), mine(wire.Cancel, id, ""))
			})
		}},
		{"calls cancelled after 10 ms", 60, youngCall, func(s *side) {
			hundred(s, func(id uint64) []byte {
				if id <= 100 {
					return request(id, 0, "hang", "")
				}
				return msg(mine(wire.Cancel, id-100, ""), request(id, 0, "hang", ""))
			})
		}},
		{"streams left after an item", 40, 0, func(s *side) {
			first := s.id + 1
			hundred(s, func(id uint64) []byte { return request(id, takes, "dots", "[40]") })
			for id := first; id <= s.id; id++ {
				s.send(mine(wire.Cancel, id, ""))
			}
			synctest.Wait()
		}},
		{"2,000 pings a second", 200, 100 * time.Second / patiencePerSecond, func(s *side) {
			hundred(s, func(uint64) []byte { return conFrame(wire.Ping, "") })
		}},
		{"a keen reader of one-byte items, who gives credit for each", 2, 0, func(s *side) {
			s.id++
			id := s.id
			s.send(request(id, takes, "dots", "[10000]"))
			for read := 0; read < 10_000; {
				items := 0
				for _, f := range s.got(wire.Item) {
					if f.ID == id {
						items++
					}
				}
				if items == read {
					s.t.Fatalf("stuck after %d items", read)
				}
				var b []byte
				for ; read < items; read++ {
					b = append(b, mine(wire.Credit, id, uvarint(1+itemCost))...)
				}
				s.send(b)
			}
			s.forget()
		}},
		{"a writer of one-byte items into a stream that ends", 10, 0, func(s *side) {
			s.id++
			s.send(request(s.id, feeds, "curt", ""))
			synctest.Wait() // its answer is here, but on its way still
			s.send(msg(bytes.Repeat(formed(mine(wire.Item, s.id, "x"), wire.Bytes), firstWindow/(1+itemCost)), mine(wire.Cancel, s.id, "")))
			synctest.Wait()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &side{raw: greeted(t, limitMux(), Options{KeepAlive: -1})}
				s.acks = true
				for i := range test.times {
					test.do(s)
					time.Sleep(test.pause)
					if err := s.peer.Err(); err != nil {
						t.Fatalf("cut in round %d: %v", i, err)
					}
				}
				if n := len(s.log.lines()); n > 0 {
					t.Errorf("%d lines were logged", n)
				}
			})
		})
	}
}

// Our own peers never flood, however they are used.
func TestPeersDoNotFlood(t *testing.T) {
	a, b := join(t, limitMux(), limitMux(), nil, nil)
	var wait sync.WaitGroup
	for i := range 32 {
		wait.Go(func() {
			from := []*Peer{a, b}[i%2]
			for k := range 60 {
				switch k % 4 {
				case 0:
					hi.Call(t.Context(), from, "x")
				case 1:
					ctx, cancel := context.WithCancel(t.Context())
					p := from.Send(ctx, "hang")
					cancel()
					p.Await(nil)
				case 2:
					for range dots.Call(t.Context(), from, 200) {
						break
					}
				case 3:
					curt.Call(t.Context(), from, struct{}{}, func(yield func([]byte, error) bool) {
						for yield([]byte("x"), nil) {
						}
					})
				}
			}
		})
	}
	wait.Wait()
	for _, p := range []*Peer{a, b} {
		if err := p.Err(); err != nil {
			t.Error(err)
		}
		p.mu.Lock()
		left := p.patience.left
		p.mu.Unlock()
		t.Logf("in vain: %d, patience left: %d, late: %d", p.Stats().InVain, left, p.Stats().Late)
	}
}
