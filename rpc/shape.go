package rpc

import (
	"reflect"
	"slices"
	"strings"
	"sync"
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
		if inlined(f) {
			return &shape{kind: shapeStruct} // with the members of another, there are no positions
		}
		if name, optional, ok := jsonName(f); ok {
			s.fields = append(s.fields, field{index: i, name: name, optional: optional})
		}
	}
	if n := len(s.fields); n > 1 && t.Field(s.fields[n-1].index).Type == bytesType {
		s.kind = shapePair
	}
	s.lone = len(s.fields) == 1 && writesObject(t.Field(s.fields[0].index).Type)
	return s
}

// marshalsItself tells whether encoding a t is up to t's own methods.
func marshalsItself(t reflect.Type) bool {
	return implements(t, jsonTypes...) || implements(t, textTypes...)
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

// inlined tells whether the members of a field's own value are written in its place.
func inlined(f reflect.StructField) bool {
	tag := f.Tag.Get("json")
	name, options := cutTag(tag)
	return tag != "-" && (f.Anonymous && name == "" || hasOption(options, "embed"))
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
	return name, hasOption(options, "omitempty") || hasOption(options, "omitzero"), true
}

func cutTag(tag string) (name, options string) {
	name, options, _ = strings.Cut(tag, ",")
	return name, options
}

func hasOption(options, option string) bool {
	return slices.Contains(strings.Split(options, ","), option)
}

// A jsonField is a field that package json writes as a member of a struct's object.
type jsonField struct {
	reflect.StructField
	name     string
	optional bool         // it may be missing
	tagged   bool         // its name is in the tag
	owner    reflect.Type // the struct that declares it
	index    []int        // as for reflect.Type.FieldByIndex
}

// jsonFields finds the members of a struct in the order in which they are written, those of
// embedded structs among them; rest is the field that takes all other members, or nil. Of several
// with one name the shallowest counts, then the one whose name is in its tag, as in Go.
func jsonFields(t reflect.Type) (fields []jsonField, rest *jsonField) {
	type level struct {
		t        reflect.Type
		index    []int
		optional bool // through a pointer, which may be nil
		again    bool // met before: only its own fields, which then hide each other
	}
	byName := make(map[string][]jsonField)
	seen := map[reflect.Type]bool{t: true}
	for queue := []level{{t: t}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for i := range at.t.NumField() {
			f := at.t.Field(i)
			index := append(slices.Clone(at.index), i)
			if inlined(f) {
				to := f.Type
				if to.Kind() == reflect.Pointer {
					to = to.Elem()
				}
				switch {
				case to.Kind() != reflect.Struct:
					if rest == nil {
						rest = &jsonField{StructField: f, optional: true, owner: at.t, index: index}
					}
				case !at.again:
					queue = append(queue, level{to, index, at.optional || to != f.Type, seen[to]})
					seen[to] = true
				}
				continue
			}
			if name, optional, ok := jsonName(f); ok {
				tag, _ := cutTag(f.Tag.Get("json"))
				byName[name] = append(byName[name], jsonField{f, name, optional || at.optional, tag != "", at.t, index})
			}
		}
	}
	for _, same := range byName {
		slices.SortStableFunc(same, func(a, b jsonField) int {
			if n := len(a.index) - len(b.index); n != 0 || a.tagged == b.tagged {
				return n
			}
			return map[bool]int{true: -1, false: 1}[a.tagged]
		})
		if len(same) == 1 || len(same[0].index) != len(same[1].index) || same[0].tagged != same[1].tagged {
			fields = append(fields, same[0])
		}
	}
	slices.SortFunc(fields, func(a, b jsonField) int { return slices.Compare(a.index, b.index) })
	return fields, rest
}
