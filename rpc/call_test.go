package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/wire"
)

func TestCallSizes(t *testing.T) {
	a, b := pair(t, testMux())
	for _, n := range []int{0, 1, 1000, bulkFrom - 1, bulkFrom, wire.MaxFrame, wire.MaxFrame + 1, 1 << 20, 8 << 20} {
		sent := make([]byte, n)
		for i := range sent {
			sent[i] = byte(i * 7 >> 3)
		}
		for _, p := range []*Peer{a, b} {
			if got, err := echo.Call(t.Context(), p, sent); err != nil || string(got) != string(sent) {
				t.Fatalf("%d bytes: %d came back, %v", n, len(got), err)
			}
		}
		idle(t, a, b)
	}
}

// A reader that answers while it reads hangs here: both sides write, nobody reads.
func TestUnknownMethodsBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		for range 20 {
			var promises []*Promise
			for range 500 {
				promises = append(promises, a.Send(t.Context(), "nope"), b.Send(t.Context(), "nope"))
			}
			for _, p := range promises {
				fails(t, p.Await(nil), Unimplemented, No, `no method "nope"`)
			}
			time.Sleep(500 * time.Second / patiencePerSecond) // faster is a flood
		}
		var wait sync.WaitGroup
		for range 200 {
			for _, p := range []*Peer{a, b} {
				wait.Go(func() {
					for range 10 {
						if _, err := hi.Call(t.Context(), p, ""); CodeOf(err) != Unimplemented {
							t.Error(err)
						}
					}
				})
			}
		}
		wait.Wait()
		idle(t, a, b)
	})
}

// anyCall makes one of the calls of testMux and checks the answer.
func anyCall(ctx context.Context, p *Peer, r *rand.Rand) error {
	n := r.IntN(300)
	if r.IntN(10) == 0 {
		n = r.IntN(100_000)
	}
	wrong := func(what string, got any) error { return fmt.Errorf("%s of %d gives %v", what, n, got) }
	switch r.IntN(9) {
	case 0:
		s, err := hi.Call(ctx, p, fmt.Sprint(n))
		if err != nil || s != "hi "+fmt.Sprint(n) {
			return errors.Join(err, wrong("hi", s))
		}
	case 1:
		b, err := echo.Call(ctx, p, make([]byte, n))
		if err != nil || len(b) != n {
			return errors.Join(err, wrong("echo", len(b)))
		}
	case 2:
		var v int
		if err := p.Send(ctx, "add", n, 1).Await(&v); err != nil || v != n+1 {
			return errors.Join(err, wrong("add", v))
		}
	case 3:
		n = min(n, 2000)
		v := 0
		for i, err := range count.Call(ctx, p, n) {
			if err != nil || i != v {
				return errors.Join(err, wrong("count", i))
			}
			v++
		}
		if v != n {
			return wrong("count", v)
		}
	case 4:
		n = min(n, 2000)
		if v, err := sum.Call(ctx, p, struct{}{}, ints(n)); err != nil || v != n*(n-1)/2 {
			return errors.Join(err, wrong("sum", v))
		}
	case 5:
		n = min(n, 2000)
		v := 0
		for i, err := range twice.Call(ctx, p, struct{}{}, ints(n)) {
			if err != nil || i != 2*v {
				return errors.Join(err, wrong("twice", i))
			}
			v++
		}
		if v != n {
			return wrong("twice", v)
		}
	case 6:
		if k, err := io.Copy(io.Discard, Reader(ctx, p, zero, int64(n))); err != nil || k != int64(n) {
			return errors.Join(err, wrong("zero", k))
		}
	case 7:
		w := Writer(ctx, p, eat, struct{}{})
		if _, err := w.Write(make([]byte, n)); err != nil {
			return err
		}
		if k, err := w.Result(); err != nil || k != int64(n) {
			return errors.Join(err, wrong("eat", k))
		}
	case 8:
		if err := p.Send(ctx, "nope", n).Await(nil); CodeOf(err) != Unimplemented {
			return errors.Join(err, wrong("nope", nil))
		}
	}
	return nil
}

func TestMixedCallsBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, testMux())
		var wait sync.WaitGroup
		for seed := range uint64(32) {
			p := []*Peer{a, b}[seed%2]
			wait.Go(func() {
				r := rand.New(rand.NewPCG(seed, 1))
				for range 60 {
					if err := anyCall(t.Context(), p, r); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wait.Wait()
		idle(t, a, b)
	})
}

func TestHandlerFailures(t *testing.T) {
	const failing Method[string, int] = "failing"
	secret := errors.New("the password is swordfish")
	tests := []struct {
		name    string
		handler func(ctx context.Context) error
		code    Code
		text    string // of the message
		log     string
	}{
		{"error", func(context.Context) error { return secret }, Internal, "the handler failed", "swordfish"},
		{"wrapped error", func(context.Context) error { return fmt.Errorf("deep: %w", secret) }, Internal, "the handler failed", "deep: the password"},
		{"panic", func(context.Context) error { panic(secret) }, Internal, "the handler panicked", "swordfish"},
		{"panic with nil", func(context.Context) error { panic(nil) }, Internal, "the handler panicked", "nil"},
		{"nil map", func(context.Context) error { var m map[int]int; m[1] = 1; return nil }, Internal, "the handler panicked", "nil map"},
		{"Goexit", func(context.Context) error { runtime.Goexit(); return nil }, Internal, "ended without an answer", ""},
		{"rpc.Error", func(context.Context) error { return Errorf(NotFound, "no %s", "cat") }, NotFound, "no cat", ""},
		{"wrapped rpc.Error", func(context.Context) error { return fmt.Errorf("swordfish: %w", Errorf(Aborted, "again")) }, Aborted, "again", ""},
		{"its context", func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx.Err()
		}, Cancelled, "the handler was cancelled", ""},
		{"a context's deadline", func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 0)
			defer cancel()
			return ctx.Err()
		}, DeadlineExceeded, "the handler's time was over", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mux := testMux()
			failing.Handle(mux, func(ctx context.Context, _ string) (int, error) { return 0, tt.handler(ctx) })
			var log record
			a, b := join(t, nil, mux, nil, log.options())
			other := a.Send(t.Context(), "hang")
			_, err := failing.Call(t.Context(), a, "x")
			fails(t, err, tt.code, Yes, tt.text)
			if strings.Contains(err.Error(), "swordfish") {
				t.Errorf("the text of the handler's error came over: %v", err)
			}
			if !strings.Contains(log.String(), tt.log) {
				t.Errorf("log %q, want %q in it", &log, tt.log)
			}
			if want := tt.log != ""; want != strings.Contains(log.String(), "method=failing") {
				t.Errorf("log: %q", &log)
			}
			// Only that call failed.
			if s, err := hi.Call(t.Context(), a, "b"); err != nil || s != "hi b" {
				t.Error(s, err)
			}
			select {
			case <-other.Done():
				t.Error("another call ended:", other.Await(nil))
			default:
			}
			if n := b.Stats().In.Open; n != 1 && eventually(func() string {
				if b.Stats().In.Open == 1 {
					return ""
				}
				return "no"
			}) != "" {
				t.Errorf("%d handlers run, want the hanging one", n)
			}
		})
	}
}

func TestErrorTravels(t *testing.T) {
	mux := NewMux(Public)
	sent := &Error{Code: FailedPrecondition, Message: "ünïcode \u0000 \"quoted\"", Data: jsontext.Value(`{"a":[1,2]}`), Executed: No}
	mux.Func("fail", func() error { return sent })
	mux.Func("long", func() error { return Errorf(Internal, "%s", strings.Repeat("x", 1<<20)) })
	mux.Func("fat", func() error {
		return &Error{Code: NotFound, Data: jsontext.Value(`"` + strings.Repeat("x", 1<<20) + `"`)}
	})
	mux.Func("broken", func() error { return &Error{Code: NotFound, Data: jsontext.Value(`{{`), Message: "\xff"} })
	mux.Func("odd", func() error { return &Error{Code: "teapot", Message: "short and stout"} })
	a, _ := pair(t, mux)

	var e *Error
	if err := a.Send(t.Context(), "fail").Await(nil); !errors.As(err, &e) {
		t.Fatal(err)
	}
	if e.Code != sent.Code || e.Message != sent.Message || string(e.Data) != string(sent.Data) || e.Executed != Yes {
		t.Errorf("%+v came of %+v", e, sent)
	}
	for _, tt := range []struct {
		method string
		code   Code
		text   string
	}{
		{"long", Internal, "xxx..."},
		{"fat", NotFound, ""},
		{"broken", NotFound, "\ufffd"},
		{"odd", Unknown, "teapot: short and stout"},
	} {
		fails(t, a.Send(t.Context(), tt.method).Await(nil), tt.code, Yes, tt.text)
	}
}

