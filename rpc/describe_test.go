package rpc

import (
	"context"
	"fmt"
	"iter"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/chumsync/chum/wire"
)

// Types of the methods that describedMux has, one for each way to travel.
type (
	note struct {
		Title string   `json:"title"`
		Text  string   `json:"text,omitempty"`
		After *note    `json:"after,omitempty"`
		Tags  []string `json:"tags,omitzero"`
	}
	attachment struct {
		Name string `json:"name"`
		Mode uint16 `json:"mode,omitempty"`
		Data []byte `json:"data,omitempty"`
	}
	only   struct{ All map[string]int }
	merged struct {
		note
		Extra bool `json:"extra"`
	}
)

// serveOne puts a method on a Mux that answers with what it got.
func serveOne[T any](m *Mux, name string, options ...HandleOption) {
	Method[T, T](name).Handle(m, func(_ context.Context, v T) (T, error) { return v, nil }, options...)
}

func describedMux() *Mux {
	m := NewMux(Public)
	serveOne[struct{}](m, "none")
	serveOne[note](m, "members")
	serveOne[merged](m, "merged")
	serveOne[only](m, "only")
	serveOne[[]int](m, "one")
	serveOne[*note](m, "pointer")
	serveOne[any](m, "interface")
	serveOne[[]byte](m, "bytes", Allow(Public, "nobody"))
	serveOne[attachment](m, "pair", Pure)
	serveOne[Value](m, "any")
	Source[int, note]("source").Handle(m, func(context.Context, int) iter.Seq2[note, error] { return None[note]() })
	Sink[string, attachment, []byte]("sink").Handle(m, func(context.Context, string, iter.Seq2[attachment, error]) ([]byte, error) { return nil, nil })
	m.Func("func.none", func(context.Context) error { return nil })
	m.Func("func.one", func(note) any { return nil })
	m.Func("func.list", func(int8, note) *note { return nil })
	m.Func("func.pair", func(string, []byte) []byte { return nil })
	m.Describe(map[string]string{
		"members":                                  "A comment\nof two lines.",
		"github.com/chumsync/chum/rpc.note":        "A note.",
		"github.com/chumsync/chum/rpc.note.Title":  "what stands above",
		"github.com/chumsync/chum/rpc.merged.note": "inlined, so not told",
	})
	return m
}

