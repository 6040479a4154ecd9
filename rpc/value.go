package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

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
	return store(form, data, into)
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

// jsonOptions are where values depart from version 2 of the JSON package: a time.Duration is
// its nanoseconds, as it always was.
var jsonOptions = jsonv1.FormatDurationAsNano(true)

// maxDepth is how deep the JSON of a value may be nested.
const maxDepth = 64

// An encoder appends a value: in form json whatever it is, if plain.
type encoder func(b []byte, plain bool) (wire.Form, []byte, error)

// appendValue appends a result, an item or a whole argument.
func appendValue[T any](b []byte, v *T, plain bool) (wire.Form, []byte, error) {
	if plain {
		return appendPlain(b, *v)
	}
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
func appendAny(b []byte, v any, plain bool) (wire.Form, []byte, error) {
	if plain {
		return appendPlain(b, v)
	}
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

// appendPlain is appendAny for a side that takes form json only: bytes are base64 strings.
func appendPlain(b []byte, v any) (wire.Form, []byte, error) {
	if v == nil || shapeOf(reflect.TypeOf(v)).kind == shapeEmpty {
		return wire.JSON, b, nil
	}
	if x, ok := v.(Value); ok {
		switch {
		case x.Body == nil:
			return wire.JSON, append(b, x.JSON...), nil
		case x.JSON != nil:
			return 0, b, errors.New("the other side takes JSON only: raw bytes beside it need the name of a member")
		}
		v = x.Body
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
	text, err := json.Marshal(head.Addr().Interface(), jsonOptions)
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
	err := json.MarshalWrite(a, v, jsonOptions)
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
	return json.Unmarshal(data, into, jsonOptions)
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

// decodeValue reads a result or an item and checks it; on an error *v is zero. It never keeps
// data, except where the form is Bytes and T is []byte: then *v is data.
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
		var none T
		*v = none
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
		if rv.Kind() == reflect.Pointer {
			rv.Set(reflect.New(rv.Type().Elem()))
			rv = rv.Elem()
		}
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

// store is decodeInto for a variable of the program's own: nothing is stored there but what
// was read to the end and checked.
func store(form wire.Form, data []byte, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("a value needs a pointer to a variable to be stored in, %T came", into)
	}
	fresh := reflect.New(v.Type().Elem())
	if err := decodeInto(form, data, fresh.Interface()); err != nil {
		return err
	}
	v.Elem().Set(fresh.Elem())
	return nil
}

// validate holds the value that into points at to the tags of its fields, and asks it, if it can
// check itself.
func validate(into any) error {
	if err := checkIntervals(reflect.ValueOf(into).Elem()); err != nil {
		return err
	}
	return askValue(into)
}

// askValue asks the value that into points at. If that is a pointer, it asks what it points at.
func askValue(into any) error {
	if v, ok := into.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	if v := reflect.ValueOf(into).Elem(); v.Kind() == reflect.Pointer && !v.IsNil() {
		return askValue(v.Interface())
	}
	return nil
}