// What an error says about whether the handler ran, wherever the call failed.
func TestExecuted(t *testing.T) {
	const wrong Method[string, int] = "hi" // says int where a string comes
	mux := testMux()
	mux.Func("secret", func() {}, Allow(func(context.Context, string, *Peer) error { return errors.New("not you") }))
	mux.Func("login", func() {}, Allow(func(context.Context, string, *Peer) error { return Errorf(Unauthenticated, "log in first") }))
	mux.Func("big", func() []byte { return make([]byte, 100) })
	mux.Func("nan", func() float64 { return nan })
	mux.Func("bad", func() error { return errors.New("bad") })
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithTimeout(t.Context(), -time.Second)
	defer cancelLate()
	tests := []struct {
		name string
		call func(ctx context.Context, p *Peer) error
		code Code
		ran  Executed
		text string
	}{
		{"unknown method", func(ctx context.Context, p *Peer) error { return p.Send(ctx, "nope").Await(nil) }, Unimplemented, No, `no method "nope" here`},
		{"bad name", func(ctx context.Context, p *Peer) error { return p.Send(ctx, "a b").Await(nil) }, InvalidArgument, No, "only letters"},
		{"no name", func(ctx context.Context, p *Peer) error { return p.Send(ctx, "").Await(nil) }, InvalidArgument, No, "1 to 128 bytes"},
		{"long name", func(ctx context.Context, p *Peer) error { return p.Send(ctx, strings.Repeat("x", 129)).Await(nil) }, InvalidArgument, No, "1 to 128 bytes"},
		{"rule", func(ctx context.Context, p *Peer) error { return p.Send(ctx, "secret").Await(nil) }, PermissionDenied, No, "not you"},
		{"rule's code", func(ctx context.Context, p *Peer) error { return p.Send(ctx, "login").Await(nil) }, Unauthenticated, No, "log in first"},
		{"wrong arguments", func(ctx context.Context, p *Peer) error { return p.Send(ctx, "add", "x", 1).Await(nil) }, InvalidArgument, No, "argument 1"},
		{"arguments without JSON", func(ctx context.Context, p *Peer) error { return p.Send(ctx, "add", func() {}).Await(nil) }, InvalidArgument, No, "cannot be sent"},
		{"wrong kind of call", func(ctx context.Context, p *Peer) error { return p.Send(ctx, "count", 1).Await(nil) }, InvalidArgument, No, "count is a source, it was called as a call"},
		{"arguments too long", func(ctx context.Context, p *Peer) error {
			return p.Send(ctx, "hi", strings.Repeat("x", 2000)).Await(nil)
		}, ResourceExhausted, No, "through a stream"},
		{"ended context", func(_ context.Context, p *Peer) error { return p.Send(ended, "hi", "x").Await(nil) }, Cancelled, No, "cancelled"},
		{"late context", func(_ context.Context, p *Peer) error { return p.Send(late, "hi", "x").Await(nil) }, DeadlineExceeded, No, "time is over"},
		{"ended context, stream", func(_ context.Context, p *Peer) error {
			for _, err := range count.Call(ended, p, 1) {
				return err
			}
			return nil
		}, Cancelled, No, "cancelled"},
		{"handler's error", func(ctx context.Context, p *Peer) error { return p.Send(ctx, "bad").Await(nil) }, Internal, Yes, "the handler failed"},
		{"result too long", func(ctx context.Context, p *Peer) error { return p.Send(ctx, "big").Await(nil) }, ResourceExhausted, Yes, "the method should stream"},
		{"result without JSON", func(ctx context.Context, p *Peer) error { return p.Send(ctx, "nan").Await(nil) }, Internal, Yes, "cannot be written as JSON"},
		{"answer of another type", func(ctx context.Context, p *Peer) error { _, err := wrong.Call(ctx, p, "x"); return err }, DataLoss, Yes, "not a int"},
		{"answer of another type, awaited", func(ctx context.Context, p *Peer) error { var n int; return p.Send(ctx, "hi", "x").Await(&n) }, DataLoss, Yes, "not a int"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := join(t, nil, mux, &Options{MaxValue: 99}, &Options{MaxValue: 1000})
			if err := a.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			fails(t, tt.call(t.Context(), a), tt.code, tt.ran, tt.text)
			if !strings.Contains(tt.name, "context") {
				idle(t, a, b)
			}
		})
	}
}

