package rpc

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// builtin is how the names of methods begin that belong to the protocol.
const builtin = "rpc."

// Hashed fills in the hashes of a description: of parameters, items and results by how they
// travel and what is in them, so that two that are equal are equal on the wire. Comments, and the
// names of types, do not matter. It leaves d as it is. The error says which schema makes no sense.
func (d Description) Hashed() (Description, error) { return d.hashed(math.MaxInt) }

// hashed is Hashed for a description of at most so many schemas, each counted where it is used.
func (d Description) hashed(most int) (Description, error) {
	h := hasher{left: most, defs: make(map[string]any, len(d.Defs))}
	for name, text := range d.Defs {
		var schema any
		if err := json.Unmarshal(text, &schema); err != nil {
			return Description{}, fmt.Errorf("rpc: $defs/%s: %w", name, err)
		}
		h.defs[name] = schema
	}
	d.Methods = slices.Clone(d.Methods)
	for i := range d.Methods {
		m := &d.Methods[i]
		for _, part := range m.parts() {
			hash, err := h.hash(*part.info)
			if err != nil {
				return Description{}, fmt.Errorf("rpc: %s: %s: %w", m.Name, part.name, err)
			}
			part.info.Hash = hash
		}
	}
	return d, nil
}

// Hash is one hash for all methods of a description that has hashes (see Hashed), those of the
// protocol excepted. It is what a hello says.
func (d Description) Hash() string {
	var b strings.Builder
	for _, m := range d.Methods {
		if !strings.HasPrefix(m.Name, builtin) {
			fmt.Fprintf(&b, "%s %s", m.Name, m.Kind)
			for _, t := range []TypeInfo{m.Args, m.In, m.Result, m.Out} {
				b.WriteString(" " + t.Hash)
			}
			b.WriteByte('\n')
		}
	}
	return shortHash([]byte(b.String()))
}

// shortHash is the first 8 bytes of SHA-256 in hexadecimal: it finds what differs by mistake and
// proves nothing.
func shortHash(p []byte) string {
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:8])
}

// A part is one of the things that travel in a call.
type part struct {
	name string
	info *TypeInfo
}

// parts are those that the method has.
func (m *MethodInfo) parts() []part {
	all := []part{{"args", &m.Args}, {"in", &m.In}, {"result", &m.Result}, {"out", &m.Out}}
	return slices.DeleteFunc(all, func(p part) bool { return p.info.Form == "" })
}

// A hasher makes the hashes of one description.
type hasher struct {
	left int // schemas that may still be looked at
	defs map[string]any

	// Of the hash that is being made: which definitions it met, in this order.
	numbers map[string]int
	met     []string
}

// hash hashes one part. Its definitions are numbered as they are met, and go along.
func (h *hasher) hash(t TypeInfo) (string, error) {
	h.numbers, h.met = make(map[string]int), nil
	o := map[string]any{"form": t.Form}
	if len(t.Positions) > 0 {
		o["positions"] = t.Positions
	}
	if t.Raw != "" {
		o["raw"] = t.Raw
	}
	if t.Schema != nil {
		var schema any
		if err := json.Unmarshal(t.Schema, &schema); err != nil {
			return "", err
		}
		bare, err := h.bare(schema)
		if err != nil {
			return "", err
		}
		o["schema"] = bare
		defs := []any{}
		for len(defs) < len(h.met) { // more are met on the way
			def, err := h.bare(h.defs[h.met[len(defs)]])
			if err != nil {
				return "", err
			}
			defs = append(defs, def)
		}
		o["$defs"] = defs
	}
	text, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	if err := (*jsontext.Value)(&text).Canonicalize(); err != nil {
		return "", err
	}
	return shortHash(text), nil
}

// annotations are keywords that ask nothing of a value.
var annotations = []string{"$comment", "default", "deprecated", "description", "examples", "title"}

// bare gives a schema without what asks nothing, and with numbers in place of names.
func (h *hasher) bare(schema any) (any, error) {
	members, ok := schema.(map[string]any)
	if !ok {
		return schema, nil // true or false
	}
	if h.left--; h.left < 0 {
		return nil, errors.New("there are too many schemas")
	}
	o := make(map[string]any, len(members))
	for _, keyword := range slices.Sorted(maps.Keys(members)) {
		value := members[keyword]
		var err error
		switch keyword {
		case "$ref":
			value, err = h.number(value)
		case "properties", "patternProperties", "dependentSchemas":
			value, err = h.bareMembers(value)
		case "const", "enum":
		case "required":
			value, err = sortedNames(value)
		default:
			if slices.Contains(annotations, keyword) {
				continue
			}
			if list, ok := value.([]any); ok {
				value, err = h.bareList(list)
			} else {
				value, err = h.bare(value)
			}
		}
		if err != nil {
			return nil, err
		}
		o[keyword] = value
	}
	return o, nil
}

func (h *hasher) bareList(list []any) (any, error) {
	list = slices.Clone(list)
	for i, schema := range list {
		var err error
		if list[i], err = h.bare(schema); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (h *hasher) bareMembers(value any) (any, error) {
	members, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("the members of a schema are no object")
	}
	o := make(map[string]any, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		var err error
		if o[name], err = h.bare(members[name]); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// number takes note of a definition that is referred to.
func (h *hasher) number(ref any) (any, error) {
	text, _ := ref.(string)
	name, ok := strings.CutPrefix(text, "#/$defs/")
	if _, known := h.defs[name]; !ok || !known {
		return nil, fmt.Errorf("a reference to %q, which is not there", text)
	}
	n, ok := h.numbers[name]
	if !ok {
		n = len(h.met)
		h.numbers[name], h.met = n, append(h.met, name)
	}
	return n, nil
}

func sortedNames(value any) (any, error) {
	list, _ := value.([]any)
	names := make([]string, len(list))
	for i, one := range list {
		name, ok := one.(string)
		if !ok {
			return nil, errors.New("a required member that is no name")
		}
		names[i] = name
	}
	slices.Sort(names)
	return names, nil
}
