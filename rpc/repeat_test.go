package rpc

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

func TestMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMux(Public)
		m.Func("echo", Metadata)
		a, _ := pair(t, m)
		ask := func(ctx context.Context, key string) (s string, err error) {
			err = a.Send(ctx, "echo", key).Await(&s)
			return s, err
		}
		ctx := WithMetadata(WithMetadata(t.Context(), "traceparent", "00-1"), "tenant", "blue")
		ctx = WithMetadata(ctx, "traceparent", "00-2")
		for key, want := range map[string]string{"traceparent": "00-2", "tenant": "blue", "none": ""} {
			if got, err := ask(ctx, key); err != nil || got != want {
				t.Errorf("%s: %q, %v", key, got, err)
			}
		}
		if got, err := ask(t.Context(), "tenant"); err != nil || got != "" {
			t.Error(got, err)
		}
		for _, bad := range []context.Context{
			WithMetadata(ctx, "", "x"), WithMetadata(ctx, "Upper", "x"), WithMetadata(ctx, "rpc.key", "x"),
			WithMetadata(ctx, "k", "\xff"), WithMetadata(ctx, "k", string(make([]byte, 4096))), WithKey(ctx, "short"),
		} {
			_, err := ask(bad, "k")
			fails(t, err, InvalidArgument, No, "not sent")
		}
		if Metadata(t.Context(), "k") != "" {
			t.Error("metadata without a call")
		}
	})
}

func TestKeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMux(Public)
		runs := map[string]int{}
		var mu sync.Mutex
		order := Method[int, []string]("order")
		order.Handle(m, func(ctx context.Context, n int) ([]string, error) {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			runs[Key(ctx)]++
			switch n {
			case 13:
				return nil, Errorf(FailedPrecondition, "not today")
			case 14:
				panic("asked for")
			}
			return []string{Key(ctx)}, nil
		}, Keyed)
		a, b := pair(t, m)
		const key = "0123456789abcdef"
		ctx := WithKey(t.Context(), key)
		// At once, from both sides, and again: one run, one answer.
		promises := []*PromiseOf[[]string]{order.Go(ctx, a, 1), order.Go(ctx, b, 1), order.Go(ctx, a, 1)}
		for _, p := range promises {
			if got, err := p.Await(); err != nil || !slices.Equal(got, []string{key}) {
				t.Error(got, err)
			}
		}
		if got, err := order.Call(ctx, b, 1); err != nil || !slices.Equal(got, []string{key}) || runs[key] != 1 {
			t.Error(got, err, runs)
		}
		_, err := order.Call(ctx, a, 2)
		fails(t, err, InvalidArgument, No, "other arguments")
		// One that fails may be tried again.
		bad := WithKey(t.Context(), key+"bad")
		for i := range 3 {
			_, err := order.Call(bad, a, 13)
			fails(t, err, FailedPrecondition, Yes, "not today")
			if runs[key+"bad"] != i+1 {
				t.Error(runs)
			}
		}
		_, err = order.Call(WithKey(t.Context(), key+"panics"), a, 14)
		fails(t, err, Internal, Yes, "panicked")
		// Without a key it is a call like any other.
		for range 2 {
			if _, err := order.Call(t.Context(), a, 1); err != nil {
				t.Error(err)
			}
		}
		if runs[""] != 2 {
			t.Error(runs)
		}
		// Who waits for the first may give up.
		short, cancel := context.WithTimeout(WithKey(t.Context(), key+"short"), 100*time.Millisecond)
		defer cancel()
		first := order.Go(WithKey(t.Context(), key+"short"), a, 1)
		_, err = order.Call(short, b, 1)
		if CodeOf(err) != DeadlineExceeded {
			t.Error(err)
		}
		if _, err := first.Await(); err != nil {
			t.Error(err)
		}
		// After a day it is forgotten.
		time.Sleep(keptFor)
		if _, err := order.Call(ctx, a, 2); err != nil || runs[key] != 2 {
			t.Error(err, runs)
		}
	})
}

// What a Mux keeps of keyed calls is bounded.
func TestKeysAreBounded(t *testing.T) {
	var k keys
	for i := range 3 * keptKeys {
		name := string(varint(uint64(i)))
		e, first, err := k.begin(name, [32]byte{})
		if err != nil || !first {
			t.Fatal(first, err)
		}
		k.finish(e, wire.Bytes, make([]byte, 4096), nil)
	}
	if k.order.Len() > keptKeys || k.bytes > keptBytes || len(k.m) != k.order.Len() {
		t.Error(k.order.Len(), k.bytes, len(k.m))
	}
}
