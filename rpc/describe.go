package rpc

import (
	"cmp"
	"maps"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/wire"
)

//go:generate go run ./docgen

// Methods is the built-in method that describes what a peer serves. It is under the Mux's rule
// like any other.
const Methods Method[struct{}, Description] = "rpc.methods"

// A Description is what a peer serves, as "rpc.methods" tells it: complete enough to write or
// generate a client from it. spec/README.md has its format.
type Description struct {
	// Methods are ordered by name.
	Methods []MethodInfo `json:"methods"`
	// Defs are the schemas of types with a name. The schemas of the methods and these refer to
	// them as "#/$defs/NAME", from the root of the Description.
	Defs map[string]jsontext.Value `json:"$defs"`
}

// MethodInfo describes a method.
type MethodInfo struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"`            // call, source, sink or duplex
	Doc    string   `json:"doc,omitempty"`   // its doc comment
	Args   TypeInfo `json:"args"`            // the parameters
	In     TypeInfo `json:"in,omitzero"`     // the items the caller feeds
	Result TypeInfo `json:"result,omitzero"` // the result
	Out    TypeInfo `json:"out,omitzero"`    // the items the method yields
	Pure   bool     `json:"pure,omitzero"`   // safe to repeat
	Keyed  bool     `json:"keyed,omitzero"`  // safe to repeat with the same key
	Rule   string   `json:"rule,omitempty"`  // who may call it
}

// TypeInfo describes parameters, a result or an item: how they travel and what is in them.
type TypeInfo struct {
	// Go is the Go type, for people.
	Go string `json:"go"`
	// Form is how it travels: "none" is nothing, "json" JSON, "bytes" raw bytes, "pair" JSON with
	// raw bytes beside it, "any" whatever the program gives.
	Form string `json:"form"`
	// Schema is the JSON Schema (draft 2020-12) of the JSON; of parameters, of their list or of
	// the object that holds them by name.
	Schema jsontext.Value `json:"schema,omitzero"`
	// Positions are, of parameters that may come by name or by position, the names in the order
	// of the positions. Those that the schema does not require may be missing at the end.
	Positions []string `json:"positions,omitempty"`
	// Raw is, of a pair, the member that is in the raw bytes and not in the JSON; of a list of
	// parameters it is the last one, and Raw is empty.
	Raw string `json:"raw,omitempty"`
	// Hash is equal where all of the above is that travels: not Go, and not the comments and the
	// names of types in the schema. See Description.Hashed.
	Hash string `json:"hash,omitempty"`

	t    reflect.Type
	list positional // the parameters of a plain function
}

// typeOf begins the description of a type. The rest is found when somebody asks.
func typeOf[T any]() TypeInfo { return TypeInfo{t: reflect.TypeFor[T]()} }

// resultOf is typeOf for the result of a plain function: what is in an interface travels as if
// it were declared.
func resultOf(t reflect.Type) TypeInfo {
	if t.Kind() == reflect.Interface {
		return TypeInfo{Go: shortType(t), t: valueType}
	}
	return TypeInfo{t: t}
}

// info describes the parameters of a plain function. A single one is as a typed method's.
func (p positional) info() TypeInfo {
	switch len(p) {
	case 0:
		return TypeInfo{Go: p.describe(), t: reflect.TypeFor[struct{}]()}
	case 1:
		return TypeInfo{Go: p.describe(), t: p[0]}
	}
	return TypeInfo{Go: p.describe(), list: p}
}

// Describe gives the Mux doc comments, of methods by their names and of Go types and fields by
// import path and name ("example.org/app.Note", "example.org/app.Note.Text"). Command
// rpc/docgen collects them from the sources. Methods put on the Mux before have them, too.
func (m *Mux) Describe(docs map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := maps.Clone(m.docs)
	if all == nil {
		all = make(map[string]string, len(docs))
	}
	maps.Copy(all, docs)
	m.docs, m.described = all, nil
}

// Methods describes what is on the Mux. What it returns is shared and must not be changed.
func (m *Mux) Methods() Description {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.described != nil {
		return *m.described
	}
	infos := make([]MethodInfo, 0, len(m.m))
	for _, s := range m.m {
		infos = append(infos, s.MethodInfo)
	}
	d := describeAll(infos, m.docs)
	m.described, m.schema = &d, d.Hash()
	return d
}

