package tsgen

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/rpc"
)

// Each keyword of a schema matters: without it, another file is written or none; and one that is
// not known, wherever it stands, is an error that names it.
func TestKeywords(t *testing.T) {
	for name, d := range map[string]rpc.Description{"shapes": shapesMux().Methods(), "chum": chumMethods(t)} {
		d.Methods = slices.DeleteFunc(slices.Clone(d.Methods), func(m rpc.MethodInfo) bool { return m.Name == "rpc.methods" })
		d.Defs = maps.Clone(d.Defs)
		maps.DeleteFunc(d.Defs, func(name string, _ jsontext.Value) bool {
			return name == "rpc.Description" || name == "rpc.MethodInfo" || name == "rpc.TypeInfo"
		})
		whole := generated(t, d)
		count := make(map[string]int)
		visit(t, d, func(at string, schema map[string]any, changed func() rpc.Description) {
			schema["surprise"] = 1
			if _, err := Generate(changed(), nil); err == nil || !strings.Contains(err.Error(), "surprise") {
				t.Errorf("%s: %s: a keyword that is not known: %v", name, at, err)
			}
			delete(schema, "surprise")
			for _, keyword := range slices.Sorted(maps.Keys(schema)) {
				switch {
				case keyword == "title", keyword == "format" && schema["type"] != "string", // for people: the bounds stand beside it
					keyword == "type" && schema["enum"] != nil, schema[keyword] == true: // says no more than others
					continue
				}
				value := schema[keyword]
				delete(schema, keyword)
				text, err := Generate(changed(), nil)
				if err == nil && withoutHashes(text) == whole {
					t.Errorf("%s: %s: without %s: %v the same is written", name, at, keyword, value)
				}
				schema[keyword] = value
				count[keyword]++
			}
		})
		for _, keyword := range []string{"$ref", "type", "items", "properties", "required", "pattern", "minimum", "maximum", "enum", "description", "contentEncoding"} {
			if count[keyword] == 0 {
				t.Errorf("%s: no %s was met", name, keyword)
			}
		}
	}
}

func generated(t *testing.T, d rpc.Description) string {
	t.Helper()
	text, err := Generate(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	return withoutHashes(text)
}

// withoutHashes leaves out what changes with every keyword.
func withoutHashes(text []byte) string {
	before, _, _ := strings.Cut(string(text), "\nconst expected")
	return before
}

// visit calls do for each schema of a description; changed then gives the description as do made it.
func visit(t *testing.T, d rpc.Description, do func(at string, schema map[string]any, changed func() rpc.Description)) {
	t.Helper()
	root := func(at string, text jsontext.Value, set func(jsontext.Value) rpc.Description) {
		var schema any
		if err := json.Unmarshal(text, &schema); err != nil {
			t.Fatal(err)
		}
		changed := func() rpc.Description {
			text, err := json.Marshal(schema, json.Deterministic(true))
			if err != nil {
				t.Fatal(err)
			}
			return set(text)
		}
		walk(at, schema, func(at string, schema map[string]any) { do(at, schema, changed) })
	}
	for name, text := range d.Defs {
		root(name, text, func(text jsontext.Value) rpc.Description {
			d := d
			d.Defs = maps.Clone(d.Defs)
			d.Defs[name] = text
			return d
		})
	}
	for i, m := range d.Methods {
		for part, get := range map[string]func(*rpc.MethodInfo) *rpc.TypeInfo{
			"args": func(m *rpc.MethodInfo) *rpc.TypeInfo { return &m.Args }, "in": func(m *rpc.MethodInfo) *rpc.TypeInfo { return &m.In },
			"result": func(m *rpc.MethodInfo) *rpc.TypeInfo { return &m.Result }, "out": func(m *rpc.MethodInfo) *rpc.TypeInfo { return &m.Out },
		} {
			if schema := get(&m).Schema; schema != nil {
				root(m.Name+" "+part, schema, func(text jsontext.Value) rpc.Description {
					d := d
					d.Methods = slices.Clone(d.Methods)
					get(&d.Methods[i]).Schema = text
					return d
				})
			}
		}
	}
}

// walk calls do for a schema and those within it.
func walk(at string, schema any, do func(at string, schema map[string]any)) {
	o, ok := schema.(map[string]any)
	if !ok {
		return
	}
	for _, keyword := range []string{"items", "additionalProperties", "propertyNames"} {
		walk(at+" "+keyword, o[keyword], do)
	}
	for _, keyword := range []string{"anyOf", "prefixItems"} {
		list, _ := o[keyword].([]any)
		for i, one := range list {
			walk(fmt.Sprintf("%s %s %d", at, keyword, i), one, do)
		}
	}
	members, _ := o["properties"].(map[string]any)
	for name, one := range members {
		walk(at+"."+name, one, do)
	}
	do(at, o)
}
