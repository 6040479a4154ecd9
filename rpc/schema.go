package rpc

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A schemer makes the schemas of one Description: JSON Schema, draft 2020-12, of what package
// json writes for a Go type and reads into it. Types with a name are told once, as definitions.
type schemer struct {
	docs  map[string]string       // see Mux.Describe
	names map[reflect.Type]string // of the definitions
	defs  map[string]jsontext.Value
}

// object is a JSON object whose members keep their order.
type object []property

type property struct {
	name  string
	value any
}

func (o object) MarshalJSONTo(e *jsontext.Encoder) error {
	if err := e.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, m := range o {
		if err := e.WriteToken(jsontext.String(m.name)); err != nil {
			return err
		}
		if err := json.MarshalEncode(e, m.value); err != nil {
			return err
		}
	}
	return e.WriteToken(jsontext.EndObject)
}

func (o object) text() jsontext.Value {
	b, err := json.Marshal(o)
	if err != nil {
		panic(fmt.Sprintf("rpc: a schema cannot be written: %v", err)) // only what this file makes is in it
	}
	return b
}

// described adds a doc comment, which stands first.
func (o object) described(doc string) object {
	if doc == "" {
		return o
	}
	return append(object{{"description", doc}}, o...)
}

// plainString tells whether any string will do.
func (o object) plainString() bool {
	return len(o) == 1 && o[0] == property{"type", "string"}
}

// A describer is a type that knows its own schema, usually since it marshals itself.
type describer interface{ JSONSchema() jsontext.Value }

var (
	textTypes = []reflect.Type{reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextAppender]()}
	jsonTypes = []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.MarshalerTo]()}

	describerType = reflect.TypeFor[describer]()
	jsonValueType = reflect.TypeFor[jsontext.Value]()
	timeType      = reflect.TypeFor[time.Time]()
	durationType  = reflect.TypeFor[time.Duration]()
)

// implements tells whether t or a pointer to it has the methods of one of the interfaces.
func implements(t reflect.Type, interfaces ...reflect.Type) bool {
	for _, i := range interfaces {
		if t.Implements(i) || reflect.PointerTo(t).Implements(i) {
			return true
		}
	}
	return false
}

// schema gives the schema of a type, a reference if the type has a name.
func (s *schemer) schema(t reflect.Type) object {
	if t.Name() == "" || t.PkgPath() == "" || t == jsonValueType {
		return s.inline(t)
	}
	name, ok := s.names[t]
	if !ok {
		name = s.newName(t)
		s.names[t], s.defs[name] = name, nil // before its members, one of which may be of this type again
		s.defs[name] = s.inline(t).described(s.doc(t, "")).text()
	}
	return object{{"$ref", "#/$defs/" + name}}
}

// inline gives the schema of a type as it stands in a definition.
func (s *schemer) inline(t reflect.Type) object {
	if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface {
		switch {
		case t == timeType:
			return object{{"type", "string"}, {"format", "date-time"}}
		case describesItself(t):
			return ownSchema(t)
		case implements(t, jsonTypes...):
			return object{}
		case implements(t, textTypes...):
			return object{{"type", "string"}}
		case t == durationType:
			return number(t).described("A time in nanoseconds.")
		}
	}
	switch t.Kind() {
	case reflect.Bool:
		return object{{"type", "boolean"}}
	case reflect.String:
		return object{{"type", "string"}}
	case reflect.Interface:
		return object{}
	case reflect.Pointer:
		return nullable(s.schema(t.Elem()))
	case reflect.Slice, reflect.Array:
		return listing(t, s.schema)
	case reflect.Map:
		return s.mapping(t, s.schema)
	case reflect.Struct:
		return s.structure(t)
	}
	if isNumber(t) {
		return number(t)
	}
	return object{{"not", object{}}} // a channel, a function: no value can be sent
}

func isNumber(t reflect.Type) bool { return t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64 }

// number gives the schema of a number. Integers say their bounds; above 2^53 the format, too,
// warns a reader whose numbers are all floating-point.
func number(t reflect.Type) object {
	bits := t.Bits()
	switch t.Kind() {
	case reflect.Float32:
		return object{{"type", "number"}, {"format", "float"}}
	case reflect.Float64:
		return object{{"type", "number"}, {"format", "double"}}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return object{
			{"type", "integer"},
			{"format", "int" + strconv.Itoa(bits)},
			{"minimum", int64(math.MinInt64) >> (64 - bits)},
			{"maximum", int64(math.MaxInt64) >> (64 - bits)},
		}
	}
	return object{
		{"type", "integer"},
		{"format", "uint" + strconv.Itoa(bits)},
		{"minimum", 0},
		{"maximum", uint64(math.MaxUint64) >> (64 - bits)},
	}
}