// spec/vectors/methods.json is what "rpc.methods" answers for methods of each sort.
func TestMethodVectors(t *testing.T) {
	d := describedMux().Methods()
	d.Methods = slices.DeleteFunc(d.Methods, func(m MethodInfo) bool { return m.Name == "rpc.methods" })
	for name := range d.Defs {
		if strings.HasPrefix(name, "rpc.Description") || strings.HasPrefix(name, "rpc.MethodInfo") || strings.HasPrefix(name, "rpc.TypeInfo") {
			delete(d.Defs, name)
		}
	}
	text, err := json.Marshal(d, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	var read Description
	vectorFile(t, "methods.json", jsonRaw(text), &read)
	spec, err := os.ReadFile("../spec/README.md")
	if err != nil {
		t.Fatal(err)
	}
	if hash := read.Hash(); !strings.Contains(string(spec), "their hash in a hello is `"+hash+"`") || hash != describedMux().schemaHash() {
		t.Errorf("the hash of methods.json is %s; the specification says another", hash)
	}
}

// jsonRaw lets encoding/json write a text.
type jsonRaw []byte

func (r jsonRaw) MarshalJSON() ([]byte, error) { return r, nil }

// sent are parameters as a caller writes them.
type sent struct {
	form wire.Form
	b    []byte
	err  error
}

// What a description says of parameters is what a caller sends.
func TestParamsAreDescribed(t *testing.T) {
	d := describedMux().Methods()
	whole, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	c, n := newChecker(), &note{Title: "a", After: &note{Title: "b"}}
	typed := func(form wire.Form, b []byte, err error) sent { return sent{form, b, err} }
	untyped := func(args ...any) sent { return typed(appendArgs(nil, args, false)) }
	for _, tt := range []struct {
		method string
		form   string
		sends  []sent
	}{
		{"none", "none", []sent{typed(appendParams(nil, &struct{}{}, false)), untyped()}},
		{"members", "json", []sent{typed(appendParams(nil, n, false)), untyped(*n)}},
		{"merged", "json", []sent{typed(appendParams(nil, &merged{note: *n}, false)), untyped(merged{})}},
		{"only", "json", []sent{typed(appendParams(nil, &only{}, false)), untyped(only{})}},
		{"one", "json", []sent{typed(appendParams(nil, &[]int{1}, false)), untyped([]int{})}},
		{"pointer", "json", []sent{typed(appendParams(nil, &n, false)), untyped(n), untyped(nil)}},
		{"interface", "json", []sent{typed(appendParams(nil, new(any), false)), untyped(1), untyped(nil)}},
		{"bytes", "bytes", []sent{typed(appendParams(nil, &[]byte{1}, false)), untyped([]byte{})}},
		{"pair", "pair", []sent{typed(appendParams(nil, &attachment{Data: []byte("x")}, false)), untyped(attachment{})}},
		{"func.none", "none", []sent{untyped()}},
		{"func.one", "json", []sent{untyped(*n)}},
		{"func.list", "json", []sent{untyped(1, n)}},
		{"func.pair", "pair", []sent{untyped("a", []byte("x"))}},
	} {
		i := slices.IndexFunc(d.Methods, func(m MethodInfo) bool { return m.Name == tt.method })
		info := d.Methods[i].Args
		if info.Form != tt.form {
			t.Errorf("%s: form %s, want %s", tt.method, info.Form, tt.form)
		}
		for _, send := range tt.sends {
			if send.err != nil {
				t.Fatal(send.err)
			}
			var v Value
			if err := v.set(send.form, send.b); err != nil {
				t.Fatal(err)
			}
			if form := send.form.String(); form != info.Form && (form != "json" || info.Form != "none") {
				t.Errorf("%s: %s sent, %s said", tt.method, form, info.Form)
			}
			if info.Form == "none" || info.Form == "bytes" {
				if len(v.JSON) > 0 || info.Schema != nil {
					t.Errorf("%s: JSON %s, schema %s", tt.method, v.JSON, info.Schema)
				}
				continue
			}
			if err := check(t, c.compile(t, whole, fmt.Sprintf("/methods/%d/args/schema", i)), v.JSON); err != nil {
				t.Errorf("%s sends %s: %v", tt.method, v.JSON, err)
			}
		}
	}
}

func TestPositionsAreDescribed(t *testing.T) {
	got := map[string][]string{}
	for _, m := range describedMux().Methods().Methods {
		if m.Args.Positions != nil {
			got[m.Name] = append(m.Args.Positions, m.Args.Raw)
		}
	}
	want := map[string][]string{
		"members": {"title", "text", "after", "tags", ""}, "func.one": {"title", "text", "after", "tags", ""},
		"only": {"All", ""}, "pair": {"name", "mode", "data", "data"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

type guard struct{}

func (guard) Allow(context.Context, string, *Peer) error { return nil }

func onlyFrom(name string) Rule {
	return func(context.Context, string, *Peer) error { return fmt.Errorf("not %s", name) }
}

func ruleOf[T any](context.Context, string, *Peer) error { return nil }

var ruleInVariable = func(context.Context, string, *Peer) error { return nil }

func TestRuleNames(t *testing.T) {
	for want, rule := range map[string]Rule{
		"public": Public, "allow": guard{}.Allow, "onlyFrom": onlyFrom("x"), "ruleOf": ruleOf[int], "": ruleInVariable,
		"testRuleNames": func(context.Context, string, *Peer) error { return nil },
	} {
		if got := ruleName(rule); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	m := NewMux(Public)
	m.Func("named", func() {}, Allow(onlyFrom("x"), "friends"))
	m.Func("own", func() {}, Allow(onlyFrom("x")))
	m.Func("all", func() {})
	got := map[string]string{}
	for _, i := range m.Methods().Methods {
		got[i.Name] = i.Rule
	}
	want := map[string]string{"named": "friends", "own": "onlyFrom", "all": "public", "rpc.methods": "public"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Comments come before or behind the methods, from several packages, and what is put on a Mux
// later is told, too.
func TestDescribe(t *testing.T) {
	m := NewMux(Public)
	m.Describe(map[string]string{"a": "first", "b": "second"})
	m.Func("a", func() {})
	if d := m.Methods(); len(d.Methods) != 2 || d.Methods[0].Doc != "first" {
		t.Error(d)
	}
	m.Func("b", func(note) {})
	m.Describe(map[string]string{"a": "third", "github.com/chumsync/chum/rpc.note": "A note."})
	d := m.Methods()
	if len(d.Methods) != 3 || d.Methods[0].Doc != "third" || d.Methods[1].Doc != "second" || d.Methods[2].Doc == "" {
		t.Error(d)
	}
	if !strings.HasPrefix(string(d.Defs["rpc.note"]), `{"description":"A note."`) {
		t.Error(string(d.Defs["rpc.note"]))
	}
}

type (
	same    struct{ A int }
	badSelf struct{}
)

func (badSelf) MarshalText() ([]byte, error) { return nil, nil }
func (badSelf) JSONSchema() jsontext.Value   { return jsontext.Value(`["string"]`) }

// Two types of one name have two definitions, and a recursive one has an end.
func TestDefinitions(t *testing.T) {
	type same2 = same
	inner := func() reflect.Type {
		type same struct{ B string }
		return reflect.TypeFor[same]()
	}()
	s := &schemer{names: map[reflect.Type]string{}, defs: map[string]jsontext.Value{}}
	for typ, want := range map[reflect.Type]string{
		reflect.TypeFor[node](): "rpc.node", reflect.TypeFor[pairOf[*node, []same2]](): "rpc.pairOf_rpc.node_rpc.same",
	} {
		if got := s.schema(typ)[0].value; got != "#/$defs/"+want {
			t.Errorf("%v, want %s", got, want)
		}
	}
	if a, b := s.schema(reflect.TypeFor[same]())[0].value, s.schema(inner)[0].value; a != "#/$defs/rpc.same" || b != "#/$defs/rpc.same_2" {
		t.Error(a, b)
	}
	if text := panics(func() { s.schema(reflect.TypeFor[badSelf]()) }); !strings.Contains(text, "rpc.badSelf.JSONSchema gives no JSON object") {
		t.Error(text)
	}
}
