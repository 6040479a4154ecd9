package rpc

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/wire"
)

// Value is an argument list, a result or an item whose type is not known when the program is
// written: what came, as it came. A method declared with it takes or gives anything.
type Value struct {
	JSON jsontext.Value // the JSON part; nil if there is none
	Body []byte         // the raw part; nil if there is none, empty if it is there and empty
}

// Decode stores the value in the variable that into points at, as Await does.
func (v Value) Decode(into any) error {
	form, data := v.encode(nil)
	return decodeInto(form, data, into)
}

func (v Value) encode(b []byte) (wire.Form, []byte) {
	switch {
	case v.Body == nil:
		return wire.JSON, append(b, v.JSON...)
	case v.JSON == nil:
		return wire.Bytes, append(b, v.Body...)
	}
	b = binary.AppendUvarint(b, uint64(len(v.JSON)))
	b = append(b, v.JSON...)
	return wire.Pair, append(b, v.Body...)
}

// maxDepth is how deep the JSON of a value may be nested.
const maxDepth = 64

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
	name, options, _ := cutTag(tag)
	if name == "" {
		name = f.Name
	}
	for options != "" {
		var o string
		o, options, _ = cutTag(options)
		optional = optional || o == "omitempty" || o == "omitzero"
	}
	return name, optional, true
}

func cutTag(tag string) (first, rest string, found bool) {
	for i := range len(tag) {
		if tag[i] == ',' {
			return tag[:i], tag[i+1:], true
		}
	}
	return tag, "", false
}

// appendParams appends the parameters that make up the one argument of a typed method: a
// struct goes by name, anything else as a list of one.
func appendParams[A any](b []byte, a *A) (wire.Form, []byte, error) {
	switch s := shapeOf(reflect.TypeFor[A]()); s.kind {
	case shapeOther:
		b = append(b, '[')
		_, b, err := appendValue(b, a)
		return wire.JSON, append(b, ']'), err
	default:
		return appendValue(b, a)
	}
}

// appendArgs appends the parameters of an untyped call, by position. A last argument that is
// a []byte travels raw. A single struct goes by name, as it would from a typed caller.
func appendArgs(b []byte, args []any) (wire.Form, []byte, error) {
	n := len(args)
	if n == 0 {
		return wire.JSON, b, nil
	}
	raw, isRaw := args[n-1].([]byte)
	if n == 1 {
		if isRaw {
			return wire.Bytes, append(b, raw...), nil
		}
		if args[0] != nil {
			switch shapeOf(reflect.TypeOf(args[0])).kind {
			case shapeEmpty, shapeStruct, shapePair, shapeValue:
				return appendAny(b, args[0])
			}
		}
	}
	list := args
	if isRaw {
		list = args[:n-1]
	}
	head, err := json.Marshal(list)
	if err != nil {
		return 0, b, fmt.Errorf("the arguments cannot be written as JSON: %w", err)
	}
	if !isRaw {
		return wire.JSON, append(b, head...), nil
	}
	b = binary.AppendUvarint(b, uint64(len(head)))
	b = append(b, head...)
	return wire.Pair, append(b, raw...), nil
}

// appendValue appends a result, an item or a whole argument.
func appendValue[T any](b []byte, v *T) (wire.Form, []byte, error) {
	switch x := any(v).(type) { // the types for which nothing has to be looked up
	case *[]byte:
		return wire.Bytes, append(b, *x...), nil
	case *struct{}:
		return wire.JSON, b, nil
	case *bool:
		return wire.JSON, strconv.AppendBool(b, *x), nil
	case *int:
		return wire.JSON, strconv.AppendInt(b, int64(*x), 10), nil
	case *string:
		b, err := jsontext.AppendQuote(b, *x)
		return wire.JSON, b, err
	case *Value:
		form, b := x.encode(b)
		return form, b, nil
	}
	if s := shapeOf(reflect.TypeFor[T]()); s.kind == shapePair {
		return appendPair(b, reflect.ValueOf(v).Elem(), s)
	}
	b, err := appendJSON(b, v)
	return wire.JSON, b, err
}

