package rpc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// panics runs f and gives the text it panics with.
func panics(f func()) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprint(r)
		}
	}()
	f()
	return ""
}

// A mistake in what is put on a Mux shows when the program starts, not when somebody calls.
func TestBadRegistrations(t *testing.T) {
	var nilFunc func()
	method := func(name string) func(*Mux) {
		return func(m *Mux) {
			Method[int, int](name).Handle(m, func(context.Context, int) (int, error) { return 0, nil })
		}
	}
	for _, tt := range []struct {
		name string
		put  func(m *Mux)
		text string
	}{
		{"NewMux without a rule", func(*Mux) { NewMux(nil) }, "rpc.Public lets everybody call"},
		{"Allow without a rule", func(m *Mux) { m.Func("x", func() {}, Allow(nil)) }, "Allow needs a rule"},
		{"no name", method(""), "1 to 128 bytes"},
		{"a long name", method(strings.Repeat("x", 129)), "1 to 128 bytes"},
		{"a name with a space", method("a b"), "only letters"},
		{"a name with a slash", method("a/b"), "only letters"},
		{"a name that is not ASCII", method("größe"), "only letters"},
		{"a name with a NUL", method("a\x00"), "only letters"},
		{"a taken name", func(m *Mux) { method("x")(m); m.Func("x", func() {}) }, "on the Mux already"},
		{"the built-in name", method("rpc.methods"), "on the Mux already"},
		{"no function", func(m *Mux) { m.Func("x", 5) }, "int is not a function"},
		{"nil", func(m *Mux) { m.Func("x", nil) }, "is not a function"},
		{"a nil function", func(m *Mux) { m.Func("x", nilFunc) }, "is not a function"},
		{"a variadic function", func(m *Mux) { m.Func("x", func(...int) {}) }, "fixed number of arguments"},
		{"two results", func(m *Mux) { m.Func("x", func() (int, int) { return 0, 0 }) }, "more than a result and an error"},
		{"error first", func(m *Mux) { m.Func("x", func() (error, int) { return nil, 0 }) }, "more than a result and an error"},
		{"three results", func(m *Mux) { m.Func("x", func() (int, int, error) { return 0, 0, nil }) }, "more than a result and an error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if text := panics(func() { tt.put(NewMux(Public)) }); !strings.Contains(text, tt.text) || !strings.HasPrefix(text, "rpc: ") {
				t.Errorf("panic %q, want %q in it", text, tt.text)
			}
		})
	}
	m := NewMux(Public)
	method("A-Z_0.9")(m)
	method(strings.Repeat("x", 128))(m)
}

func TestFuncForms(t *testing.T) {
	mux := NewMux(Public)
	var called atomic.Int32
	mux.Func("nothing", func() { called.Add(1) })
	mux.Func("context", func(ctx context.Context) bool { return PeerFrom(ctx) != nil })
	mux.Func("error", func(fail bool) error {
		if fail {
			return Errorf(NotFound, "gone")
		}
		return nil
	})
	mux.Func("both", func(_ context.Context, n int) (string, error) { return fmt.Sprint(n), nil })
	mux.Func("fails", func() (string, error) { return "dropped", errors.New("x") })
	mux.Func("bytes", func(prefix string, b []byte) []byte { return append([]byte(prefix), b...) })
	mux.Func("pointer", func() *int { return nil })
	mux.Func("any", func(v any) any { return v })
	mux.Func("slice", func(v []int) []int { return v })
	mux.Func("method", strings.NewReplacer("a", "b").Replace)
	a, _ := pair(t, mux)
	for _, tt := range []struct {
		method string
		args   []any
		want   string
	}{
		{"nothing", nil, ""},
		{"context", nil, "true"},
		{"error", []any{false}, ""},
		{"both", []any{5}, `"5"`},
		{"bytes", []any{"a", []byte("b")}, "raw ab"},
		{"pointer", nil, "null"},
		{"any", []any{map[string]any{"a": 1}}, `{"a":1}`},
		{"any", []any{nil}, `null`},
		{"slice", []any{[]int{1, 2}}, `[1,2]`},
		{"method", []any{"banana"}, `"bbnbnb"`},
	} {
		var v Value
		if err := a.Send(t.Context(), tt.method, tt.args...).Await(&v); err != nil {
			t.Errorf("%s: %v", tt.method, err)
			continue
		}
		got := string(v.JSON)
		if v.Body != nil {
			got = "raw " + string(v.Body)
		}
		if got != tt.want && (tt.want != "null" || got != "") {
			t.Errorf("%s gives %q, want %q", tt.method, got, tt.want)
		}
	}
	if called.Load() != 1 {
		t.Error(called.Load())
	}
	fails(t, a.Send(t.Context(), "error", true).Await(nil), NotFound, Yes, "gone")
	fails(t, a.Send(t.Context(), "fails").Await(nil), Internal, Yes, "")
	fails(t, a.Send(t.Context(), "nothing", 1).Await(nil), InvalidArgument, No, "1 arguments came, () was expected")
}

