package rpc

import (
	"encoding"
	"reflect"
	"sync"

	"github.com/go-json-experiment/json"
)

// A shape is how values of a Go type travel. It is found once per type.
type shape struct {
	kind   shapeKind
	fields []field // of a struct whose fields may come by position
	lone   bool    // a struct with one field that itself is written as a JSON object
}

type field struct {
	index    int
	name     string
	optional bool // it may be missing at the end of a list of positions
}

type shapeKind uint8

const (
	shapeOther  shapeKind = iota // a JSON value of its own: as parameters, an array of one
	shapeEmpty                   // struct{}: nothing
	shapeBytes                   // []byte: raw
	shapeStruct                  // parameters by name or by position
	shapePair                    // a struct whose last field is []byte: that one raw, the others JSON
	shapeValue                   // Value
)

var shapes sync.Map // reflect.Type -> *shape

func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s, _ := shapes.LoadOrStore(t, makeShape(t))
	return s.(*shape)
}

var (
	bytesType = reflect.TypeFor[[]byte]()
	valueType = reflect.TypeFor[Value]()
)

func makeShape(t reflect.Type) *shape {
	switch {
	case t == valueType:
		return &shape{kind: shapeValue}
	case t == bytesType:
		return &shape{kind: shapeBytes}
	case t.Kind() != reflect.Struct || marshalsItself(t):
		return &shape{kind: shapeOther}
	case t.NumField() == 0:
		return &shape{kind: shapeEmpty}
	}
	s := &shape{kind: shapeStruct}
	for i := range t.NumField() {
		f := t.Field(i)
		name, optional, ok := jsonName(f)
		if !ok {
			continue
		}
		if f.Anonymous && f.Tag.Get("json") == "" {
			return &shape{kind: shapeStruct} // embedded: its fields are inlined, so there are no positions
		}
		s.fields = append(s.fields, field{index: i, name: name, optional: optional})
	}
	if n := len(s.fields); n > 1 && t.Field(s.fields[n-1].index).Type == bytesType {
		s.kind = shapePair
	}
	s.lone = len(s.fields) == 1 && writesObject(t.Field(s.fields[0].index).Type)
	return s
}

// marshalsItself tells whether encoding a t is up to t's own methods.
func marshalsItself(t reflect.Type) bool {
	for _, i := range []reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.MarshalerTo](), reflect.TypeFor[encoding.TextMarshaler](),
	} {
		if t.Implements(i) || reflect.PointerTo(t).Implements(i) {
			return true
		}
	}
	return false
}

func writesObject(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Map, reflect.Interface:
		return true
	case reflect.Struct:
		return !marshalsItself(t)
	}
	return marshalsItself(t) // whatever it writes
}

// jsonName gives the name under which package json writes a field, and whether it may be left
// out; ok is false for a field that is not written.
func jsonName(f reflect.StructField) (name string, optional, ok bool) {
	tag := f.Tag.Get("json")
	if !f.IsExported() || tag == "-" {
		return "", false, false
	}
	name, options := cutTag(tag)
	if name == "" {
		name = f.Name
	}
	for options != "" {
		var o string
		o, options = cutTag(options)
		optional = optional || o == "omitempty" || o == "omitzero"
	}
	return name, optional, true
}

func cutTag(tag string) (first, rest string) {
	for i := range len(tag) {
		if tag[i] == ',' {
			return tag[:i], tag[i+1:]
		}
	}
	return tag, ""
}
