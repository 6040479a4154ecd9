package rpc

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/chumsync/chum/wire"
)

var update = flag.Bool("update", false, "write ../spec/vectors/values.json and conversations.json anew")

// vectorFile holds v, which the test makes, to a file of spec/vectors, and reads that file
// into into.
func vectorFile(t *testing.T, name string, v, into any) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	file := "../spec/vectors/" + name
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, b.Bytes()) {
		t.Errorf("%s is not what this test writes: run it with -update if the protocol was meant to change", file)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// valueVectors are values in each way they may travel; spec/README.md says how to read them.
type valueVectors struct {
	About  string         `json:"about"`
	Shapes []shapeVector  `json:"shapes"`
	Params []valueVector  `json:"params"`
	Values []valueVector  `json:"values"`
	Bad    badValueVector `json:"refused"`
}

type shapeVector struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Members []member `json:"members,omitempty"`
}

type member struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Optional bool   `json:"optional,omitempty"`
}

type valueVector struct {
	Shape   string          `json:"shape"`
	Form    string          `json:"form"`
	Payload string          `json:"payload_hex"`
	Text    string          `json:"payload_text"`
	Value   json.RawMessage `json:"value"`
	Written bool            `json:"written"`
	Plain   bool            `json:"written_plain"`
}

type badValueVector struct {
	Params []badValue `json:"params"`
	Values []badValue `json:"values"`
}

type badValue struct {
	Why     string `json:"why"`
	Shape   string `json:"shape"`
	Form    string `json:"form"`
	Payload string `json:"payload_hex"`
	Text    string `json:"payload_text"`
}

// The Go types behind the shapes.
type (
	vectorPoint struct {
		X int `json:"x"`
		Y int `json:"y,omitzero"`
	}
	vectorPut struct {
		Name string `json:"name"`
		Data []byte `json:"data"`
	}
	vectorLone struct {
		Labels map[string]int `json:"labels"`
	}
)

// codec reads and writes one type.
type codec struct {
	readParams, readValue   func(wire.Form, []byte) (any, error)
	writeParams, writeValue func(value []byte) (wire.Form, []byte)
	plainParams, plainValue func(value []byte) (wire.Form, []byte) // to a side that takes form json only
}

func codecOf[T any]() codec {
	write := func(f func([]byte, *T, bool) (wire.Form, []byte, error), plain bool) func([]byte) (wire.Form, []byte) {
		return func(value []byte) (wire.Form, []byte) {
			var v T
			if err := jsonv2.Unmarshal(value, &v); err != nil {
				panic(err)
			}
			form, data, err := f(nil, &v, plain)
			if err != nil {
				panic(err)
			}
			return form, data
		}
	}
	return codec{
		readParams: func(form wire.Form, data []byte) (any, error) {
			var v T
			err := decodeParams(form, data, &v)
			return v, err
		},
		readValue: func(form wire.Form, data []byte) (any, error) {
			var v T
			err := decodeValue(form, data, &v)
			return v, err
		},
		writeParams: write(appendParams[T], false),
		writeValue:  write(appendValue[T], false),
		plainParams: write(appendParams[T], true),
		plainValue:  write(appendValue[T], true),
	}
}

var codecs = map[string]codec{
	"nothing": codecOf[struct{}](),
	"bytes":   codecOf[[]byte](),
	"text":    codecOf[string](),
	"integer": codecOf[int](),
	"list":    codecOf[[]int](),
	"point":   codecOf[vectorPoint](),
	"put":     codecOf[vectorPut](),
	"lone":    codecOf[vectorLone](),
}

var formNames = []string{"json", "bytes", "pair"}

