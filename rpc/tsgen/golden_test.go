package tsgen

import (
	"context"
	"flag"
	"io"
	"iter"
	"os"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/chumsync/chum/rpc"
)

//go:generate go test . -run ^TestGolden$ -update

var update = flag.Bool("update", false, "write the files of goldenDir anew")

// goldenDir is where files stand that the tests of the TypeScript package run.
const goldenDir = "../../ts/test/generated/"

// Types of the methods that shapesMux has: each way to travel, each sort of schema.
type (
	note struct {
		Title string           `json:"title"`
		Text  string           `json:"text,omitempty"`
		After *note            `json:"after,omitempty"`
		Kids  map[string]*note `json:"kids,omitempty"`
		Tags  []string         `json:"tags,omitzero"`
	}
	attachment struct {
		Name string `json:"name"`
		Mode uint16 `json:"mode,omitempty"`
		Data []byte `json:"data,omitempty"`
	}
	shelf struct { // attachments that are no pair
		Files []attachment  `json:"files"`
		First *attachment   `json:"first"`
		Sum   [8]byte       `json:"sum"`
		Parts [2][]byte     `json:"parts"`
		Empty struct{}      `json:"empty"`
		By    map[int8]kind `json:"by"`
	}
	blob struct { // a pair, and nothing else
		ID   digest `json:"id"`
		Body []byte `json:"body,omitempty"`
	}
	figures struct {
		A int8              `json:"a"`
		B uint32            `json:"b"`
		C int64             `json:"c" minimum:"-9007199254740991" maximum:"9007199254740991"`
		D uint64            `json:"d,string"`
		E float64           `json:"e" minimum:"0"`
		F float32           `json:"f" maximum:"0.5"`
		G float64           `json:"g" minimum:"-1" maximum:"1"`
		H []*int16          `json:"h" minimum:"0"`
		I time.Time         `json:"i"`
		J time.Duration     `json:"j" minimum:"0" maximum:"9007199254740991"`
		K bool              `json:"k"`
		L any               `json:"l"`
		M jsontext.Value    `json:"m,omitzero"`
		N map[digest]*kind  `json:"n"`
		O []*[]bool         `json:"o"`
		P map[string]string `json:"a-b c"`
		Q int32             `json:"class"`
		R level             `json:"level"`
		S either            `json:"either"`
		T []kind            `json:"t"`
		U pair[kind, level] `json:"u"`
		V point             `json:"v"`
		W forest            `json:"w"`
	}
	merged struct {
		note
		Extra bool `json:"extra"`
	}
	only           struct{ All map[string]int32 }
	pair[A, B any] struct {
		First  A
		Second B
	}
	forest []forest
)

// Types that say what their schema is.
type (
	kind   string
	level  int8
	digest [4]byte
	either struct{}
	point  struct{}
)

func (kind) JSONSchema() jsontext.Value {
	return jsontext.Value(`{"title":"Kind","type":"string","enum":["blob","file","a \"tree\"*/"],"deprecated":true}`)
}
func (level) JSONSchema() jsontext.Value { return jsontext.Value(`{"enum":[1,2.5,true,null,"x"]}`) }
func (digest) JSONSchema() jsontext.Value {
	return jsontext.Value(`{"type":"string","pattern":"^[0-9a-f]{8}$"}`)
}
func (digest) MarshalText() ([]byte, error) { return nil, nil }
func (*digest) UnmarshalText([]byte) error  { return nil }
func (either) MarshalJSON() ([]byte, error) { return nil, nil }
func (either) JSONSchema() jsontext.Value {
	return jsontext.Value(`{"anyOf":[{"type":"string","minLength":1,"maxLength":9,"format":"email"},{"type":["integer","null"],"minimum":0,"maximum":9},
		{"const":false},{"type":"array","items":true,"minItems":1,"maxItems":3}]}`)
}
func (point) MarshalJSON() ([]byte, error) { return nil, nil }
func (point) JSONSchema() jsontext.Value {
	return jsontext.Value(`{"type":"array","prefixItems":[{"type":"number"},{"type":"number"}],"minItems":2,"items":false}`)
}

// echo puts a method on a Mux that answers with what it got.
func echo[T any](m *rpc.Mux, name string, options ...rpc.HandleOption) {
	rpc.Method[T, T](name).Handle(m, func(_ context.Context, v T) (T, error) { return v, nil }, options...)
}