// Who may call is asked before anything of the call is looked at, and the answer may depend on
// who asks.
func TestRules(t *testing.T) {
	mux := NewMux(func(_ context.Context, method string, _ *Peer) error {
		if strings.HasPrefix(method, "open.") || method == "rpc.methods" {
			return nil
		}
		return fmt.Errorf("%s is not open", method)
	})
	ran := 0
	f := func(int) { ran++ }
	mux.Func("open.a", f)
	mux.Func("closed", f)
	mux.Func("own", f, Allow(Public))
	mux.Func("friends", f, Allow(func(ctx context.Context, method string, peer *Peer) error {
		if method != "friends" || PeerFrom(ctx) != peer {
			t.Errorf("the rule was asked for %q by another", method)
		}
		if peer.Agent() != "friend" {
			return Errorf(Unauthenticated, "say who you are")
		}
		return nil
	}))
	mux.Func("broken", f, Allow(func(context.Context, string, *Peer) error { panic("rule") }))
	stream := func(context.Context, struct{}) iter.Seq2[int, error] { ran++; return ints(1) }
	Source[struct{}, int]("stream").Handle(mux, stream)
	a, _ := join(t, nil, mux, &Options{Agent: "friend"}, nil)
	b, _ := join(t, nil, mux, &Options{Agent: "foe"}, nil)

	for _, method := range []string{"open.a", "own", "friends"} {
		if err := a.Send(t.Context(), method, 1).Await(nil); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	if ran != 3 {
		t.Errorf("%d ran", ran)
	}
	fails(t, a.Send(t.Context(), "closed", 1).Await(nil), PermissionDenied, No, "closed is not open")
	fails(t, a.Send(t.Context(), "closed", "wrong").Await(nil), PermissionDenied, No, "closed is not open")
	fails(t, b.Send(t.Context(), "friends", 1).Await(nil), Unauthenticated, No, "say who you are")
	for _, err := range Source[struct{}, int]("stream").Call(t.Context(), a, struct{}{}) {
		fails(t, err, PermissionDenied, No, "stream is not open")
	}
	// A rule that fails lets nobody through.
	fails(t, a.Send(t.Context(), "broken", 1).Await(nil), Internal, No, "panicked")
	if ran != 3 {
		t.Errorf("%d ran", ran)
	}
}

func TestPeerFromAnywhereElse(t *testing.T) {
	if PeerFrom(t.Context()) != nil {
		t.Error("a peer without a call")
	}
}

func TestMethods(t *testing.T) {
	mux := NewMux(Public)
	echo.Handle(mux, func(_ context.Context, b []byte) ([]byte, error) { return b, nil }, Pure)
	count.Handle(mux, func(context.Context, int) iter.Seq2[int, error] { return ints(1) })
	sum.Handle(mux, func(context.Context, struct{}, iter.Seq2[int, error]) (int, error) { return 0, nil })
	twice.Handle(mux, func(_ context.Context, _ struct{}, in iter.Seq2[int, error]) iter.Seq2[int, error] { return in })
	mux.Func("add", func(context.Context, int, []byte) (string, error) { return "", nil })
	mux.Func("quiet", func() {})
	a, _ := pair(t, mux)
	got, err := Methods.Call(t.Context(), a, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(mux.Methods(), got, cmpopts.IgnoreUnexported(TypeInfo{})); diff != "" {
		t.Error(diff)
	}
	var lines []string
	for _, m := range got.Methods {
		lines = append(lines, fmt.Sprintln(m.Name, m.Kind, m.Args.Go, m.In.Go, m.Result.Go, m.Out.Go, m.Pure, m.Rule))
	}
	want := []string{
		"add call (int, []byte)  string  false public\n",
		"count source int   int false public\n",
		"echo call []byte  []byte  true public\n",
		"quiet call ()  struct{}  false public\n",
		"rpc.methods call struct{}  rpc.Description  true public\n",
		"sum sink struct{} int int  false public\n",
		"twice duplex struct{} int  int false public\n",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

// What is put on a Mux while it serves is there for the next call.
func TestHandleLater(t *testing.T) {
	mux := NewMux(Public)
	a, _ := pair(t, mux)
	fails(t, a.Send(t.Context(), "late").Await(nil), Unimplemented, No, "")
	mux.Func("late", func() {})
	if err := a.Send(t.Context(), "late").Await(nil); err != nil {
		t.Error(err)
	}
}

// A method of another kind than the caller takes it for is not run.
func TestWrongKind(t *testing.T) {
	a, _ := pair(t, testMux())
	for _, err := range Source[string, int]("hi").Call(t.Context(), a, "x") {
		fails(t, err, InvalidArgument, No, "hi is a call, it was called as a source")
	}
	_, err := Sink[struct{}, int, int]("twice").Call(t.Context(), a, struct{}{}, ints(3))
	fails(t, err, InvalidArgument, No, "twice is a duplex, it was called as a sink")
	for _, err := range Duplex[struct{}, int, int]("sum").Call(t.Context(), a, struct{}{}, ints(3)) {
		fails(t, err, InvalidArgument, No, "sum is a sink, it was called as a duplex")
	}
	_, err = Method[int, int]("count").Call(t.Context(), a, 1)
	fails(t, err, InvalidArgument, No, "count is a source, it was called as a call")
}
