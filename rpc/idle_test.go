package rpc

import (
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// What stands still while the other side owes something ends, and what rests does not.
func TestIdleStream(t *testing.T) {
	const limit = 40 * time.Second
	type ends struct {
		here  bool // our call 1 ends, as deadline_exceeded
		there bool // the raw side's call 1 is told so
		ran   Executed
	}
	item := func(n int) []byte { return formed(mine(wire.Item, 1, make([]byte, n)), wire.Bytes) }
	for _, test := range []struct {
		name  string
		begin func(r *raw)
		each  func(r *raw) // each 10 s
		ends  *ends        // nil: it goes on
	}{
		{"long arguments, then silence", func(r *raw) { r.send(long(request(1, 0, "echo", uvarint(1<<20)+"x"))) }, nil, &ends{there: true, ran: No}},
		{"long arguments, a byte each 10 s", func(r *raw) { r.send(long(request(1, 0, "echo", uvarint(1<<20)+"x"))) }, func(r *raw) {
			r.send(mine(wire.Part, 1, "x"))
		}, &ends{there: true, ran: No}},
		{"long arguments, a KiB each 10 s", func(r *raw) { r.send(long(request(1, 0, "echo", uvarint(1<<20)+"x"))) }, func(r *raw) {
			r.send(mine(wire.Part, 1, make([]byte, 1<<10)))
		}, nil},
		{"a long item, then silence", func(r *raw) {
			r.send(request(1, feeds, "deaf", ""), long(mine(wire.Item, 1, uvarint(1<<20)+"x")))
		}, nil, &ends{there: true, ran: Yes}},
		{"a sink that rests", func(r *raw) { r.send(request(1, feeds, "deaf", ""), item(10)) }, nil, nil},
		{"a source that rests", func(r *raw) { r.send(request(1, takes, "hasty", "")) }, nil, nil},
		{"a reader that stops", func(r *raw) { r.send(request(1, takes, "dots", "[1000000]")) }, nil, &ends{there: true, ran: Yes}},
		{"a reader that gives credit by the byte", func(r *raw) { r.send(request(1, takes, "dots", "[1000000]")) }, func(r *raw) {
			r.send(mine(wire.Credit, 1, "\x01"))
		}, &ends{there: true, ran: Yes}},
		{"a slow reader", func(r *raw) { r.send(request(1, takes, "dots", "[1000000]")) }, func(r *raw) {
			r.send(mine(wire.Credit, 1, uvarint(100)))
		}, nil},
		{"a long result, then silence", func(r *raw) {
			go hi.Call(r.t.Context(), r.peer, "x")
			r.got(wire.Request)
			r.send(long(yours(wire.Result, 1, uvarint(1<<20)+"x")))
		}, nil, &ends{here: true, ran: Maybe}},
		{"a handler that reads no more", func(r *raw) {
			go sum.Call(r.t.Context(), r.peer, struct{}{}, forever())
		}, nil, &ends{here: true, ran: Maybe}},
		{"a handler that is not fed", func(r *raw) {
			go sum.Call(r.t.Context(), r.peer, struct{}{}, func(yield func(int, error) bool) {
				if yield(1, nil) {
					<-r.peer.Done()
				}
			})
		}, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := greeted(t, limitMux(), Options{IdleStream: limit, KeepAlive: -1, CallTimeout: -1})
				test.begin(r)
				began := time.Now()
				over := func() bool {
					errs := r.got(wire.Error)
					return len(errs) > 0 || r.peer.Stats().Out.Failed > 0
				}
				for !over() && time.Since(began) < 10*limit {
					time.Sleep(10 * time.Second)
					if test.each != nil {
						test.each(r)
					}
				}
				d := time.Since(began)
				switch {
				case test.ends == nil:
					if d < 10*limit {
						t.Errorf("ended after %v: %v", d, r.got(wire.Error))
					}
				case d < limit || d > 2*limit:
					t.Errorf("ended after %v, want between %v and twice that", d, limit)
				case test.ends.here != (len(r.got(wire.Cancel)) == 1):
					t.Errorf("%d cancels", len(r.got(wire.Cancel)))
				case test.ends.there:
					if e := parseError(r.got(wire.Error)[0].Payload); e.Code != DeadlineExceeded || e.Executed != test.ends.ran {
						t.Errorf("%+v", e)
					}
				}
				if err := r.peer.Err(); err != nil {
					t.Errorf("cut: %v", err)
				}
				r.peer.Close()
				r.gone()
			})
		})
	}
}

func forever() iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for yield(1, nil) {
		}
	}
}