// appendAny is appendValue for a type known only now.
func appendAny(b []byte, v any) (wire.Form, []byte, error) {
	switch x := v.(type) {
	case nil:
		return wire.JSON, b, nil
	case []byte:
		return wire.Bytes, append(b, x...), nil
	case Value:
		form, b := x.encode(b)
		return form, b, nil
	}
	rv := reflect.ValueOf(v)
	switch s := shapeOf(rv.Type()); s.kind {
	case shapeEmpty:
		return wire.JSON, b, nil
	case shapePair:
		return appendPair(b, rv, s)
	}
	b, err := appendJSON(b, v)
	return wire.JSON, b, err
}

// appendPair appends a struct whose last field travels raw. In the JSON that field is empty.
func appendPair(b []byte, v reflect.Value, s *shape) (wire.Form, []byte, error) {
	head := reflect.New(v.Type()).Elem()
	head.Set(v)
	last := s.fields[len(s.fields)-1].index
	head.Field(last).SetZero()
	text, err := json.Marshal(head.Addr().Interface())
	if err != nil {
		return 0, b, err
	}
	b = binary.AppendUvarint(b, uint64(len(text)))
	b = append(b, text...)
	return wire.Pair, append(b, v.Field(last).Bytes()...), nil
}

// appender lets package json write at the end of a slice.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

var appenders = sync.Pool{New: func() any { return new(appender) }}

func appendJSON(b []byte, v any) ([]byte, error) {
	a := appenders.Get().(*appender)
	a.b = b
	err := json.MarshalWrite(a, v)
	b, a.b = a.b, nil
	appenders.Put(a)
	return b, err
}

// unmarshal is the one way in for JSON that came from the other side: bounded depth, no
// duplicate names, valid UTF-8, nothing behind the value.
func unmarshal(data []byte, into any) error {
	if err := checkDepth(data); err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

func checkDepth(data []byte) error {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth > maxDepth {
				return fmt.Errorf("JSON nested deeper than %d levels", maxDepth)
			}
		case '}', ']':
			depth--
		}
	}
	return nil
}

// splitPair takes a pair apart.
func splitPair(data []byte) (head, body []byte, err error) {
	n, rest, err := wire.Uvarint(data)
	if err != nil || n > uint64(len(rest)) {
		return nil, nil, errors.New("a pair whose JSON is cut short")
	}
	return rest[:n], rest[n:], nil
}

// decodeValue reads a result or an item and checks it. It never keeps data, except where the
// form is Bytes and T is []byte: then *v is data.
func decodeValue[T any](form wire.Form, data []byte, v *T) error {
	switch x := any(v).(type) {
	case *[]byte:
		if form == wire.Bytes {
			*x = data
			return nil
		}
	case *struct{}:
		return nil
	}
	if err := decodeInto(form, data, v); err != nil {
		return err
	}
	return nil
}

// decodeInto reads a value into the variable that into points at, and checks it.
func decodeInto(form wire.Form, data []byte, into any) error {
	if v, ok := into.(*Value); ok {
		return v.set(form, data)
	}
	switch form {
	case wire.Bytes:
		b, ok := into.(*[]byte)
		if !ok {
			return fmt.Errorf("raw bytes came where %s was expected", typeName(into))
		}
		*b = append(make([]byte, 0, len(data)), data...)
		return nil
	case wire.Pair:
		head, body, err := splitPair(data)
		if err != nil {
			return err
		}
		rv := reflect.ValueOf(into).Elem()
		s := shapeOf(rv.Type())
		if s.kind != shapePair {
			return fmt.Errorf("JSON with raw bytes came where %s was expected", typeName(into))
		}
		if err := unmarshal(head, into); err != nil {
			return fmt.Errorf("not a %s: %w", typeName(into), err)
		}
		rv.Field(s.fields[len(s.fields)-1].index).SetBytes(append(make([]byte, 0, len(body)), body...))
	default:
		if len(data) == 0 {
			reflect.ValueOf(into).Elem().SetZero()
			break
		}
		if err := unmarshal(data, into); err != nil {
			return fmt.Errorf("not a %s: %w", typeName(into), err)
		}
	}
	return validate(into)
}

func (v *Value) set(form wire.Form, data []byte) error {
	*v = Value{}
	body := func(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }
	switch form {
	case wire.Bytes:
		v.Body = body(data)
		return nil
	case wire.Pair:
		head, raw, err := splitPair(data)
		if err != nil {
			return err
		}
		v.Body = body(raw)
		data = head
	}
	if len(data) == 0 {
		return nil
	}
	if err := checkDepth(data); err != nil {
		return err
	}
	v.JSON = append(jsontext.Value(nil), data...)
	if !v.JSON.IsValid() {
		return errors.New("not JSON")
	}
	return nil
}

