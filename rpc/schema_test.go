package rpc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

// Types for the schema's tests, beside those that are made up.

type digest [4]byte // marshals itself as text and says how

func (d digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

func (d *digest) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(d) || string(text) != hex.EncodeToString(b) {
		return errors.New("not a digest")
	}
	copy(d[:], b)
	return nil
}

func (digest) JSONSchema() jsontext.Value {
	return jsontext.Value(`{"type": "string", "pattern": "^[0-9a-f]{8}$"}`)
}

type token string // marshals itself as text and says nothing

func (w *token) MarshalText() ([]byte, error) { return []byte("w" + *w), nil }

func (w *token) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("no word")
	}
	*w = token(text[1:])
	return nil
}

type freeForm struct{} // marshals itself as JSON of any sort

func (r freeForm) MarshalJSON() ([]byte, error) { return []byte(`[1,"x"]`), nil }
func (r *freeForm) UnmarshalJSON([]byte) error  { return nil }

type (
	names struct {
		A int8   `json:"a"`
		B string `json:"b,omitempty"`
		C *int   `json:"c"`
		D *int   `json:"d,omitzero"`
		_ int
		F int64         `json:",string"`
		G *uint64       `json:"g,omitempty,string"`
		H int           `json:"-"`
		I time.Duration `json:"i,string"`
	}
	inner struct {
		X int    `json:"x"`
		A string `json:"a"` // hidden by outer's
		Y []int  `json:"y,omitempty"`
	}
	left  struct{ Both, Left int }
	right struct{ Both, Right int }
	outer struct {
		inner
		*left
		right
		A bool `json:"a"`
	}
	twiceA  struct{ inner }
	twiceB  struct{ inner }
	diamond struct {
		twiceA
		twiceB
		Z int
	}
	open1 struct {
		A    int
		Rest map[string]bool `json:",embed"`
	}
	open2 struct {
		A    int
		Rest jsontext.Value `json:",embed"`
	}
	node struct {
		Value int
		Next  *node           `json:",omitempty"`
		Kids  map[string]node `json:"kids"`
	}
	holder struct {
		Digest digest
		Word   token
		Raw    freeForm
		By     map[digest][]token
		Pair   pairOf[digest, []byte]
		Again  pairOf[digest, []byte]
	}
	pairOf[A, B any] struct {
		A A
		B B
	}
	promoted struct { // has JSONSchema and MarshalText through what it embeds
		digest
	}
	bounded struct { // with names that are not drawn for the keys of Rest
		A int64            `json:"the a" minimum:"-9007199254740991" maximum:"9007199254740991"`
		B []*uint64        `json:"the b" maximum:"9007199254740991"`
		C map[string]int8  `json:"the c,omitempty" minimum:"-1"`
		D float64          `json:"the d,omitzero" minimum:"0" maximum:"0.5"`
		E *time.Duration   `json:"the e,omitempty" maximum:"1000"`
		F []bounded        `json:"the f,omitempty"`
		G map[int8]bounded `json:"the g,omitempty"`
	}
	holdsBounded struct {
		*bounded
		Rest map[string]*bounded `json:",embed"`
	}
	byteKind byte
	named    struct {
		Flags []byteKind
		Four  [4]byteKind
		Bytes [4]byte
		Data  []byte `json:"data,omitempty"`
	}
)

var schemaTypes = []reflect.Type{
	reflect.TypeFor[names](), reflect.TypeFor[outer](), reflect.TypeFor[diamond](), reflect.TypeFor[open1](),
	reflect.TypeFor[open2](), reflect.TypeFor[node](), reflect.TypeFor[holder](), reflect.TypeFor[promoted](),
	reflect.TypeFor[named](), reflect.TypeFor[Description](), reflect.TypeFor[Stats](), reflect.TypeFor[Value](),
	reflect.TypeFor[map[float64]int](), reflect.TypeFor[map[time.Duration]uint8](), reflect.TypeFor[map[token]int](),
	reflect.TypeFor[bounded](), reflect.TypeFor[holdsBounded](), reflect.TypeFor[map[time.Time]int](), reflect.TypeFor[**int](), reflect.TypeFor[Code](),
}

// schemaDocument is what a Description holds, for one type: the schema at "value".
func schemaDocument(t reflect.Type) jsontext.Value {
	s := &schemer{names: make(map[reflect.Type]string), defs: make(map[string]jsontext.Value)}
	value := s.schema(t).text()
	return object{{"value", value}, {"$defs", s.defs}}.text()
}

// A checker compiles schemas, with what is said of formats and encodings checked, too.
type checker struct {
	*jsonschema.Compiler
	n int
}

