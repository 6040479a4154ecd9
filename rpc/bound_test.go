package rpc

import (
	"context"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// What the other side can make this one hold is bounded, and given back.

// A call that is cancelled before its long arguments have come never had a handler. Its slot
// must come back all the same.
func TestCancelAmidLongArguments(t *testing.T) {
	for _, test := range []struct {
		name   string
		method string
		mode   mode
	}{{"call", "echo", 0}, {"sink", "eat", feeds}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := greeted(t, rawMux(), Options{MaxCalls: 4})
				for id := range uint64(10) {
					r.send(
						long(mine(wire.Request, id+1, append(requestHead(test.mode, 0, test.method), uvarint(1<<20)+"begun"...))),
						mine(wire.Cancel, id+1, ""),
					)
				}
				if refused := r.got(wire.Error); len(refused) > 0 {
					t.Errorf("%d calls were refused, the first with %s", len(refused), refused[0].Payload)
				}
				r.atRest()
			})
		})
	}
}

// A call counts as open until its answer was taken, so a side that asks for much and takes
// none of it is held to MaxCalls.
func TestUntakenAnswersCountAsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := greeted(t, rawMux(), Options{MaxCalls: 60})
		// Never acknowledging, so that after the first window no more bulk is sent.
		for id := range uint64(100) {
			r.send(bytesRequest(id+1, 0, "echo", make([]byte, 50<<10)))
			synctest.Wait()
		}
		r.peer.mu.Lock()
		held := len(r.peer.servings)
		r.peer.mu.Unlock()
		if held > 60 {
			t.Errorf("%d answers are held, 60 calls may be open", held)
		}
		refused := r.got(wire.Error)
		if len(refused) == 0 || CodeOf(parseError(refused[0].Payload)) != ResourceExhausted {
			t.Errorf("%d calls were refused, want some, as %s", len(refused), ResourceExhausted)
		}
	})
}

// Long items that nobody reads any more are taken off the account of Options.MaxAssembly.
func TestUnreadLongItems(t *testing.T) {
	item := func(frame func(wire.Kind, uint64, []byte) []byte, id uint64) [][]byte {
		return [][]byte{
			formed(long(frame(wire.Item, id, append([]byte(uvarint(40<<10)), make([]byte, 20<<10)...))), wire.Bytes),
			frame(wire.Part, id, make([]byte, 20<<10)),
		}
	}
	t.Run("handler", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			mux := rawMux()
			const early Sink[struct{}, []byte, string] = "early"
			answer := make(chan struct{})
			early.Handle(mux, func(context.Context, struct{}, iter.Seq2[[]byte, error]) (string, error) {
				<-answer
				return "enough", nil
			})
			r := greeted(t, mux, Options{})
			r.send(request(1, feeds, "early", ""))
			r.send(item(mine, 1)...)
			synctest.Wait()
			close(answer)
			if got := r.got(wire.Result); len(got) != 1 {
				t.Fatalf("%d results", len(got))
			}
			r.atRest()
		})
	})
	t.Run("caller", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const far Source[struct{}, []byte] = "far"
			r := greeted(t, nil, Options{})
			go func() {
				for range r.got(wire.Request) {
					r.send(item(yours, 1)...)
				}
			}()
			for range far.Call(t.Context(), r.peer, struct{}{}) {
				// The second comes while the first is looked at, and all the rest.
				r.send(append(item(yours, 1), yours(wire.End, 1, uvarint(2)), yours(wire.Result, 1, ""))...)
				synctest.Wait()
				break
			}
			r.atRest()
		})
	})
}

// A side that makes this one say much, and takes none of it, is cut.
func TestFloodWithoutReading(t *testing.T) {
	tiny := func(id uint64) []byte { return request(id, 0, "add", "[1,2]") }
	for _, test := range []struct {
		name   string
		one    func(id uint64) []byte
		reason string
	}{
		{"pings", func(uint64) []byte { return conFrame(wire.Ping, "12345678") }, "it floods"},
		{"unknown methods", func(id uint64) []byte { return request(id, 0, "nothing", "") }, "it floods"},
		{"wrong modes", func(id uint64) []byte { return request(id, feeds, "echo", "") }, "it floods"},
		{"too long arguments", func(id uint64) []byte {
			return long(mine(wire.Request, id, append(requestHead(0, 0, "echo"), uvarint(1<<40)...)))
		}, "it floods"},
		{"quick calls", tiny, ""}, // either: more at once than are allowed, or more answers than fit
		{"answers of 8 KB", func(id uint64) []byte { return bytesRequest(id, 0, "echo", make([]byte, bulkFrom-1)) }, "takes none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRaw(t, rawMux(), Options{MaxCalls: 64})
				r.send(goodHello)
				const most = owedLimit + 64*bulkFrom
				sent, id, cut := 0, uint64(0), false
				var batch []byte
				for !cut && sent < 1<<30 {
					for batch = batch[:0]; len(batch) < 64<<10; {
						id++
						batch = append(batch, test.one(id)...)
					}
					sent += len(batch)
					cut = !r.send(batch)
					synctest.Wait() // handlers have answered
					r.peer.mu.Lock()
					waiting := len(r.peer.line.out)
					r.peer.mu.Unlock()
					if waiting > most+64<<10 {
						t.Fatalf("%d bytes wait to be sent after %d were received", waiting, sent)
					}
					cut = cut || r.peer.Err() != nil
				}
				if !cut {
					t.Fatalf("still connected after %d bytes", sent)
				}
				<-r.peer.Done()
				if err := r.peer.Err(); err == nil || !strings.Contains(err.Error(), test.reason) {
					t.Errorf("Err: %v", err)
				}
				r.gone()
			})
		})
	}
}