func makeValueVectors() valueVectors {
	v := valueVectors{
		About: "Values of the chum protocol, version 1. See ../README.md. In value, bytes are base64.",
		Shapes: []shapeVector{
			{Name: "nothing", Type: "nothing"},
			{Name: "bytes", Type: "bytes"},
			{Name: "text", Type: "string"},
			{Name: "integer", Type: "integer"},
			{Name: "list", Type: "array of integers"},
			{Name: "point", Type: "object", Members: []member{{"x", "integer", false}, {"y", "integer", true}}},
			{Name: "put", Type: "object", Members: []member{{"name", "string", false}, {"data", "bytes", false}}},
			{Name: "lone", Type: "object", Members: []member{{"labels", "object of integers", false}}},
		},
	}
	vector := func(list *[]valueVector) func(shape string, form wire.Form, payload, value string, written bool) {
		return func(shape string, form wire.Form, payload, value string, written bool) {
			*list = append(*list, valueVector{shape, form.String(), hex.EncodeToString([]byte(payload)), printable(payload), json.RawMessage(value), written, written && form == wire.JSON})
		}
	}
	p := vector(&v.Params)
	p("nothing", wire.JSON, ``, `{}`, true)
	p("nothing", wire.JSON, `[]`, `{}`, false)
	p("nothing", wire.JSON, `{}`, `{}`, false)
	p("nothing", wire.JSON, `{"more":1}`, `{}`, false)
	p("bytes", wire.Bytes, "\x00\xff", `"AP8="`, true)
	p("bytes", wire.Bytes, "", `""`, true)
	p("bytes", wire.JSON, `["AP8="]`, `"AP8="`, false)
	plainly(v.Params)
	p("text", wire.JSON, `["Grüß"]`, `"Grüß"`, true)
	p("text", wire.JSON, ` [ "Gr\u00fc\u00df" ] `, `"Grüß"`, false)
	p("integer", wire.JSON, `[-7]`, `-7`, true)
	p("list", wire.JSON, `[[1,2]]`, `[1,2]`, true)
	p("point", wire.JSON, `{"x":1,"y":2}`, `{"x":1,"y":2}`, true)
	p("point", wire.JSON, `{"x":1}`, `{"x":1}`, true)
	p("point", wire.JSON, `{"y":2,"more":[],"x":1}`, `{"x":1,"y":2}`, false)
	p("point", wire.JSON, `{}`, `{"x":0}`, false)
	p("point", wire.JSON, `[1,2]`, `{"x":1,"y":2}`, false)
	p("point", wire.JSON, `[1]`, `{"x":1}`, false)
	p("point", wire.JSON, `[{"x":1,"y":2}]`, `{"x":1,"y":2}`, false)
	head := `{"name":"k","data":""}`
	p("put", wire.Pair, uvarint(uint64(len(head)))+head+"\x00\xff", `{"name":"k","data":"AP8="}`, true)
	p("put", wire.Pair, "\x0c"+`{"name":"k"}`+"\x00\xff", `{"name":"k","data":"AP8="}`, false)
	p("put", wire.Pair, "\x1a"+`{"name":"k","data":"eA=="}`+"\x00\xff", `{"name":"k","data":"AP8="}`, false)
	p("put", wire.Pair, "\x05"+`["k"]`+"\x00\xff", `{"name":"k","data":"AP8="}`, false)
	p("put", wire.Pair, "\x05"+`["k"]`, `{"name":"k","data":""}`, false)
	p("put", wire.JSON, `{"name":"k","data":"AP8="}`, `{"name":"k","data":"AP8="}`, false)
	plainly(v.Params)
	p("put", wire.JSON, `["k","AP8="]`, `{"name":"k","data":"AP8="}`, false)
	p("lone", wire.JSON, `{"labels":{"a":1}}`, `{"labels":{"a":1}}`, true)
	p("lone", wire.JSON, `[{"a":1}]`, `{"labels":{"a":1}}`, false)

	p = vector(&v.Values)
	p("nothing", wire.JSON, ``, `{}`, true)
	p("nothing", wire.JSON, `null`, `{}`, false)
	p("bytes", wire.Bytes, "\x00\xff", `"AP8="`, true)
	p("bytes", wire.JSON, `"AP8="`, `"AP8="`, false)
	plainly(v.Values)
	p("text", wire.JSON, `"a\nb"`, `"a\nb"`, true)
	p("text", wire.JSON, ``, `""`, false)
	p("integer", wire.JSON, `9007199254740991`, `9007199254740991`, true)
	p("list", wire.JSON, `[1,2]`, `[1,2]`, true)
	p("list", wire.JSON, `[]`, `[]`, true)
	p("point", wire.JSON, `{"x":1}`, `{"x":1}`, true)
	p("point", wire.JSON, `{"x":1,"more":{}}`, `{"x":1}`, false)
	p("put", wire.Pair, uvarint(uint64(len(head)))+head+"\x00\xff", `{"name":"k","data":"AP8="}`, true)
	p("put", wire.JSON, `{"name":"k","data":"AP8="}`, `{"name":"k","data":"AP8="}`, false)
	plainly(v.Values)

	refuse := func(list *[]badValue) func(why, shape string, form wire.Form, payload string) {
		return func(why, shape string, form wire.Form, payload string) {
			*list = append(*list, badValue{why, shape, form.String(), hex.EncodeToString([]byte(payload)), printable(payload)})
		}
	}
	both := func(r func(why, shape string, form wire.Form, payload string), open, end string) {
		r("not JSON", "text", wire.JSON, open+`x`+end)
		r("cut short", "text", wire.JSON, open+`"x`)
		r("something behind it", "text", wire.JSON, open+`"x"`+end+`1`)
		r("two values", "text", wire.JSON, open+`"x"`+end+open+`"x"`+end)
		r("not UTF-8", "text", wire.JSON, open+"\"\xff\""+end)
		r("a lone surrogate", "text", wire.JSON, open+`"\ud800"`+end)
		r("another type", "integer", wire.JSON, open+`"1"`+end)
		r("a fraction", "integer", wire.JSON, open+`1.5`+end)
		r("over 64 bits", "integer", wire.JSON, open+`9223372036854775808`+end)
		r("not base64", "bytes", wire.JSON, open+`"*"`+end)
		r("a member twice", "point", wire.JSON, `{"x":1,"x":1}`)
		r("a member twice, that nobody knows", "point", wire.JSON, `{"x":1,"z":1,"z":1}`)
		r("a member of another type", "point", wire.JSON, `{"x":"1"}`)
		r("raw bytes alone", "point", wire.Bytes, `{"x":1}`)
		r("raw bytes beside", "point", wire.Pair, "\x07"+`{"x":1}`+"x")
		r("a pair cut short", "put", wire.Pair, "\x0d"+`{"name":"k"}`)
		r("a pair without its length", "put", wire.Pair, "")
		r("65 levels deep", "list", wire.JSON, nested(65))
	}
	r := refuse(&v.Bad.Params)
	both(r, "[", "]")
	r("by name where there are no members", "text", wire.JSON, `{"a":"x"}`)
	r("a value that is no list", "text", wire.JSON, `"x"`)
	r("none", "text", wire.JSON, ``)
	r("none, as a list", "text", wire.JSON, `[]`)
	r("too many", "text", wire.JSON, `["x","y"]`)
	r("too many", "nothing", wire.JSON, `[1]`)
	r("too many members", "point", wire.JSON, `[1,2,3]`)
	r("one missing that is not optional", "point", wire.JSON, `[]`)
	r("one missing that is not optional", "put", wire.JSON, `["k"]`)
	r("one of another type", "point", wire.JSON, `[1,"2"]`)
	r("raw bytes where there are none", "nothing", wire.Bytes, ``)
	r("raw bytes and a list too long", "put", wire.Pair, "\x0a"+`["k","eA"]`+"x")
	r = refuse(&v.Bad.Values)
	both(r, "", "")
	r("a pair without JSON", "put", wire.Pair, "\x00x")
	return v
}

