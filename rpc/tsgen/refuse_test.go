package tsgen

import (
	"context"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/rpc"
)

// described is a method "m" that takes and gives a T.
func described[T any]() rpc.Description { return rpc.Declare(rpc.Method[T, T]("m")) }

// schema is a method "m" with a result of this schema.
func schema(text string) rpc.Description {
	return rpc.Description{Methods: []rpc.MethodInfo{{
		Name: "m", Kind: "call", Args: rpc.TypeInfo{Form: "none"}, Result: rpc.TypeInfo{Form: "json", Schema: jsontext.Value(text)},
	}}}
}

// withArgs is a method "m" with these parameters.
func withArgs(t rpc.TypeInfo) rpc.Description {
	return rpc.Description{Methods: []rpc.MethodInfo{{Name: "m", Kind: "call", Args: t, Result: rpc.TypeInfo{Form: "none"}}}}
}

// What TypeScript cannot hold, and what makes no sense, is an error that says where and what to do.
func TestRefused(t *testing.T) {
	type (
		long  struct{ Deep []map[string]struct{ N *int } }
		proto struct {
			X int8 `json:"__proto__"`
		}
		beside struct {
			A    int8
			Rest map[string]bool `json:",embed"`
		}
		channel struct{ C chan int }
	)
	object := jsontext.Value(`{"type":"object","properties":{"a":{"type":"string"}}}`)
	for _, tt := range []struct {
		name string
		d    rpc.Description
		want string
	}{
		{"int", described[int](), "tsgen: m: args: it is of type int64, and JavaScript's numbers hold integers from -9007199254740991 to 9007199254740991 only: bound the field with tags minimum"},
		{"uint64", described[uint64](), "it is of type uint64"},
		{"deep", described[long](), "tsgen: m: result.Deep[]{}.N: it is of type int64"},
		{"bounds that are too wide", schema(`{"type":"integer","minimum":0,"maximum":9007199254740992}`), "it is an integer without bounds"},
		{"no bounds", schema(`{"type":"integer"}`), "integer without bounds"},
		{"a bound that is none", schema(`{"type":"number","minimum":"0"}`), "a bound of it is no number"},
		{"a number in a list", schema(`{"enum":[9007199254740992]}`), "JavaScript's numbers do not hold"},
		{"a forbidden member", described[proto](), "it has a member __proto__"},
		{"members beside others", described[beside](), "give the others a map of their own"},
		{"a channel", described[channel](), "the keyword not"},
		{"never", schema(`false`), "no value is valid"},
		{"no schema", schema(`[]`), "no JSON object"},
		{"no reference", schema(`{"type":"array","items":{"$ref":"#/$defs/x"}}`), `a reference to "#/$defs/x"`},
		{"a keyword beside a reference", schema(`{"anyOf":[{"type":"string"}],"type":"string"}`), "the keyword type"},
		{"a keyword of another type", schema(`{"type":"string","minimum":1}`), "the keyword minimum"},
		{"patterns of names", schema(`{"type":"object","patternProperties":{"x":{}}}`), "the keyword patternProperties"},
		{"several types", schema(`{"type":["string","number"]}`), `["string" "number"]`},
		{"an unknown type", schema(`{"type":"date"}`), `the type "date"`},
		{"an unknown encoding", schema(`{"type":"string","contentEncoding":"base32"}`), `"base32"`},
		{"an enum of another type", schema(`{"type":"string","enum":[1]}`), "lists 1, which is no string"},
		{"an enum of objects", schema(`{"enum":[{}]}`), "lists {}"},
		{"an empty enum", schema(`{"enum":[]}`), "no value is valid"},
		{"an empty union", schema(`{"anyOf":[]}`), "no value is valid"},
		{"a tuple with more", schema(`{"type":"array","prefixItems":[{}],"minItems":1}`), "items false beside prefixItems"},
		{"a tuple with less", schema(`{"type":"array","prefixItems":[{},{}],"minItems":1,"items":false}`), "minItems beside prefixItems"},
		{"a length that is none", schema(`{"type":"string","minLength":"x"}`), "the keyword minLength"},
		{"required and not declared", schema(`{"type":"object","properties":{},"required":["x"]}`), `requires a member "x"`},
		{"members that are none", schema(`{"type":"object","properties":[]}`), "members of a schema are no object"},
		{"json without a schema", withArgs(rpc.TypeInfo{Form: "json"}), "no schema"},
		{"an unknown form", withArgs(rpc.TypeInfo{Form: "xml"}), `the form "xml"`},
		{"an unknown position", withArgs(rpc.TypeInfo{Form: "json", Schema: object, Positions: []string{"b"}}), `a position "b"`},
		{"raw, and not there", withArgs(rpc.TypeInfo{Form: "pair", Schema: object, Raw: "b"}), `raw member "b"`},
		{"raw, and no bytes", withArgs(rpc.TypeInfo{Form: "pair", Schema: object, Raw: "a"}), "it travels as raw bytes"},
		{"a pair without raw", withArgs(rpc.TypeInfo{Form: "pair", Schema: object}), "a pair without a raw member"},
		{"an unknown kind", rpc.Description{Methods: []rpc.MethodInfo{{Name: "m", Kind: "push"}}}, `the kind "push"`},
		{"a bad name", rpc.Description{Methods: []rpc.MethodInfo{{Name: "m\"); alert(1); (\"", Kind: "call"}}}, "no name of a method"},
		{"a name twice", rpc.Description{Methods: []rpc.MethodInfo{
			{Name: "m", Kind: "call", Args: rpc.TypeInfo{Form: "none"}, Result: rpc.TypeInfo{Form: "none"}},
			{Name: "m", Kind: "call", Args: rpc.TypeInfo{Form: "none"}, Result: rpc.TypeInfo{Form: "none"}},
		}}, `two methods are named "m"`},
	} {
		text, err := Generate(tt.d, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "tsgen: ") || !strings.Contains(err.Error(), tt.want) || text != nil {
			t.Errorf("%s: %v\n%s", tt.name, err, text)
		}
	}
	if _, err := Generate(described[string](), &Options{Only: []string{"m", "n", "o"}}); err == nil || err.Error() != "tsgen: there is no method \"n\"\ntsgen: there is no method \"o\"" {
		t.Error(err)
	}
}

