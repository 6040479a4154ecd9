package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

// connect gives two peers that serve each other from muxes, in memory. Over a network it is
// wsrpc.Connect and wsrpc.Handler.
func connect(muxA, muxB *rpc.Mux) (a, b *rpc.Peer) {
	connA, connB := wire.Pipe()
	return rpc.NewPeer(connA, muxA, nil), rpc.NewPeer(connB, muxB, nil)
}

// Both ends serve, and both ends call.
func ExamplePeer() {
	name := func(name string) *rpc.Mux {
		mux := rpc.NewMux(rpc.Public)
		mux.Func("name", func() string { return name })
		return mux
	}
	ann, bob := connect(name("ann"), name("bob"))
	defer ann.Close()
	defer bob.Close()

	var s string
	ctx := context.Background()
	if err := ann.Send(ctx, "name").Await(&s); err != nil {
		fmt.Println(err)
	}
	fmt.Println("ann talks to", s)
	if err := bob.Send(ctx, "name").Await(&s); err != nil {
		fmt.Println(err)
	}
	fmt.Println("bob talks to", s)
	// Output:
	// ann talks to bob
	// bob talks to ann
}

// A middleware is the same on both sides: here it carries the context of a trace from the
// caller to the handler.
func ExampleMiddleware() {
	type traceKey struct{}
	trace := func(ctx context.Context, call rpc.CallInfo, next func(context.Context) error) error {
		if id, ok := ctx.Value(traceKey{}).(string); ok { // the caller's side
			return next(rpc.WithMetadata(ctx, "traceparent", id))
		}
		fmt.Println(call.Kind, call.Method, "in trace", rpc.Metadata(ctx, "traceparent"))
		return next(ctx)
	}
	mux := rpc.NewMux(rpc.Public)
	mux.Func("add", func(a, b int) int { return a + b })

	connA, connB := wire.Pipe()
	server := rpc.NewPeer(connA, mux, &rpc.Options{OnServe: []rpc.Middleware{trace}})
	client := rpc.NewPeer(connB, nil, &rpc.Options{OnCall: []rpc.Middleware{trace}})
	defer server.Close()
	defer client.Close()

	var sum int
	ctx := context.WithValue(context.Background(), traceKey{}, "00-4bf92f35-00f067aa-01")
	err := client.Send(ctx, "add", 2, 3).Await(&sum)
	fmt.Println(sum, err)
	// Output:
	// call add in trace 00-4bf92f35-00f067aa-01
	// 5 <nil>
}

const Order rpc.Method[string, int] = "order"

// Made twice with one key, a call is executed once: after a lost connection or a restart the
// program asks again and gets the answer it missed.
func ExampleWithKey() {
	mux, orders := rpc.NewMux(rpc.Public), 0
	Order.Handle(mux, func(ctx context.Context, what string) (int, error) {
		orders++ // with a database: in one transaction with rpc.Key(ctx)
		return orders, nil
	}, rpc.Keyed)
	client, server := connect(nil, mux)
	defer client.Close()
	defer server.Close()

	ctx := rpc.WithKey(context.Background(), "of-crypto/rand.Text")
	first, _ := Order.Call(ctx, client, "tea")
	again, _ := Order.Call(ctx, client, "tea")
	_, err := Order.Call(ctx, client, "coffee")
	fmt.Println(first, again, err)
	// Output: 1 1 this key was used with other arguments (invalid_argument)
}

// Division is declared once; caller and server cannot disagree about its types.
type Division struct{ A, B int }

const Divide rpc.Method[Division, int] = "divide"

func ExampleMethod() {
	mux := rpc.NewMux(rpc.Public)
	Divide.Handle(mux, func(_ context.Context, d Division) (int, error) {
		if d.B == 0 {
			return 0, rpc.Errorf(rpc.InvalidArgument, "cannot divide %d by zero", d.A)
		}
		return d.A / d.B, nil
	})
	client, server := connect(nil, mux)
	defer client.Close()
	defer server.Close()

	ctx := context.Background()
	fmt.Println(Divide.Call(ctx, client, Division{42, 6}))
	fmt.Println(Divide.Call(ctx, client, Division{42, 0}))
	// Output:
	// 7 <nil>
	// 0 cannot divide 42 by zero (invalid_argument)
}