// plainly notes that the last vector is what is written to a side that takes form json only.
func plainly(list []valueVector) { list[len(list)-1].Plain = true }

// nested is arrays within arrays.
func nested(depth int) string {
	return string(bytes.Repeat([]byte("["), depth)) + string(bytes.Repeat([]byte("]"), depth))
}

// printable shows a payload to people; the bytes are in the hex beside it.
func printable(s string) string { return fmt.Sprintf("%+q", s)[1 : len(fmt.Sprintf("%+q", s))-1] }

func TestValueVectors(t *testing.T) {
	var v valueVectors
	vectorFile(t, "values.json", makeValueVectors(), &v)
	if len(v.Params) == 0 || len(v.Values) == 0 || len(v.Bad.Params) == 0 || len(v.Bad.Values) == 0 {
		t.Fatal("no vectors")
	}
	check := func(x valueVector, read func(wire.Form, []byte) (any, error), write, plain func([]byte) (wire.Form, []byte)) {
		form, data := vectorPayload(t, x.Form, x.Payload)
		got, err := read(form, data)
		if err != nil {
			t.Errorf("%s %s %q: %v", x.Shape, x.Form, data, err)
			return
		}
		text, err := jsonv2.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != string(compact(t, x.Value)) {
			t.Errorf("%s %s %q: read as %s, want %s", x.Shape, x.Form, data, text, x.Value)
		}
		if f, again := write(x.Value); x.Written && (f != form || !bytes.Equal(again, data)) {
			t.Errorf("%s %s: written as %s %q, want %s %q", x.Shape, x.Value, f, again, form, data)
		}
		if f, again := plain(x.Value); x.Plain && (f != form || !bytes.Equal(again, data)) {
			t.Errorf("%s %s: written in form json only as %s %q, want %s %q", x.Shape, x.Value, f, again, form, data)
		}
	}
	for _, x := range v.Params {
		c := codecs[x.Shape]
		check(x, c.readParams, c.writeParams, c.plainParams)
	}
	for _, x := range v.Values {
		c := codecs[x.Shape]
		check(x, c.readValue, c.writeValue, c.plainValue)
	}
	refuse := func(x badValue, read func(wire.Form, []byte) (any, error)) {
		form, data := vectorPayload(t, x.Form, x.Payload)
		if got, err := read(form, data); err == nil {
			t.Errorf("%s %s %q (%s): read as %v", x.Shape, x.Form, data, x.Why, got)
		}
	}
	for _, x := range v.Bad.Params {
		refuse(x, codecs[x.Shape].readParams)
	}
	for _, x := range v.Bad.Values {
		refuse(x, codecs[x.Shape].readValue)
	}
	for name := range codecs {
		if !slices.ContainsFunc(v.Shapes, func(s shapeVector) bool { return s.Name == name }) {
			t.Errorf("the shape %s is not described", name)
		}
	}
}