// schemaHash is what the hello says of the methods: "" if nothing is served.
func (m *Mux) schemaHash() string {
	if m == nil {
		return ""
	}
	m.mu.RLock()
	described, hash := m.described, m.schema
	m.mu.RUnlock()
	if described == nil {
		hash = m.Methods().Hash()
	}
	return hash
}

// describeAll completes the descriptions of methods, of which only the types are known.
func describeAll(methods []MethodInfo, docs map[string]string) Description {
	slices.SortFunc(methods, func(a, b MethodInfo) int { return strings.Compare(a.Name, b.Name) })
	s := &schemer{docs: docs, names: make(map[reflect.Type]string), defs: make(map[string]jsontext.Value)}
	for i := range methods {
		m := &methods[i]
		m.Doc = docs[m.Name]
		m.Args, m.In, m.Result, m.Out = s.params(m.Args), s.value(m.In), s.value(m.Result), s.value(m.Out)
	}
	d, err := Description{Methods: methods, Defs: s.defs}.Hashed()
	if err != nil {
		panic(err.Error()) // a JSONSchema of the program refers to what is not there
	}
	return d
}

// value completes the description of a result or an item.
func (s *schemer) value(i TypeInfo) TypeInfo {
	if i.t == nil {
		return i // the method has none
	}
	d := TypeInfo{Go: cmp.Or(i.Go, shortType(i.t))}
	switch sh := shapeOf(i.t); sh.kind {
	case shapeEmpty:
		d.Form = formNone
	case shapeBytes:
		d.Form = wire.Bytes.String()
	case shapeValue:
		d.Form = formAny
	case shapePair:
		d.Form, d.Raw = wire.Pair.String(), sh.fields[len(sh.fields)-1].name
		d.Schema = s.schema(i.t).text()
	default:
		d.Form, d.Schema = wire.JSON.String(), s.schema(i.t).text()
	}
	return d
}

// Words for TypeInfo.Form beside those of wire.Form.
const (
	formNone = "none"
	formAny  = "any"
)

// params completes the description of a method's parameters.
func (s *schemer) params(i TypeInfo) TypeInfo {
	if i.list != nil {
		d := TypeInfo{Go: i.Go, Form: wire.JSON.String()}
		least := len(i.list)
		if i.list[least-1] == bytesType {
			d.Form = wire.Pair.String()
			least--
		}
		d.Schema = s.listOf(i.list, least).text()
		return d
	}
	d := s.value(i)
	switch sh := shapeOf(i.t); sh.kind {
	case shapeOther:
		d.Schema = s.listOf([]reflect.Type{i.t}, 1).text()
	case shapeStruct, shapePair:
		for _, f := range sh.fields {
			d.Positions = append(d.Positions, f.name)
		}
	}
	return d
}

// listOf gives the schema of parameters by position.
func (s *schemer) listOf(types []reflect.Type, least int) object {
	items := make([]object, len(types))
	for i, t := range types {
		items[i] = s.schema(t)
	}
	return object{{"type", "array"}, {"prefixItems", items}, {"minItems", least}, {"items", false}}
}

// ruleName names a rule by its function: "public" for Public, and for a function that another
// one made, the name of that.
func ruleName(rule Rule) string {
	name := runtime.FuncForPC(reflect.ValueOf(rule).Pointer()).Name()
	name = name[strings.LastIndexByte(name, '/')+1:]
	name = strings.TrimSuffix(name, "-fm") // a method value
	name = strings.ReplaceAll(name, "[...]", "")
	parts := strings.Split(name, ".")[1:] // without the package
	for i, p := range parts {
		if i > 0 && closure.MatchString(p) {
			parts = parts[:i]
			break
		}
	}
	name = parts[len(parts)-1]
	if parts[0] == "glob" || parts[0] == "init" {
		return "" // a function literal in a variable
	}
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(first)) + name[size:]
}

// closure is what the compiler calls a function literal.
var closure = regexp.MustCompile(`^(func|gowrap)?[0-9]+$`)