func typeName(into any) string { return reflect.TypeOf(into).Elem().String() }

// validate asks a value that can check itself.
func validate(into any) error {
	if v, ok := into.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// decodeParams reads parameters into the one argument of a typed method and checks it: by
// name, by position, or raw. Like decodeValue it may keep data if A is []byte.
func decodeParams[A any](form wire.Form, data []byte, a *A) error {
	if b, ok := any(a).(*[]byte); ok && form == wire.Bytes {
		*b = data
		return nil
	}
	s := shapeOf(reflect.TypeFor[A]())
	if s.kind == shapeValue {
		return decodeInto(form, data, a)
	}
	head, body := data, []byte(nil)
	switch form {
	case wire.Bytes:
		return fmt.Errorf("raw bytes came where %s was expected", typeName(a))
	case wire.Pair:
		var err error
		if head, body, err = splitPair(data); err != nil {
			return err
		}
		if s.kind != shapePair {
			return fmt.Errorf("raw bytes came with the arguments where %s was expected", typeName(a))
		}
		if body == nil {
			body = []byte{}
		}
	}
	if len(head) > 0 && firstByte(head) != '[' {
		if s.kind != shapeStruct && s.kind != shapePair && s.kind != shapeEmpty {
			return fmt.Errorf("arguments by name came where one %s was expected: send a list of one", typeName(a))
		}
		return decodeByName(form, data, a, s)
	}
	list, err := splitList(head)
	if err != nil {
		return err
	}
	if err := decodeList(list, body, reflect.ValueOf(a).Elem(), s); err != nil {
		return err
	}
	return validate(a)
}

func decodeByName(form wire.Form, data []byte, into any, s *shape) error {
	if s.kind == shapeEmpty {
		return unmarshal(data, into)
	}
	return decodeInto(form, data, into)
}

func firstByte(p []byte) byte {
	for _, c := range p {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c
		}
	}
	return 0
}

// splitList cuts a JSON array into its elements; nothing at all is an empty list.
func splitList(data []byte) ([]jsontext.Value, error) {
	if len(data) == 0 {
		return nil, nil
	}
	var list []jsontext.Value
	if err := unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("not a list of arguments: %w", err)
	}
	return list, nil
}

// decodeList stores arguments given by position.
func decodeList(list []jsontext.Value, body []byte, a reflect.Value, s *shape) error {
	switch s.kind {
	case shapeEmpty:
		if len(list) > 0 {
			return fmt.Errorf("%d arguments came, none was expected", len(list))
		}
		return nil
	case shapeStruct, shapePair:
		// One object is the whole argument by name, unless the only field wants an object itself.
		if len(list) == 1 && body == nil && firstByte(list[0]) == '{' && !s.lone {
			if err := unmarshal(list[0], a.Addr().Interface()); err != nil {
				return fmt.Errorf("not a %s: %w", a.Type(), err)
			}
			return nil
		}
		return decodeFields(list, body, a, s.fields)
	}
	if len(list) != 1 {
		return fmt.Errorf("%d arguments came, one was expected: %s", len(list), a.Type())
	}
	if err := unmarshal(list[0], a.Addr().Interface()); err != nil {
		return fmt.Errorf("not a %s: %w", a.Type(), err)
	}
	return nil
}

func decodeFields(list []jsontext.Value, body []byte, a reflect.Value, fields []field) error {
	if fields == nil {
		return fmt.Errorf("%s takes its arguments by name only", a.Type())
	}
	if body != nil {
		last := fields[len(fields)-1]
		a.Field(last.index).SetBytes(append(make([]byte, 0, len(body)), body...))
		fields = fields[:len(fields)-1]
	}
	if len(list) > len(fields) {
		return fmt.Errorf("%d arguments came, %d were expected by %s", len(list), len(fields), a.Type())
	}
	for i, f := range fields {
		if i >= len(list) {
			if !f.optional {
				return fmt.Errorf("argument %d (%s) is missing", i+1, f.name)
			}
			continue
		}
		if err := unmarshal(list[i], a.Field(f.index).Addr().Interface()); err != nil {
			return fmt.Errorf("argument %d (%s): %w", i+1, f.name, err)
		}
	}
	return nil
}