func vectorPayload(t *testing.T, form, payload string) (wire.Form, []byte) {
	t.Helper()
	data, err := hex.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.Index(formNames, form)
	if i < 0 {
		t.Fatalf("unknown form %q", form)
	}
	return wire.Form(i), data
}

func compact(t *testing.T, v []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// conversationVectors are the conversations of abuse_test.go for other implementations.
type conversationVectors struct {
	About         string               `json:"about"`
	Hello         string               `json:"hello_hex"`
	Serves        []serviceVector      `json:"serves"`
	Calls         []callVector         `json:"calls"`
	Conversations []conversationVector `json:"conversations"`
}

type serviceVector struct {
	Method string `json:"method"`
	Mode   string `json:"mode"`
	Does   string `json:"does"`
}

type callVector struct {
	ID     uint64 `json:"id"`
	Method string `json:"method"`
	Mode   string `json:"mode"`
	Params string `json:"params"`
	Does   string `json:"does"`
}

type conversationVector struct {
	Name    string    `json:"name"`
	Send    []string  `json:"send_hex"`
	Cut     bool      `json:"cut"`
	Strikes uint64    `json:"strikes,omitempty"`
	Late    uint64    `json:"late,omitempty"`
	Results int       `json:"results,omitempty"`
	Errors  []refusal `json:"errors,omitempty"`
	Settled []refusal `json:"settled,omitempty"`
}

func makeConversationVectors() conversationVectors {
	v := conversationVectors{
		About: "What a peer of the chum protocol, version 1, does with messages right and wrong. See ../README.md.",
		Hello: hex.EncodeToString(goodHello),
		Serves: []serviceVector{
			{"echo", "call", "takes bytes, gives them back"},
			{"hi", "call", "takes a string, gives \"hi \" and the string"},
			{"add", "call", "takes two integers by position, gives their sum"},
			{"hang", "call", "takes nothing, answers when it is cancelled"},
			{"count", "source", "takes an integer n, streams 0 to n-1"},
			{"zero", "source", "takes an integer n, streams n zero bytes"},
			{"deaf", "sink", "takes a stream of bytes, reads none of it, answers when it is cancelled"},
			{"rpc.methods", "call", "takes nothing, lists the methods"},
		},
		Calls: []callVector{
			{1, "hi", "call", `["x"]`, "expects a string"},
			{2, "count", "source", `[3]`, "expects integers"},
			{3, "sum", "sink", "", "expects an integer; feeds integers as long as there is credit"},
			{4, "twice", "duplex", "", "expects integers; feeds none and has ended its stream"},
		},
	}
	for _, c := range conversations() {
		if c.big {
			continue
		}
		x := conversationVector{
			Name: c.name, Cut: c.cut != "", Strikes: c.strikes, Late: c.late,
			Results: c.served, Errors: c.answers, Settled: c.settled,
		}
		for _, m := range c.send {
			x.Send = append(x.Send, hex.EncodeToString(m))
		}
		v.Conversations = append(v.Conversations, x)
	}
	return v
}

// TestConversationVectors holds the file to the conversations that TestAbuse has.
func TestConversationVectors(t *testing.T) {
	var v conversationVectors
	vectorFile(t, "conversations.json", makeConversationVectors(), &v)
	if len(v.Conversations) < 50 {
		t.Fatalf("%d conversations", len(v.Conversations))
	}
}