func newChecker() *checker {
	c := &checker{Compiler: jsonschema.NewCompiler()}
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.AssertContent()
	return c
}

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func (c *checker) compile(t fataler, document jsontext.Value, at string) *jsonschema.Schema {
	t.Helper()
	c.n++
	name := fmt.Sprintf("%d.json", c.n)
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		t.Fatalf("%v in %s", err, document)
	}
	if err := c.AddResource(name, parsed); err != nil {
		t.Fatalf("%v", err)
	}
	s, err := c.Compile(name + "#" + at)
	if err != nil {
		t.Fatalf("%v in %s", err, document)
	}
	return s
}

func check(t fataler, s *jsonschema.Schema, text jsontext.Value) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return s.Validate(v)
}

// What the encoder writes is as the schema says, whatever the type and the value; and where a
// value is replaced by one of another sort, schema and decoder refuse it alike.
func TestSchemaIsTheCodec(t *testing.T) {
	refused := 0
	c := newChecker()
	rapid.Check(t, func(t *rapid.T) {
		typ := drawType(t, 3)
		document := schemaDocument(typ)
		schema := c.compile(t, document, "/value")
		reading := c.compile(t, required.ReplaceAll(document, nil), "/value")
		v := reflect.New(typ)
		fill(t, v.Elem(), 3)
		text, err := json.Marshal(v.Interface(), jsonOptions)
		if err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		if err := check(t, schema, text); err != nil {
			t.Fatalf("%s writes %s: %v\n%s", typ, text, err, document)
		}
		if err := read(text, typ); err != nil {
			t.Fatalf("%s does not read %s: %v", typ, text, err)
		}
		for range 4 {
			at := rapid.SampledFrom(spans(text)).Draw(t, "span")
			other := rapid.SampledFrom([]string{
				`true`, `"x"`, `"@@@"`, `0`, `-1`, `1.5`, `300`, `5000000000`, `9223372036854775808`,
				`99999999999999999999`, `[]`, `{}`, `[true]`, `{"a":{}}`,
			}).Draw(t, "other")
			broken := jsontext.Value(slices.Concat(text[:at[0]], []byte(other), text[at[1]:]))
			bySchema := check(t, reading, broken)
			byDecoder := read(broken, typ)
			if (bySchema == nil) != (byDecoder == nil) {
				t.Fatalf("%s of %s:\nschema: %v\ndecoder: %v\n%s", broken, typ, bySchema, byDecoder, document)
			}
			if bySchema != nil {
				refused++
			}
		}
	})
	if refused == 0 {
		t.Error("nothing was refused: the test tests nothing")
	}
}

// read reads a text as a result of a type is read, but that nobody's Validate is asked.
func read(text jsontext.Value, t reflect.Type) error {
	v := reflect.New(t)
	if err := unmarshal(text, v.Interface()); err != nil {
		return err
	}
	return checkIntervals(v.Elem())
}

// required is the one thing that a schema says of what is written and that is not asked of what
// is read: what is missing is zero.
var required = regexp.MustCompile(`,"required":\[[^\]]*\]`)

// spans finds where the values in a JSON text begin and end.
func spans(text jsontext.Value) (found [][2]int) {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	var begun []int
	for {
		switch d.PeekKind() {
		case '{', '[':
			_, _ = d.ReadToken()
			begun = append(begun, int(d.InputOffset())-1)
		case '}', ']':
			_, _ = d.ReadToken()
			found = append(found, [2]int{begun[len(begun)-1], int(d.InputOffset())})
			begun = begun[:len(begun)-1]
		case 0:
			return found
		default:
			kind, n := d.StackIndex(d.StackDepth())
			v, _ := d.ReadValue()
			if end := int(d.InputOffset()); kind != '{' || n%2 == 1 {
				found = append(found, [2]int{end - len(v), end})
			}
		}
	}
}

