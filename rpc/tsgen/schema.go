package tsgen

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A node is a JSON Schema that was read.
type node struct {
	sort sort
	// problem says why there can be no TypeScript for it, and what to do; "" if there can.
	problem string

	doc        string
	deprecated bool

	ref         string   // the name of a definition
	low, high   string   // bounds of a number, as JSON has them; "" none
	pattern     string   // of a text
	format      string   // of a text
	least, most int      // lengths of a text, bytes or a list; -1 none
	of          *node    // elements of a list, values of a record, what may be null
	names       *node    // of a record; nil: any
	parts       []*node  // of a tuple or a union
	literals    []string // as JSON has them
	members     []member // of an object, as they are declared
}

// sort is the sort of values that a schema takes.
type sort uint8

const (
	anything sort = iota
	reference
	boolean
	integer
	number
	text
	base64 // bytes within JSON
	raw    // bytes beside JSON, or alone
	literal
	list
	tuple
	record
	object
	nullable
	union
	nothing
)

type member struct {
	name     string
	of       *node
	optional bool
	filled   bool // it may be left out, and is then the zero value
}

// plain makes a node that asks for no more than a sort.
func plain(s sort) *node { return &node{sort: s, least: -1, most: -1} }

// asRaw is a node of bytes that travel beside the JSON.
func (n *node) asRaw() *node {
	r := *n
	if r.sort = raw; n.sort != base64 && n.problem == "" {
		r.problem = "it travels as raw bytes, and its schema is of something else"
	}
	return &r
}

// asRaw is a member of bytes that travel beside the JSON: whoever gets it has it.
func (m member) asRaw() member {
	return member{name: m.name, of: m.of.asRaw(), filled: m.optional}
}

// annotations are keywords that ask nothing of a value; two of them are told in comments.
var annotations = []string{"$comment", "default", "deprecated", "description", "examples", "title"}

// keywords are those of one schema that nobody has looked at yet.
type keywords struct {
	n    *node
	left map[string]jsontext.Value
}

// read reads a schema. What it does not understand is a problem of the node.
func read(schema jsontext.Value) *node {
	n := plain(anything)
	switch schema.Kind() {
	case 't':
		return n
	case 'f':
		n.problem = "no value is valid there"
		return n
	}
	k := keywords{n: n}
	if err := json.Unmarshal(schema, &k.left); err != nil || k.left == nil {
		n.problem = "its schema is no JSON object"
		return n
	}
	take(k, "description", &n.doc)
	take(k, "deprecated", &n.deprecated)
	for _, a := range annotations {
		delete(k.left, a)
	}
	for _, r := range []struct {
		keyword string
		read    func(keywords)
	}{{"$ref", n.readReference}, {"const", n.readLiterals}, {"enum", n.readLiterals}, {"anyOf", n.readUnion}, {"type", n.readType}} {
		if _, has := k.left[r.keyword]; has {
			r.read(k)
			break
		}
	}
	for _, keyword := range slices.Sorted(maps.Keys(k.left)) {
		k.fail("the keyword %s of its schema is not understood there: take it out of the type's JSONSchema, or leave the method out", keyword)
	}
	return n
}

// fail notes the first problem.
func (k keywords) fail(format string, args ...any) {
	if k.n.problem == "" {
		k.n.problem = fmt.Sprintf(format, args...)
	}
}

// take reads a keyword into a variable, if it is there.
func take[T any](k keywords, keyword string, into *T) {
	value, has := k.left[keyword]
	delete(k.left, keyword)
	if !has {
		return
	}
	if err := json.Unmarshal(value, into); err != nil {
		k.fail("the keyword %s of its schema is not as it should be: %v", keyword, err)
	}
}

// schema reads a keyword whose value is a schema; nil if it is not there.
func (k keywords) schema(keyword string) *node {
	var value jsontext.Value
	take(k, keyword, &value)
	if value == nil {
		return nil
	}
	return read(value)
}

// schemas reads a keyword whose value is a list of schemas.
func (k keywords) schemas(keyword string) []*node {
	var values []jsontext.Value
	take(k, keyword, &values)
	nodes := make([]*node, len(values))
	for i, v := range values {
		nodes[i] = read(v)
	}
	return nodes
}

func (n *node) readReference(k keywords) {
	n.sort = reference
	var ref string
	take(k, "$ref", &ref)
	var ok bool
	if n.ref, ok = strings.CutPrefix(ref, "#/$defs/"); !ok {
		k.fail("its schema refers to %q: only #/$defs/NAME is understood", ref)
	}
}

func (n *node) readLiterals(k keywords) {
	n.sort = literal
	var values []jsontext.Value
	if _, has := k.left["const"]; has {
		values = make([]jsontext.Value, 1)
		take(k, "const", &values[0])
	} else {
		take(k, "enum", &values)
	}
	var typ string
	take(k, "type", &typ)
	kinds := map[string][]jsontext.Kind{"": {'"', '0', 't', 'f', 'n'}, "string": {'"'}, "number": {'0'}, "integer": {'0'}, "boolean": {'t', 'f'}, "null": {'n'}}[typ]
	for _, v := range values {
		if !slices.Contains(kinds, v.Kind()) {
			k.fail("its schema lists %s, which is no %s", v, cmp.Or(typ, "string, number, boolean or null"))
		}
		if f, err := strconv.ParseFloat(string(v), 64); err == nil && v.Kind() == '0' && math.Abs(f) > safe {
			k.fail("its schema lists %s, which JavaScript's numbers do not hold", v)
		}
		n.literals = append(n.literals, string(v))
	}
	if len(values) == 0 {
		k.fail("no value is valid there")
	}
}