var nan = func() float64 { var z float64; return z / z }()

// A connection that breaks tells of each call whether its request can have got out.
func TestExecutedWhenLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, h := withPuppet(t, nil, nil)
		read := p.Send(t.Context(), "read")
		h.expect(wire.Request)
		begun := p.Send(t.Context(), "begun", make([]byte, 1<<20))
		h.expect(wire.Request) // the first frame of many
		synctest.Wait()        // the next message is being written, for ever
		queued := p.Send(t.Context(), "queued")
		long := p.Send(t.Context(), "long", make([]byte, 1<<20))
		synctest.Wait()
		h.conn.Close()
		<-p.Done()
		fails(t, read.Await(nil), Unavailable, Maybe, "connection was lost")
		fails(t, begun.Await(nil), Unavailable, No, "connection was lost") // without all arguments it cannot have run
		fails(t, queued.Await(nil), Unavailable, No, "connection was lost")
		fails(t, long.Await(nil), Unavailable, No, "connection was lost")
		fails(t, p.Send(t.Context(), "later").Await(nil), Unavailable, No, "the connection is gone")
		if err := p.Err(); CodeOf(err) != Unavailable {
			t.Error(err)
		}
	})
}

// A call whose answer does not come ends after the default time, and not before.
func TestCallTimeout(t *testing.T) {
	for _, tt := range []struct {
		name       string
		option     time.Duration
		ctx        time.Duration
		from, till time.Duration // 0: it does not end
	}{
		{"default", 0, 0, 30 * time.Second, 30*time.Second + 2*expireEvery},
		{"option", 3 * time.Second, 0, 3 * time.Second, 3*time.Second + 2*expireEvery},
		{"the context's comes first", 3 * time.Second, time.Second, time.Second, time.Second},
		{"the context's is later", time.Second, time.Minute, time.Minute, time.Minute},
		{"none", -1, 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mux, ended := NewMux(Public), make(chan struct{})
				hang.Handle(mux, func(ctx context.Context, _ struct{}) (struct{}, error) {
					<-ctx.Done()
					<-ended // its own clock goes off at the same moment: it must not be the first to say so
					return struct{}{}, ctx.Err()
				})
				a, b := join(t, nil, mux, &Options{CallTimeout: tt.option}, nil)
				ctx := t.Context()
				if tt.ctx > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.ctx)
					defer cancel()
				}
				start := time.Now()
				call := func() error { _, err := hang.Call(ctx, a, struct{}{}); return err }
				if tt.till == 0 {
					p := a.Send(ctx, "hang")
					defer close(ended)
					time.Sleep(time.Hour)
					select {
					case <-p.Done():
						t.Error("ended:", p.Await(nil))
					default:
					}
					return
				}
				promise := a.Send(ctx, "hang")
				err := call()
				if took := time.Since(start); took < tt.from || took > tt.till {
					t.Errorf("ended after %v, want %v to %v", took, tt.from, tt.till)
				}
				fails(t, err, DeadlineExceeded, Maybe, "time is over")
				fails(t, promise.Await(nil), DeadlineExceeded, Maybe, "time is over")
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Error("it does not match context.DeadlineExceeded:", err)
				}
				close(ended)
				synctest.Wait()
				if n := b.Stats().In.Open; n != 0 {
					t.Errorf("%d handlers still run", n)
				}
			})
		})
	}
}

func TestStreamsHaveNoDefaultTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow Source[struct{}, int] = "slow"
		mux := NewMux(Public)
		slow.Handle(mux, func(ctx context.Context, _ struct{}) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				if _, ok := ctx.Deadline(); ok {
					t.Error("it has a deadline")
				}
				time.Sleep(time.Hour)
				yield(1, nil)
			}
		})
		a, _ := pair(t, mux)
		n := 0
		for v, err := range slow.Call(t.Context(), a, struct{}{}) {
			if err != nil {
				t.Fatal(err)
			}
			n += v
		}
		if n != 1 {
			t.Error(n)
		}
	})
}