func shapesMux() *rpc.Mux {
	m := rpc.NewMux(rpc.Public)
	echo[struct{}](m, "none")
	echo[note](m, "members", rpc.Keyed)
	echo[merged](m, "merged")
	echo[only](m, "only")
	echo[[]int32](m, "one")
	echo[*note](m, "pointer")
	echo[any](m, "interface") // a word of TypeScript
	echo[bool](m, "method")   // what the file imports
	echo[[]byte](m, "bytes")
	echo[attachment](m, "pair", rpc.Pure)
	echo[shelf](m, "shelf")
	echo[blob](m, "blob")
	echo[rpc.Value](m, "any")
	echo[figures](m, "figures")
	echo[kind](m, "delete")
	echo[struct{ A, B int8 }](m, "inline")
	echo[struct {
		Name string
		Data []byte `json:",omitempty"`
	}](m, "inline.pair")
	echo[point](m, "point")
	echo[string](m, "a.b")
	echo[string](m, "a-b") // the same in TypeScript
	echo[string](m, "2nd")
	echo[string](m, "peer")
	echo[string](m, "HTTPGet")
	rpc.Source[int32, note]("source").Handle(m, func(context.Context, int32) iter.Seq2[note, error] { return rpc.None[note]() })
	rpc.HandleWriter(m, rpc.Source[struct{}, []byte]("read"), func(context.Context, struct{}, io.Writer) error { return nil })
	rpc.Sink[string, attachment, []byte]("sink").Handle(m, func(context.Context, string, iter.Seq2[attachment, error]) ([]byte, error) { return nil, nil })
	rpc.HandleReader(m, rpc.Sink[digest, []byte, blob]("write"), func(context.Context, digest, io.Reader) (blob, error) { return blob{}, nil })
	rpc.Duplex[struct{}, string, blob]("duplex").Handle(m, func(context.Context, struct{}, iter.Seq2[string, error]) iter.Seq2[blob, error] {
		return rpc.None[blob]()
	})
	m.Func("func.none", func() {})
	m.Func("func.one", func(note) any { return nil })
	m.Func("func.list", func(int8, *note, digest, digest) *note { return nil })
	m.Func("func.pair", func(string, []byte) []byte { return nil })
	const here = "github.com/chumsync/chum/rpc/tsgen."
	m.Describe(map[string]string{
		"members":                "A comment\nof two lines.\n\nAnd an end: */ alert(1)",
		here + "note":            "A note.",
		here + "note.Title":      "what stands above",
		here + "note.After":      "the one before\n*/",
		here + "blob.Body":       "all of it",
		here + "figures":         "Figures of all sorts.",
		here + "digest":          "A digest.",
		here + "kind":            "What it is.",
		here + "attachment.Data": "what is in it",
	})
	return m
}

// chumMethods are what a chum serves.
func chumMethods(t *testing.T) (d rpc.Description) {
	t.Helper()
	b, err := os.ReadFile("../../spec/vectors/chum.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// What is written stays as it is, unless somebody means to change it.
func TestGolden(t *testing.T) {
	shapes := shapesMux().Methods()
	text, err := json.Marshal(shapes, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "shapes.json", append(text, '\n'))
	for _, tt := range []struct {
		file    string
		methods rpc.Description
		only    []string
	}{
		{"shapes.ts", shapes, nil},
		{"chum.ts", chumMethods(t), nil},
		{"only.ts", chumMethods(t), []string{"getRef", "setRef"}},
		{"empty.ts", rpc.NewMux(rpc.Public).Methods(), nil},
	} {
		o := &Options{Only: tt.only, Import: "../../src/index.ts", Check: "../../src/check.ts"}
		got, err := Generate(tt.methods, o)
		if err != nil {
			t.Errorf("%s: %v", tt.file, err)
			continue
		}
		if again, err := Generate(tt.methods, o); err != nil || string(again) != string(got) {
			t.Errorf("%s: written twice, it differs: %v", tt.file, err)
		}
		golden(t, tt.file, got)
	}
}

// golden holds a file to what should be in it.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(goldenDir+file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenDir + file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not what is written (go generate ./rpc/tsgen, if it was meant):\n%s", file, diff)
	}
}
