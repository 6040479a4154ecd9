package rpc

import (
	"encoding/binary"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/wire"
)

// appendParams appends the parameters that make up the one argument of a typed method: a
// struct goes by name, anything else as a list of one.
func appendParams[A any](b []byte, a *A, plain bool) (wire.Form, []byte, error) {
	s := shapeOf(reflect.TypeFor[A]())
	if s.kind == shapeOther || s.kind == shapeBytes && plain {
		b = append(b, '[')
		_, b, err := appendValue(b, a, plain)
		return wire.JSON, append(b, ']'), err
	}
	return appendValue(b, a, plain)
}

// appendArgs appends the parameters of an untyped call, by position. A last argument that is
// a []byte travels raw. A single struct goes by name, as it would from a typed caller.
func appendArgs(b []byte, args []any, plain bool) (wire.Form, []byte, error) {
	n := len(args)
	if n == 0 {
		return wire.JSON, b, nil
	}
	raw, isRaw := args[n-1].([]byte)
	isRaw = isRaw && !plain
	if n == 1 {
		if isRaw {
			return wire.Bytes, append(b, raw...), nil
		}
		if args[0] != nil {
			switch shapeOf(reflect.TypeOf(args[0])).kind {
			case shapeEmpty, shapeStruct, shapePair, shapeValue:
				return appendAny(b, args[0], plain)
			}
		}
	}
	list := args
	if isRaw {
		list = args[:n-1]
	}
	head, err := json.Marshal(list, jsonOptions)
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

// decodeParams reads parameters into the one argument of a method, which into points at, and
// checks it: by name, by position, or raw. Like decodeValue it may keep data if that is a
// []byte. A pointer to a struct takes what the struct would.
func decodeParams(form wire.Form, data []byte, into any) error {
	if b, ok := into.(*[]byte); ok && form == wire.Bytes {
		*b = data
		return nil
	}
	v := reflect.ValueOf(into).Elem()
	s := shapeOf(v.Type())
	if v.Kind() == reflect.Pointer && string(data) != "[null]" {
		if to := shapeOf(v.Type().Elem()); to.kind == shapeStruct || to.kind == shapePair {
			v.Set(reflect.New(v.Type().Elem()))
			into, v, s = v.Interface(), v.Elem(), to
		}
	}
	if s.kind == shapeValue {
		return decodeInto(form, data, into)
	}
	head, body := data, []byte(nil)
	switch form {
	case wire.Bytes:
		return fmt.Errorf("raw bytes came where %s was expected", v.Type())
	case wire.Pair:
		var err error
		if head, body, err = splitPair(data); err != nil {
			return err
		}
		if s.kind != shapePair {
			return fmt.Errorf("raw bytes came with the arguments where %s was expected", v.Type())
		}
		if body == nil {
			body = []byte{}
		}
	}
	if len(head) > 0 && firstByte(head) != '[' {
		if s.kind != shapeStruct && s.kind != shapePair && s.kind != shapeEmpty {
			return fmt.Errorf("arguments by name came where one %s was expected: send a list of one", v.Type())
		}
		return decodeByName(form, data, into, s)
	}
	list, err := splitList(head)
	if err != nil {
		return err
	}
	if err := decodeList(list, body, v, s); err != nil {
		return err
	}
	return validate(into)
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