// What this side's own callers queue is bounded too while the other side takes nothing.
func TestCallsWithoutReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, nil, Options{})
		r.send(goodHello)
		var last *Promise
		n := 0
		args := make([]byte, bulkFrom-1)
		for ; n < 1<<20/bulkFrom*1024; n++ {
			last = r.peer.Send(t.Context(), "echo", args)
			if closed(last.Done()) {
				break
			}
		}
		if err := last.Await(nil); CodeOf(err) != ResourceExhausted || ExecutedOf(err) != No {
			t.Errorf("after %d calls: %v", n, err)
		}
		time.Sleep(helloTime)
		r.gone()
	})
}

// A side that reads but never acknowledges bulk would hold it here for ever.
func TestNeverAcknowledges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := greeted(t, rawMux(), Options{KeepAlive: -1})
		r.send(request(1, takes, "zero", "[1000000000]"), mine(wire.Credit, 1, uvarint(1<<30)))
		if len(r.got(wire.Mark)) == 0 {
			t.Fatal("no mark came")
		}
		began := time.Now()
		<-r.peer.Done()
		if d := time.Since(began); d != ackTime {
			t.Errorf("cut after %v", d)
		}
		if err := r.peer.Err(); err == nil || !strings.Contains(err.Error(), "acknowledged nothing") {
			t.Errorf("Err: %v", err)
		}
		r.gone()
	})
}

// One that acknowledges is never cut for that, however slow it is and however long it rests.
func TestAcknowledgesSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := greeted(t, rawMux(), Options{KeepAlive: -1})
		r.send(request(1, takes, "zero", "[2000000]"), mine(wire.Credit, 1, uvarint(1<<30)))
		began := time.Now()
		for acked := uint64(0); ; {
			bulk := uint64(0)
			for _, f := range r.got(wire.Item) {
				bulk += uint64(len(f.Payload))
			}
			if bulk == acked { // nothing more comes: all has
				break
			}
			time.Sleep(ackTime - time.Second)
			acked = bulk
			r.send(conFrame(wire.Ack, uvarint(acked)+uvarint(uint64(time.Since(began).Microseconds()))))
		}
		if len(r.got(wire.Result)) != 1 {
			t.Error("no result came")
		}
		time.Sleep(time.Hour)
		if err := r.peer.Err(); err != nil {
			t.Errorf("cut: %v", err)
		}
	})
}

// Who has an answer may make the next call at once: the slot of the first, and what its long
// arguments took, are free by then.
func TestSlotIsFreeWithTheAnswer(t *testing.T) {
	mux := testMux()
	mux.Func("length", func(b []byte) int { return len(b) })
	a, _ := join(t, nil, mux, nil, &Options{MaxCalls: 1, MaxStreams: 1, MaxAssembly: 1 << 20})
	long := make([]byte, 1<<20)
	for i := range 300 {
		if _, err := hi.Call(t.Context(), a, "x"); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		if _, err := sum.Call(t.Context(), a, struct{}{}, ints(3)); err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
		if i%10 > 0 {
			continue
		}
		var n int
		if err := a.Send(t.Context(), "length", long).Await(&n); err != nil || n != len(long) {
			t.Fatalf("long arguments %d: %d, %v", i, n, err)
		}
	}
}

// What waits for the other side's hello is bounded as what is sent after it, and streams are
// counted here too: nothing goes out that the other side would have to refuse.
func TestPendingIsBounded(t *testing.T) {
	const far Source[struct{}, []byte] = "far"
	for _, test := range []struct {
		name   string
		begin  func(t *testing.T) *raw
		stream bool
		most   int
	}{
		{"calls before the hello", func(t *testing.T) *raw { return newRaw(t, nil, Options{}) }, false, 1024},
		{"streams before the hello", func(t *testing.T) *raw { return newRaw(t, nil, Options{}) }, true, 256},
		{"calls", func(t *testing.T) *raw { return greeted(t, nil, Options{}) }, false, 1024},
		{"streams", func(t *testing.T) *raw { return greeted(t, nil, Options{}) }, true, 256},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := test.begin(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				one := func() *Promise {
					if !test.stream {
						return r.peer.Send(ctx, "hang")
					}
					c, err := open(ctx, r.peer, string(far), takes, &struct{}{})
					if err != nil {
						c = &call{done: make(chan struct{}), err: err}
						close(c.done)
					}
					return &Promise{c: c}
				}
				for i := range test.most {
					if p := one(); closed(p.Done()) {
						t.Fatalf("call %d: %v", i+1, p.Await(nil))
					}
				}
				fails(t, one().Await(nil), ResourceExhausted, No, "the other side allows no more")
				cancel()
				synctest.Wait()
				ctx = t.Context()
				if p := one(); closed(p.Done()) {
					t.Errorf("after all were given up: %v", p.Await(nil))
				}
			})
		})
	}
}