// All methods that cannot be written are told at once, and the others can be written alone.
func TestOnly(t *testing.T) {
	m := rpc.NewMux(rpc.Public)
	echo[int](m, "a")
	echo[string](m, "b")
	rpc.Method[string, struct{ N []uint64 }]("c").Handle(m, func(context.Context, string) (r struct{ N []uint64 }, err error) { return r, nil })
	_, err := Generate(m.Methods(), nil)
	if err == nil || strings.Count(err.Error(), "\n") != 2 || !strings.Contains(err.Error(), "\ntsgen: c: result.N[]: ") {
		t.Errorf("%v", err)
	}
	text, err := Generate(m.Methods(), &Options{Only: []string{"b"}})
	if err != nil || !strings.Contains(string(text), "export const b = ") || strings.Contains(string(text), "export const a = ") {
		t.Errorf("%v: %s", err, text)
	}
	text, err = Generate(m.Methods(), &Options{Only: []string{"rpc.methods"}})
	if err != nil || !strings.Contains(string(text), `method("rpc.methods"`) {
		t.Errorf("what belongs to the protocol, when it is asked for: %v: %s", err, text)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string][2]string{
		"getRef": {"GetRef", "getRef"}, "get-ref.all": {"GetRefAll", "getRefAll"}, "URL": {"URL", "url"}, "HTTPGet": {"HTTPGet", "httpGet"},
		"_x": {"X", "x"}, "...": {"X", "x"}, "2nd": {"X2nd", "x2nd"}, "a.b": {"AB", "aB"}, "A": {"A", "a"}, "rpc.pairOf_a.B_c.D": {"RpcPairOfABCD", "rpcPairOfABCD"},
	} {
		if got := [2]string{pascal(name), camel(name)}; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	got := typeNames([]string{"a.Note", "b.Note", "b.Peer", "c.Other", "c.pairOf_a.Note", "c.b_Peer", "plain"})
	for def, want := range map[string]string{
		"a.Note": "ANote", "b.Note": "BNote", "b.Peer": "BPeer", "c.Other": "Other", "c.pairOf_a.Note": "PairOfANote", "c.b_Peer": "CBPeer", "plain": "Plain",
	} {
		if got[def] != want {
			t.Errorf("%s: %s, want %s", def, got[def], want)
		}
	}
}