func (n *node) readUnion(k keywords) {
	n.parts = k.schemas("anyOf")
	null := slices.IndexFunc(n.parts, func(p *node) bool {
		return p.problem == "" && p.sort == literal && slices.Equal(p.literals, []string{"null"})
	})
	if len(n.parts) == 2 && null >= 0 {
		n.sort, n.of, n.parts = nullable, n.parts[1-null], nil
		return
	}
	if n.sort = union; len(n.parts) == 0 {
		k.fail("no value is valid there")
	}
}

func (n *node) readType(k keywords) {
	var types []string
	if k.left["type"].Kind() == '[' {
		take(k, "type", &types)
	} else {
		types = make([]string, 1)
		take(k, "type", &types[0])
	}
	if null := slices.Index(types, "null"); len(types) == 2 && null >= 0 {
		n.sort = nullable
		n.of = plain(anything)
		within := keywords{n.of, k.left}
		n.of.readOneType(within, types[1-null])
		return
	}
	if len(types) != 1 {
		k.fail("its schema has the types %q: one, or one and null, is understood", types)
		return
	}
	n.readOneType(k, types[0])
}

func (n *node) readOneType(k keywords, name string) {
	switch name {
	case "null":
		n.sort, n.literals = literal, []string{"null"}
	case "boolean":
		n.sort = boolean
	case "integer", "number":
		n.readNumber(k, name)
	case "string":
		n.readText(k)
	case "array":
		n.readList(k)
	case "object":
		n.readObject(k)
	default:
		k.fail("its schema has the type %q", name)
	}
}

// safe is the last integer that JavaScript's numbers hold together with its neighbours.
const safe = 1<<53 - 1

func (n *node) readNumber(k keywords, name string) {
	var format string
	take(k, "format", &format) // its bounds stand beside it
	var low, high jsontext.Value
	take(k, "minimum", &low)
	take(k, "maximum", &high)
	n.low, n.high = string(low), string(high)
	for _, v := range []jsontext.Value{low, high} {
		if v != nil && v.Kind() != '0' {
			k.fail("a bound of it is no number")
		}
	}
	if n.sort = number; name == "number" {
		return
	}
	n.sort = integer
	var from, to int64
	if json.Unmarshal(low, &from) == nil && json.Unmarshal(high, &to) == nil && from >= -safe && to <= safe {
		return
	}
	k.fail(`it is %s, and JavaScript's numbers hold integers from -%d to %[2]d only: bound the field with tags minimum:"..." and `+
		`maximum:"..." within that, or write it as a string with json:",string", or take a type of 32 bits`, integerName(format), safe)
}

func integerName(format string) string {
	if format == "" {
		return "an integer without bounds"
	}
	return "of type " + format
}

func (n *node) readText(k keywords) {
	n.sort = text
	take(k, "pattern", &n.pattern)
	take(k, "format", &n.format)
	take(k, "minLength", &n.least)
	take(k, "maxLength", &n.most)
	var encoding string
	if take(k, "contentEncoding", &encoding); encoding == "" {
		return
	}
	if encoding != "base64" || n.pattern != "" || n.format != "" {
		k.fail("its schema has the encoding %q beside what is not understood with it", encoding)
	}
	n.sort = base64 // RFC 4648, section 4: four characters for three bytes, of which two may be padding
	if n.least > 0 {
		n.least = max(n.least/4*3-2, 0)
	}
	if n.most > 0 {
		n.most = n.most / 4 * 3
	}
}

func (n *node) readList(k keywords) {
	n.sort = list
	take(k, "minItems", &n.least)
	take(k, "maxItems", &n.most)
	if _, fixed := k.left["prefixItems"]; !fixed {
		if n.of = k.schema("items"); n.of == nil {
			n.of = plain(anything)
		}
		return
	}
	n.sort, n.parts = tuple, k.schemas("prefixItems")
	var more jsontext.Value
	take(k, "items", &more)
	if string(more) != "false" || n.most >= 0 && n.most != len(n.parts) {
		k.fail("a list of elements with types of their own may have no more of them: items false beside prefixItems")
	}
}

func (n *node) readObject(k keywords) {
	declared, additional := k.left["properties"], k.schema("additionalProperties")
	if declared == nil && (additional != nil || k.left["propertyNames"] != nil) {
		n.sort, n.of, n.names = record, additional, k.schema("propertyNames")
		if n.of == nil {
			n.of = plain(anything)
		}
		return
	}
	n.sort = object
	if additional != nil {
		k.fail("an object with members that are declared and others of any name has no type in TypeScript: give the others a map of their own")
	}
	delete(k.left, "properties")
	members, err := inOrder(declared)
	if err != nil {
		k.fail("the members of its schema are no object: %v", err)
	}
	var required []string
	take(k, "required", &required)
	for _, m := range members {
		if slices.Contains([]string{"__proto__", "constructor", "prototype"}, m.name) {
			k.fail("it has a member %s, which checkers let through from nobody: give it another name", m.name)
		}
		n.members = append(n.members, member{name: m.name, of: read(m.value), optional: !slices.Contains(required, m.name)})
	}
	for _, name := range required {
		if !slices.ContainsFunc(n.members, func(m member) bool { return m.name == name }) {
			k.fail("its schema requires a member %q that it does not declare", name)
		}
	}
}

type named struct {
	name  string
	value jsontext.Value
}

// inOrder reads an object, whose members keep their order.
func inOrder(text jsontext.Value) (members []named, err error) {
	if text == nil {
		return nil, nil
	}
	d := jsontext.NewDecoder(strings.NewReader(string(text)))
	if _, err := d.ReadToken(); err != nil || text.Kind() != '{' {
		return nil, fmt.Errorf("%.40s", text)
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		m := named{name: name.String()}
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		m.value = value.Clone()
		members = append(members, m)
	}
	return members, nil
}