// quoted gives the schema of a number that stands in a string, as option "string" and the
// keys of maps have it.
func quoted(t reflect.Type) object {
	pattern := `^(0|-?[1-9][0-9]*)$`
	switch t.Kind() {
	case reflect.Float32, reflect.Float64:
		pattern = `^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		pattern = `^(0|[1-9][0-9]*)$`
	}
	return object{{"type", "string"}, number(t)[1], {"pattern", pattern}}
}

// listing gives the schema of a slice or an array; of is that of its elements.
func listing(t reflect.Type, of func(reflect.Type) object) object {
	switch {
	case isBytes(t) && t.Kind() == reflect.Array:
		n := (t.Len() + 2) / 3 * 4 // RFC 4648, section 4, with padding
		return object{{"type", "string"}, {"contentEncoding", "base64"}, {"minLength", n}, {"maxLength", n}}
	case isBytes(t):
		return object{{"type", "string"}, {"contentEncoding", "base64"}}
	}
	o := object{{"type", "array"}, {"items", of(t.Elem())}}
	if t.Kind() == reflect.Array {
		o = append(o, property{"minItems", t.Len()}, property{"maxItems", t.Len()})
	}
	return o
}

// isBytes tells whether a slice or an array is written as base64.
func isBytes(t reflect.Type) bool {
	return (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && t.Elem().Kind() == reflect.Uint8 && t.Elem().PkgPath() == ""
}

func (s *schemer) mapping(t reflect.Type, of func(reflect.Type) object) object {
	o := object{{"type", "object"}}
	switch key := t.Key(); {
	case isNumber(key) && !marshalsItself(key):
		o = append(o, property{"propertyNames", quoted(key)})
	case key.Kind() != reflect.Interface && !s.inline(key).plainString():
		o = append(o, property{"propertyNames", s.schema(key)})
	}
	return append(o, property{"additionalProperties", of(t.Elem())})
}

func (s *schemer) structure(t reflect.Type) object {
	fields, rest := jsonFields(t)
	properties, required := object{}, []string{}
	for _, f := range fields {
		_, options := cutTag(f.Tag.Get("json"))
		value := f.Type
		switch { // a pointer that is nil is left out, not written as null
		case hasOption(options, "omitempty"):
			for value.Kind() == reflect.Pointer {
				value = value.Elem()
			}
		case hasOption(options, "omitzero") && value.Kind() == reflect.Pointer:
			value = value.Elem()
		}
		var o object
		if i := intervalOf(f.StructField); i != nil {
			o = s.within(value, i)
		} else {
			o = s.member(value, hasOption(options, "string"))
		}
		properties = append(properties, property{f.name, o.described(s.doc(f.owner, f.Name))})
		if !f.optional {
			required = append(required, f.name)
		}
	}
	o := object{{"type", "object"}, {"properties", properties}}
	if len(required) > 0 {
		o = append(o, property{"required", required})
	}
	if rest != nil && rest.Type.Kind() == reflect.Map {
		o = append(o, property{"additionalProperties", s.schema(rest.Type.Elem())})
	}
	return o
}

// member gives the schema of a field, whose numbers may be written as strings.
func (s *schemer) member(t reflect.Type, inString bool) object {
	switch {
	case inString && t.Kind() == reflect.Pointer:
		return nullable(s.member(t.Elem(), inString))
	case inString && isNumber(t) && !marshalsItself(t):
		return quoted(t)
	}
	return s.schema(t)
}

// within gives the schema of a field whose numbers are bounded.
func (s *schemer) within(t reflect.Type, i *interval) object {
	of := func(t reflect.Type) object { return s.within(t, i) }
	switch t.Kind() {
	case reflect.Pointer:
		return nullable(of(t.Elem()))
	case reflect.Slice, reflect.Array:
		return listing(t, of)
	case reflect.Map:
		return s.mapping(t, of)
	}
	return i.schema(t)
}

func nullable(o object) object { return object{{"anyOf", []object{o, {{"type", "null"}}}}} }

// describesItself tells whether JSONSchema is a type's own: a struct gets the method with what
// it embeds, and yet is written member by member.
func describesItself(t reflect.Type) bool {
	if !implements(t, describerType) {
		return false
	}
	if t.Kind() == reflect.Struct && !marshalsItself(t) {
		for f := range t.Fields() {
			if f.Anonymous && implements(f.Type, describerType) {
				return false
			}
		}
	}
	return true
}

// ownSchema asks a type for its schema. One that is no JSON object is a mistake in the program.
func ownSchema(t reflect.Type) object {
	text := reflect.New(t).Interface().(describer).JSONSchema()
	var members map[string]jsontext.Value
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		panic(fmt.Sprintf("rpc: %s.JSONSchema gives no JSON object: %.100q", t, text))
	}
	o := object{}
	d := jsontext.NewDecoder(strings.NewReader(string(text)))
	_, _ = d.ReadToken() // it is valid: see above
	for d.PeekKind() == '"' {
		name, _ := d.ReadToken()
		text := name.String()
		value, _ := d.ReadValue()
		o = append(o, property{text, value.Clone()})
	}
	return o
}

// unusual are the characters that a definition's name does not have, so that references need
// no escapes (RFC 6901, RFC 3986).
var unusual = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// newName finds a name for a definition: package and type, with a number if it is taken.
func (s *schemer) newName(t reflect.Type) string {
	base := strings.Trim(unusual.ReplaceAllString(shortType(t), "_"), "_")
	name := base
	for n := 2; ; n++ {
		if _, taken := s.defs[name]; !taken {
			return name
		}
		name = base + "_" + strconv.Itoa(n)
	}
}

// importPath is what stands before the package's name in the arguments of a generic type.
var importPath = regexp.MustCompile(`[A-Za-z0-9._~-]+/`)

var goWords = strings.NewReplacer("[]uint8", "[]byte", "interface {}", "any", "struct {}", "struct{}")

// shortType writes a Go type as people do.
func shortType(t reflect.Type) string {
	return goWords.Replace(importPath.ReplaceAllString(t.String(), ""))
}

// doc finds the doc comment of a type, or of one of its fields.
func (s *schemer) doc(t reflect.Type, field string) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	if name == "" {
		return ""
	}
	key := t.PkgPath() + "." + name
	if field != "" {
		key += "." + field
	}
	return s.docs[key]
}