func ExampleSource() {
	const countdown rpc.Source[int, int] = "countdown"
	mux := rpc.NewMux(rpc.Public)
	countdown.Handle(mux, func(_ context.Context, from int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for n := from; n > 0; n-- {
				if !yield(n, nil) {
					return // nobody wants more
				}
			}
		}
	})
	client, server := connect(nil, mux)
	defer client.Close()
	defer server.Close()

	for n, err := range countdown.Call(context.Background(), client, 3) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(n)
	}
	// Output:
	// 3
	// 2
	// 1
}

func ExampleSink() {
	const average rpc.Sink[struct{}, float64, float64] = "average"
	mux := rpc.NewMux(rpc.Public)
	average.Handle(mux, func(_ context.Context, _ struct{}, in iter.Seq2[float64, error]) (float64, error) {
		sum, n := 0.0, 0.0
		for v, err := range in {
			if err != nil {
				return 0, err
			}
			sum, n = sum+v, n+1
		}
		return sum / n, nil
	})
	client, server := connect(nil, mux)
	defer client.Close()
	defer server.Close()

	measured := func(yield func(float64, error) bool) {
		_ = yield(1, nil) && yield(2, nil) && yield(6, nil)
	}
	fmt.Println(average.Call(context.Background(), client, struct{}{}, measured))
	// Output: 3 <nil>
}

func ExampleDuplex() {
	const shout rpc.Duplex[string, string, string] = "shout"
	mux := rpc.NewMux(rpc.Public)
	shout.Handle(mux, func(_ context.Context, mark string, in iter.Seq2[string, error]) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for s, err := range in {
				if !yield(strings.ToUpper(s)+mark, err) {
					return
				}
			}
		}
	})
	client, server := connect(nil, mux)
	defer client.Close()
	defer server.Close()

	words := func(yield func(string, error) bool) { _ = yield("hear", nil) && yield("me", nil) }
	for s, err := range shout.Call(context.Background(), client, "!", words) {
		fmt.Println(s, err)
	}
	// Output:
	// HEAR! <nil>
	// ME! <nil>
}

// Plain functions, called by name; no type is shared.
func ExampleMux_Func() {
	mux := rpc.NewMux(rpc.Public)
	mux.Func("login", func(hash, password string) (bool, error) {
		if password != "secret" {
			return false, rpc.Errorf(rpc.Unauthenticated, "wrong name or password")
		}
		return true, nil
	})
	client, server := connect(nil, mux)
	defer client.Close()
	defer server.Close()

	var ok bool
	err := client.Send(context.Background(), "login", "ab12", "secret").Await(&ok)
	fmt.Println(ok, err)
	err = client.Send(context.Background(), "login", "ab12", "guess").Await(&ok)
	fmt.Println(rpc.CodeOf(err))
	// Output:
	// true <nil>
	// unauthenticated
}

// Many calls at once: promises.
func ExamplePromise() {
	mux := rpc.NewMux(rpc.Public)
	mux.Func("square", func(n int) int { return n * n })
	client, server := connect(nil, mux)
	defer client.Close()
	defer server.Close()

	var promises []*rpc.Promise
	for n := range 4 {
		promises = append(promises, client.Send(context.Background(), "square", n))
	}
	for _, p := range promises {
		var n int
		if err := p.Await(&n); err != nil {
			fmt.Println(err)
		}
		fmt.Print(n, " ")
	}
	// Output: 0 1 4 9
}

// What a caller learns of a failure, and what stays with the server.
func ExampleError() {
	mux := rpc.NewMux(rpc.Public)
	mux.Func("find", func(name string) (string, error) {
		return "", rpc.Errorf(rpc.NotFound, "no object is named %q", name)
	})
	client, server := connect(nil, mux)
	defer client.Close()
	defer server.Close()

	err := client.Send(context.Background(), "find", "cat").Await(nil)
	if e, ok := errors.AsType[*rpc.Error](err); ok {
		fmt.Println(e.Code, "-", e.Message, "- executed:", e.Executed)
	}
	err = client.Send(context.Background(), "fnid", "cat").Await(nil)
	fmt.Println(rpc.CodeOf(err), "- executed:", rpc.ExecutedOf(err))
	// Output:
	// not_found - no object is named "cat" - executed: yes
	// unimplemented - executed: no
}