// drawType makes a type up.
func drawType(t *rapid.T, depth int) reflect.Type {
	leaves := []reflect.Type{
		reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int64](), reflect.TypeFor[uint8](),
		reflect.TypeFor[uint32](), reflect.TypeFor[uint64](), reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[string](),
		bytesType, reflect.TypeFor[[5]byte](), timeType, durationType, jsonValueType, reflect.TypeFor[any](),
		reflect.TypeFor[digest](), reflect.TypeFor[token](), reflect.TypeFor[freeForm](), reflect.TypeFor[struct{}](),
	}
	if depth == 0 {
		return rapid.SampledFrom(leaves).Draw(t, "leaf")
	}
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom(schemaTypes).Draw(t, "named")
	case 1:
		return reflect.SliceOf(drawType(t, depth-1))
	case 2:
		return reflect.ArrayOf(rapid.IntRange(0, 3).Draw(t, "length"), drawType(t, depth-1))
	case 3:
		keys := []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[int16](), reflect.TypeFor[uint64](), reflect.TypeFor[digest](), reflect.TypeFor[Code]()}
		return reflect.MapOf(rapid.SampledFrom(keys).Draw(t, "key"), drawType(t, depth-1))
	case 4:
		return reflect.PointerTo(drawType(t, depth-1))
	case 5, 6:
		fields := make([]reflect.StructField, rapid.IntRange(1, 5).Draw(t, "fields"))
		for i := range fields {
			f := reflect.StructField{Name: string(rune('A' + i)), Type: drawType(t, depth-1)}
			tags := []string{"", `json:"n` + f.Name + `"`, `json:",omitempty"`, `json:"z` + f.Name + `,omitzero"`, `json:"-"`}
			if i == 0 {
				tags = tags[:4]
			}
			if to := f.Type; isNumber(to) || to.Kind() == reflect.Pointer && isNumber(to.Elem()) {
				tags = append(tags, `json:",string"`, `json:",omitempty,string"`)
			}
			f.Tag = reflect.StructTag(rapid.SampledFrom(tags).Draw(t, "tag"))
			fields[i] = f
		}
		return reflect.StructOf(fields)
	}
	return rapid.SampledFrom(leaves).Draw(t, "leaf")
}

// fill gives a variable a value that can be written.
func fill(t *rapid.T, v reflect.Value, depth int) {
	switch v.Type() {
	case timeType:
		ns := rapid.Int64Range(0, 999_999_999).Draw(t, "ns")
		v.Set(reflect.ValueOf(time.Unix(rapid.Int64Range(-2e9, 9e9).Draw(t, "time"), ns).UTC()))
		return
	case jsonValueType:
		v.SetBytes([]byte(rapid.SampledFrom([]string{`null`, `{"q":[1]}`, `{}`, `{"r":true}`}).Draw(t, "json")))
		return
	case reflect.TypeFor[open1]():
		v.Set(reflect.ValueOf(open1{1, map[string]bool{"more": true}})) // "A" again could not be written
		return
	case reflect.TypeFor[open2]():
		v.Field(0).SetInt(1)
		v.Field(1).SetBytes([]byte(`{"more":[1]}`))
		return
	}
	if v.Kind() == reflect.Struct {
		defer confine(v)
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(rapid.Int64Range(math.MinInt64>>(64-v.Type().Bits()), math.MaxInt64>>(64-v.Type().Bits())).Draw(t, "int"))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(rapid.Uint64Range(0, math.MaxUint64>>(64-v.Type().Bits())).Draw(t, "uint"))
	case reflect.Float32:
		v.SetFloat(float64(rapid.Float32().Draw(t, "float")))
	case reflect.Float64:
		v.SetFloat(rapid.Float64().Draw(t, "float"))
	case reflect.String:
		v.SetString(rapid.String().Draw(t, "string"))
	case reflect.Interface:
		if rapid.Bool().Draw(t, "set") {
			v.Set(reflect.ValueOf(rapid.SampledFrom([]any{1.5, "s", true, []any{nil, 1.0}, map[string]any{"a": "b"}}).Draw(t, "any")))
		}
	case reflect.Pointer:
		if depth > 0 && rapid.Bool().Draw(t, "set") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), depth-1)
		}
	case reflect.Slice:
		if n := rapid.IntRange(-1, 2).Draw(t, "length"); n >= 0 && depth > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(t, v.Index(i), depth-1)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i), depth-1)
		}
	case reflect.Map:
		if n := rapid.IntRange(-1, 2).Draw(t, "length"); n >= 0 && depth > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range n {
				key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				fill(t, key, depth-1)
				fill(t, elem, depth-1)
				v.SetMapIndex(key, elem)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fill(t, f, depth-1)
			} else if f.Kind() == reflect.Struct && v.Type().Field(i).Anonymous {
				continue
			}
		}
	default:
		t.Fatalf("no values of %s", v.Type())
	}
}

// confine makes numbers zero that the tags of their fields do not allow.
func confine(v reflect.Value) {
	for i, f := range v.Fields() {
		if within := intervalOf(i); within != nil && within.check(f) != nil {
			f.SetZero()
		}
	}
}

