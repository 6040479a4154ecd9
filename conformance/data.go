package conformance

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// In the cases, and in what "back" takes and gives, bytes and what is too long to be written down are objects of one member:
//
//	{"$bytes": "00ff"}   these bytes
//	{"$pattern": 5000}   so many bytes, each its offset modulo 251
//	{"$numbers": 5000}   the list 0, 1, 2 ... of so many integers
//
// All else is as JSON has it.

const (
	listed     = 20       // a list of more numbers, or bytes of thrice that, are told by their rule if they keep one
	maxPattern = 64 << 20 // bytes that a pattern may ask for
)

// marker is such an object.
type marker struct {
	Bytes   *string `json:"$bytes,omitzero"`
	Pattern *int    `json:"$pattern,omitzero"`
	Numbers *int    `json:"$numbers,omitzero"`
}

// readMarker reads one; ok is false if the value is none.
func readMarker(v jsontext.Value) (m marker, ok bool) {
	err := json.Unmarshal(v, &m, json.RejectUnknownMembers(true))
	return m, err == nil && m != marker{}
}

func (m marker) bytes() ([]byte, error) {
	switch {
	case m.Bytes != nil:
		return hex.DecodeString(*m.Bytes)
	case m.Pattern != nil && *m.Pattern >= 0 && *m.Pattern <= maxPattern:
		return pattern(*m.Pattern), nil
	}
	return nil, fmt.Errorf("conformance: no bytes: %+v", m)
}

// pattern gives n bytes, each its offset modulo 251.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// isPattern tells whether bytes at an offset of a pattern are right.
func isPattern(b []byte, offset int) bool {
	for i, c := range b {
		if c != byte((offset+i)%251) {
			return false
		}
	}
	return true
}

var unmarshalers = json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, b *[]byte) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	m, ok := readMarker(v)
	if !ok {
		return fmt.Errorf("conformance: %.40s is no bytes", v)
	}
	*b, err = m.bytes()
	return err
}))

var marshalers = json.WithMarshalers(json.MarshalToFunc(func(e *jsontext.Encoder, b []byte) error {
	m, text, size := marker{}, hex.EncodeToString(b), len(b)
	if m.Bytes = &text; size > 3*listed && isPattern(b, 0) {
		m = marker{Pattern: &size}
	}
	return json.MarshalEncode(e, m)
}))

// readData reads data into a variable; none is zero.
func readData(v jsontext.Value, into any) error {
	if len(v) == 0 {
		return nil
	}
	return json.Unmarshal(v, into, unmarshalers)
}

// writeData writes a value as data.
func writeData(v any) jsontext.Value {
	text, err := json.Marshal(v, marshalers)
	if err != nil {
		panic("conformance: " + err.Error()) // all types are ours
	}
	return text
}

// writeItems writes what a stream gave: bytes as a whole, numbers by their rule.
func writeItems[T any](list []T) jsontext.Value {
	switch list := any(list).(type) {
	case [][]byte:
		return writeData(bytes.Join(list, nil))
	case []int:
		n := len(list)
		for i, v := range list {
			if v != i {
				n = 0
			}
		}
		if n > listed {
			return writeData(marker{Numbers: &n})
		}
	}
	return writeData(list)
}

// readItems reads what a stream is fed: bytes in pieces.
func readItems[T any](v jsontext.Value) (list []T, err error) {
	m, ok := readMarker(v)
	switch into := any(&list).(type) {
	case *[][]byte:
		const piece = 5000
		b, err := m.bytes()
		for len(b) > piece {
			*into, b = append(*into, b[:piece]), b[piece:]
		}
		*into = append(*into, b)
		return list, err
	case *[]int:
		if ok && m.Numbers != nil && *m.Numbers <= maxPattern {
			for i := range *m.Numbers {
				*into = append(*into, i)
			}
			return list, nil
		}
	}
	return list, readData(v, &list)
}

// same tells whether two data mean the same.
func same(a, b any) bool {
	return reflect.DeepEqual(plain(a), plain(b))
}

func plain(v any) (out any) {
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		panic("conformance: " + err.Error())
	}
	return out
}