// A stream of bytes, read as any other.
func ExampleReader() {
	const alphabet rpc.Source[int, []byte] = "alphabet"
	mux := rpc.NewMux(rpc.Public)
	rpc.HandleWriter(mux, alphabet, func(_ context.Context, times int, w io.Writer) error {
		for range times {
			if _, err := io.WriteString(w, "abcdefghijklmnopqrstuvwxyz"); err != nil {
				return err
			}
		}
		return nil
	})
	client, server := connect(nil, mux)
	defer client.Close()
	defer server.Close()

	r := rpc.Reader(context.Background(), client, alphabet, 1000)
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	fmt.Println(n, err)
	// Output: 26000 <nil>
}

// A stream of bytes, written as any other.
func ExampleWriter() {
	const store rpc.Sink[string, []byte, int64] = "store"
	mux := rpc.NewMux(rpc.Public)
	var kept bytes.Buffer
	rpc.HandleReader(mux, store, func(_ context.Context, name string, r io.Reader) (int64, error) {
		fmt.Fprint(&kept, name, ": ")
		return io.Copy(&kept, r)
	})
	client, server := connect(nil, mux)
	defer client.Close()
	defer server.Close()

	w := rpc.Writer(context.Background(), client, store, "greeting")
	fmt.Fprint(w, "hello, ")
	fmt.Fprint(w, "world")
	fmt.Println(w.Result())
	fmt.Println(kept.String())
	// Output:
	// 12 <nil>
	// greeting: hello, world
}

// A rule decides who may call what, here by the peer that asks.
func ExampleAllow() {
	var known sync.Map // handlers and rules run side by side
	loggedIn := func(_ context.Context, method string, peer *rpc.Peer) error {
		if _, ok := known.Load(peer); !ok {
			return rpc.Errorf(rpc.Unauthenticated, "log in before you call %s", method)
		}
		return nil
	}
	mux := rpc.NewMux(loggedIn)
	mux.Func("login", func(ctx context.Context) { known.Store(rpc.PeerFrom(ctx), true) }, rpc.Allow(rpc.Public))
	mux.Func("secret", func() int { return 42 })
	client, server := connect(nil, mux)
	defer client.Close()
	defer server.Close()

	ctx := context.Background()
	var n int
	fmt.Println(client.Send(ctx, "secret").Await(&n))
	fmt.Println(client.Send(ctx, "login").Await(nil))
	err := client.Send(ctx, "secret").Await(&n)
	fmt.Println(n, err)
	// Output:
	// log in before you call secret (unauthenticated)
	// <nil>
	// 42 <nil>
}

// A server may demand a login: until a handler admits the peer, it may do little else.
func ExamplePeer_Admit() {
	mux := rpc.NewMux(rpc.Public)
	mux.Func("login", func(ctx context.Context, word string) bool {
		if word != "sesame" {
			return false
		}
		rpc.PeerFrom(ctx).Admit()
		return true
	})
	mux.Func("secret", func() int { return 42 })
	connA, connB := wire.Pipe()
	client, server := rpc.NewPeer(connA, nil, nil), rpc.NewPeer(connB, mux, &rpc.Options{Login: []string{"login"}})
	defer client.Close()
	defer server.Close()

	ctx := context.Background()
	var n int
	var ok bool
	fmt.Println(client.Send(ctx, "secret").Await(&n))
	err := client.Send(ctx, "login", "sesame").Await(&ok)
	fmt.Println(ok, err)
	err = client.Send(ctx, "secret").Await(&n)
	fmt.Println(n, err)
	// Output:
	// log in first: [login] (unauthenticated)
	// true <nil>
	// 42 <nil>
}
