package rpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// journal is a middleware that writes down what passes.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(parts ...string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, strings.Join(parts, " "))
}

func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

func (j *journal) around(side string) Middleware {
	return func(ctx context.Context, c CallInfo, next func(context.Context) error) error {
		j.add(side, c.Kind, c.Method)
		err := next(WithMetadata(ctx, "via", side))
		j.add(side, c.Method, "ended", string(CodeOf(err)))
		return err
	}
}

// Each kind of call, made in each way, passes the middlewares of both sides, once.
func TestMiddleware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		m := testMux()
		m.Func("via", func(ctx context.Context) string { return Metadata(ctx, "via") })
		a, _ := join(t, nil, m,
			&Options{OnCall: []Middleware{j.around("outer"), j.around("inner")}},
			&Options{OnServe: []Middleware{j.around("serve")}})
		both := func(kind, method, end string) []string {
			return []string{
				"outer " + kind + " " + method, "inner " + kind + " " + method, "serve " + kind + " " + method,
				"serve " + method + " ended" + end, "inner " + method + " ended" + end, "outer " + method + " ended" + end,
			}
		}
		check := func(what string, want []string) {
			t.Helper()
			synctest.Wait()
			got := j.take()
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s:\n%q\nwant\n%q", what, got, want)
			}
		}
		if s, err := hi.Call(t.Context(), a, "x"); err != nil || s != "hi x" {
			t.Error(s, err)
		}
		check("Call", both("call", "hi", " "))
		if s, err := hi.Go(t.Context(), a, "x").Await(); err != nil || s != "hi x" {
			t.Error(s, err)
		}
		check("Go", both("call", "hi", " "))
		var via string
		if err := a.Send(t.Context(), "via").Await(&via); err != nil || via != "inner" {
			t.Error(via, err)
		}
		check("Send", both("call", "via", " "))
		_, err := hi.Call(t.Context(), a, "panic")
		fails(t, err, Internal, Yes, "panicked")
		check("a panic", []string{"outer call hi", "inner call hi", "serve call hi", "inner hi ended internal", "outer hi ended internal"})
		for n, err := range count.Call(t.Context(), a, 3) {
			if err != nil {
				t.Error(n, err)
			}
		}
		check("a source", both("source", "count", " "))
		if n, err := sum.Call(t.Context(), a, struct{}{}, ints(4)); err != nil || n != 6 {
			t.Error(n, err)
		}
		check("a sink", both("sink", "sum", " "))
		for _, err := range twice.Call(t.Context(), a, struct{}{}, ints(4)) {
			if err != nil {
				t.Error(err)
			}
		}
		check("a duplex", both("duplex", "twice", " "))
		if b, err := io.ReadAll(Reader(t.Context(), a, zero, 100_000)); err != nil || !bytes.Equal(b, make([]byte, 100_000)) {
			t.Error(len(b), err)
		}
		check("bytes down", both("source", "zero", " "))
		w := Writer(t.Context(), a, eat, struct{}{})
		if _, err := w.Write(make([]byte, 100_000)); err != nil {
			t.Error(err)
		}
		if n, err := w.Result(); err != nil || n != 100_000 {
			t.Error(n, err)
		}
		check("bytes up", both("sink", "eat", " "))
	})
}

// A middleware may refuse, on either side, and change the error.
func TestMiddlewareRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		no := errors.New("not on my watch")
		block := func(_ context.Context, c CallInfo, next func(context.Context) error) error { return no }
		swallow := func(ctx context.Context, c CallInfo, next func(context.Context) error) error { return nil }
		rename := func(ctx context.Context, c CallInfo, next func(context.Context) error) error {
			if err := next(ctx); err != nil {
				return Errorf(NotFound, "renamed: %w", err)
			}
			return nil
		}
		again := func(ctx context.Context, c CallInfo, next func(context.Context) error) error {
			return errors.Join(next(ctx), next(ctx))
		}
		ways := map[string]func(*Peer) error{
			"Call":   func(p *Peer) error { _, err := hang.Call(t.Context(), p, struct{}{}); return err },
			"Go":     func(p *Peer) error { _, err := hang.Go(t.Context(), p, struct{}{}).Await(); return err },
			"Send":   func(p *Peer) error { return p.Send(t.Context(), "hang").Await(nil) },
			"Source": func(p *Peer) error { return firstError(count.Call(t.Context(), p, 3)) },
			"Sink":   func(p *Peer) error { _, err := sum.Call(t.Context(), p, struct{}{}, ints(3)); return err },
			"Reader": func(p *Peer) error { _, err := io.ReadAll(Reader(t.Context(), p, zero, 5)); return err },
			"Writer": func(p *Peer) error { _, err := Writer(t.Context(), p, eat, struct{}{}).Result(); return err },
		}
		for name, call := range ways {
			a, _ := join(t, nil, testMux(), &Options{OnCall: []Middleware{block}}, nil)
			if err := call(a); !errors.Is(err, no) {
				t.Errorf("%s, refused by the caller's middleware: %v", name, err)
			}
			a, _ = join(t, nil, testMux(), nil, &Options{OnServe: []Middleware{func(context.Context, CallInfo, func(context.Context) error) error {
				return Errorf(ResourceExhausted, "come back later")
			}}})
			fails(t, call(a), ResourceExhausted, No, "come back later")
		}
		a, _ := join(t, nil, testMux(), &Options{OnCall: []Middleware{rename}}, nil)
		_, err := hi.Call(t.Context(), a, "panic")
		if CodeOf(err) != NotFound || !strings.Contains(err.Error(), "renamed") {
			t.Error(err)
		}
		a, _ = join(t, nil, testMux(), &Options{OnCall: []Middleware{again}}, nil)
		if s, err := hi.Call(t.Context(), a, "x"); err != nil || s != "hi x" { // a plain call may be made twice
			t.Error(s, err)
		}
		if s, err := hi.Go(t.Context(), a, "x").Await(); err != nil || s != "hi x" {
			t.Error(s, err)
		}
		a, _ = join(t, nil, testMux(), &Options{OnCall: []Middleware{swallow}}, nil)
		_, err = hi.Go(t.Context(), a, "x").Await()
		fails(t, err, Cancelled, No, "did not go on")
		// A served call that nobody ran has no result.
		a, _ = join(t, nil, testMux(), nil, &Options{OnServe: []Middleware{swallow}})
		_, err = hi.Call(t.Context(), a, "x")
		fails(t, err, Internal, No, "did not go on")
		fails(t, firstError(count.Call(t.Context(), a, 3)), Internal, No, "did not go on")
	})
}

func TestPeerValues(t *testing.T) {
	type who struct{}
	m := NewMux(Public)
	m.Func("login", func(ctx context.Context, name string) { PeerFrom(ctx).SetValue(who{}, name) })
	m.Func("whoami", func(ctx context.Context) string { s, _ := PeerFrom(ctx).Value(who{}).(string); return s })
	a, _ := pair(t, m)
	for _, want := range []string{"", "ann"} {
		var got string
		if err := a.Send(t.Context(), "whoami").Await(&got); err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
		if err := a.Send(t.Context(), "login", "ann").Await(nil); err != nil {
			t.Error(err)
		}
	}
}