// The schemas of types that are easily got wrong, word for word.
func TestSchemaText(t *testing.T) {
	for _, tt := range []struct {
		typ  reflect.Type
		want string
	}{
		{reflect.TypeFor[int](), `{"value":{"type":"integer","format":"int64","minimum":-9223372036854775808,"maximum":9223372036854775807},"$defs":{}}`},
		{reflect.TypeFor[uint16](), `{"value":{"type":"integer","format":"uint16","minimum":0,"maximum":65535},"$defs":{}}`},
		{reflect.TypeFor[[4]byte](), `{"value":{"type":"string","contentEncoding":"base64","minLength":8,"maxLength":8},"$defs":{}}`},
		{reflect.TypeFor[*bool](), `{"value":{"anyOf":[{"type":"boolean"},{"type":"null"}]},"$defs":{}}`},
		{reflect.TypeFor[map[int8]any](), `{"value":{"type":"object","propertyNames":{"type":"string","format":"int8","pattern":"^(0|-?[1-9][0-9]*)$"},"additionalProperties":{}},"$defs":{}}`},
		{reflect.TypeFor[jsontext.Value](), `{"value":{},"$defs":{}}`},
		{reflect.TypeFor[func()](), `{"value":{"not":{}},"$defs":{}}`},
		{reflect.TypeFor[digest](), `{"value":{"$ref":"#/$defs/rpc.digest"},"$defs":{"rpc.digest":{"type":"string","pattern":"^[0-9a-f]{8}$"}}}`},
		{reflect.TypeFor[promoted](), `{"value":{"$ref":"#/$defs/rpc.promoted"},"$defs":{"rpc.promoted":{"type":"string","pattern":"^[0-9a-f]{8}$"}}}`},
		{reflect.TypeFor[time.Duration](), `{"value":{"$ref":"#/$defs/time.Duration"},"$defs":{"time.Duration":{"description":"A time in nanoseconds.","type":"integer","format":"int64","minimum":-9223372036854775808,"maximum":9223372036854775807}}}`},
		{reflect.TypeFor[pairOf[digest, *digest]](), `{"value":{"$ref":"#/$defs/rpc.pairOf_rpc.digest_rpc.digest"},"$defs":{"rpc.digest":{"type":"string","pattern":"^[0-9a-f]{8}$"},"rpc.pairOf_rpc.digest_rpc.digest":{"type":"object","properties":{"A":{"$ref":"#/$defs/rpc.digest"},"B":{"anyOf":[{"$ref":"#/$defs/rpc.digest"},{"type":"null"}]}},"required":["A","B"]}}}`},
		{reflect.TypeFor[outer](), `{"value":{"$ref":"#/$defs/rpc.outer"},"$defs":{"rpc.outer":{"type":"object","properties":{` +
			`"x":` + intSchema + `,"y":{"type":"array","items":` + intSchema + `},"Left":` + intSchema + `,"Right":` + intSchema + `,"a":{"type":"boolean"}},` +
			`"required":["x","Right","a"]}}}`},
		{reflect.TypeFor[open1](), `{"value":{"$ref":"#/$defs/rpc.open1"},"$defs":{"rpc.open1":{"type":"object","properties":{"A":` + intSchema + `},"required":["A"],"additionalProperties":{"type":"boolean"}}}}`},
	} {
		s := &schemer{names: make(map[reflect.Type]string), defs: make(map[string]jsontext.Value)}
		value := s.schema(tt.typ).text()
		defs, err := json.Marshal(s.defs, json.Deterministic(true))
		if err != nil {
			t.Fatal(err)
		}
		got := object{{"value", value}, {"$defs", jsontext.Value(defs)}}.text()
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Errorf("%s: %s", tt.typ, diff)
		}
	}
}

const intSchema = `{"type":"integer","format":"int64","minimum":-9223372036854775808,"maximum":9223372036854775807}`

// Tags that ask for what cannot be are a mistake in the program; what they ask for is held.
func TestIntervals(t *testing.T) {
	type (
		text struct {
			A string `minimum:"1"`
		}
		quoted struct {
			A int `json:",string" maximum:"1"`
		}
		beyond struct {
			A int8 `maximum:"128"`
		}
		bytes struct {
			A []byte `maximum:"128"`
		}
		itself struct {
			A []digest `maximum:"128"`
		}
		endless   []endless
		recursive struct {
			A endless `maximum:"128"`
		}
		nested struct{ List []*bounded }
	)
	for _, typ := range []reflect.Type{reflect.TypeFor[text](), reflect.TypeFor[quoted](), reflect.TypeFor[beyond](), reflect.TypeFor[bytes](), reflect.TypeFor[itself](), reflect.TypeFor[recursive]()} {
		if text := panics(func() { schemaDocument(typ) }); text == "" {
			t.Errorf("%s has a schema", typ)
		}
	}
	var v nested
	err := decodeValue(0, []byte(`{"List":[null,{"the a":1,"the b":[0,9007199254740992]}]}`), &v)
	if err == nil || err.Error() != "List: the b: 9007199254740992 is more than 9007199254740991" || v.List != nil {
		t.Errorf("%v, %v", v, err)
	}
	if err := decodeParams(0, []byte(`[-9007199254740992,[]]`), new(bounded)); err == nil || err.Error() != "the a: -9007199254740992 is less than -9007199254740991" {
		t.Error(err)
	}
}