func TestPromise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mux := testMux()
		gate := make(chan struct{})
		mux.Func("wait", func(n int) int { <-gate; return n })
		const wait Method[int, int] = "wait"
		a, _ := pair(t, mux)
		untyped, typed := a.Send(t.Context(), "wait", 1), wait.Go(t.Context(), a, 2)
		synctest.Wait()
		for _, done := range []<-chan struct{}{untyped.Done(), typed.Done()} {
			select {
			case <-done:
				t.Fatal("done before the handler was")
			default:
			}
		}
		close(gate)
		<-untyped.Done()
		<-typed.Done()
		var all sync.WaitGroup
		for range 10 { // by anyone, any number of times
			all.Go(func() {
				var n int
				if err := untyped.Await(&n); err != nil || n != 1 {
					t.Error(n, err)
				}
				if n, err := typed.Await(); err != nil || n != 2 {
					t.Error(n, err)
				}
			})
		}
		all.Wait()
		if err := untyped.Await(nil); err != nil {
			t.Error(err)
		}
		var text string
		fails(t, untyped.Await(&text), DataLoss, Yes, "not a string")
		var v Value
		if err := untyped.Await(&v); err != nil || string(v.JSON) != "1" {
			t.Error(v, err)
		}
	})
}

// A mistake of the program, not of the other side.
func TestAwaitIntoNoPointer(t *testing.T) {
	a, _ := pair(t, testMux())
	for _, into := range []any{1, "x", (*int)(nil), struct{}{}} {
		p := a.Send(t.Context(), "add", 1, 2)
		fails(t, p.Await(into), DataLoss, Yes, "pointer")
	}
}

func TestManyOpenCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		o := &Options{MaxCalls: n}
		mux := NewMux(Public)
		gate := make(chan struct{})
		mux.Func("wait", func(n int) int { <-gate; return n })
		a, b := join(t, nil, mux, nil, o)
		if err := a.Ready(t.Context()); err != nil { // before that it may be no more than 1,024
			t.Fatal(err)
		}
		var promises []*Promise
		for i := range n {
			promises = append(promises, a.Send(t.Context(), "wait", i))
		}
		synctest.Wait()
		if got := b.Stats().In.Open; got != n {
			t.Errorf("%d run, want %d", got, n)
		}
		close(gate)
		for i, p := range promises {
			var v int
			if err := p.Await(&v); err != nil || v != i {
				t.Fatal(i, v, err)
			}
		}
		idle(t, a, b)
	})
}

// Values that the library keeps between calls must not show in another one.
func TestResultsAreTheCallersOwn(t *testing.T) {
	a, _ := pair(t, testMux())
	const raw Method[jsontext.Value, jsontext.Value] = "raw"
	mux := NewMux(Public)
	raw.Handle(mux, func(_ context.Context, v jsontext.Value) (jsontext.Value, error) { return v, nil })
	b, _ := pair(t, mux)
	var kept [][]byte
	var values []jsontext.Value
	for i := range 100 {
		got, err := echo.Call(t.Context(), a, []byte(fmt.Sprintf("%03d", i)))
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, got)
		v, err := raw.Call(t.Context(), b, jsontext.Value(fmt.Sprintf(`"%03d"`, i)))
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	for i := range kept {
		if want := fmt.Sprintf("%03d", i); string(kept[i]) != want || string(values[i]) != `"`+want+`"` {
			t.Fatalf("call %d: %s and %s", i, kept[i], values[i])
		}
	}
}

func TestLoggerIsAsked(t *testing.T) {
	var log record
	old := slog.Default()
	slog.SetDefault(log.options().Logger)
	defer slog.SetDefault(old)
	mux := NewMux(Public)
	mux.Func("fail", func() error { return errors.New("why") })
	ca, cb := wire.Pipe()
	a, b := NewPeer(ca, nil, nil), NewPeer(cb, mux, nil)
	defer leave(t, a, b)
	fails(t, a.Send(t.Context(), "fail").Await(nil), Internal, Yes, "its log says why")
	if !strings.Contains(log.String(), "error=why") {
		t.Errorf("the default log has %q", &log)
	}
}
