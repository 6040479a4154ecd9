package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/chumsync/chum/rpc"
)

// checkArguments holds arguments against what the other side says of the method, so that what is
// wrong shows before anything is sent. What cannot be checked, the other side will.
func checkArguments(d rpc.Description, m rpc.MethodInfo, v rpc.Value) error {
	if m.Args.Schema == nil || len(v.JSON) == 0 && v.Body != nil {
		return nil
	}
	text := v.JSON
	if len(text) == 0 {
		text = jsontext.Value("[]")
	}
	i := slices.IndexFunc(d.Methods, func(other rpc.MethodInfo) bool { return other.Name == m.Name })
	at := fmt.Sprintf("/methods/%d/args/schema", i)
	if text.Kind() == '[' && m.Args.Positions != nil {
		var list []jsontext.Value
		if err := json.Unmarshal(text, &list); err != nil {
			return err
		}
		if len(list) == 1 && list[0].Kind() == '{' {
			return nil // by name or by position: the other side knows
		}
		if len(list) > len(m.Args.Positions) {
			return misuse("%s takes at most %s, %d are given", m.Name, counted(len(m.Args.Positions), "argument"), len(list)).
				hinted("in this order: %s", strings.Join(m.Args.Positions, ", "))
		}
		named := make(map[string]jsontext.Value, len(list))
		for i, one := range list {
			named[m.Args.Positions[i]] = one
		}
		var err error
		if text, err = json.Marshal(named); err != nil {
			return err
		}
	}
	schema, err := compileAt(d, at)
	if err != nil {
		return nil //nolint:nilerr // a schema that makes no sense is the other side's affair
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	if object, ok := value.(map[string]any); ok && m.Args.Raw != "" && object[m.Args.Raw] == nil {
		object[m.Args.Raw] = "" // it travels beside the JSON
	}
	wrong, ok := errors.AsType[*jsonschema.ValidationError](schema.Validate(value))
	if !ok {
		return nil
	}
	return misuse("the arguments do not suit %s: %s", m.Name, strings.Join(reasons(wrong, m.Args.Positions != nil), "; ")).
		hinted("chum methods URL %s tells what it takes", m.Name)
}

// compileAt reads one of the schemas in a description. It loads nothing from elsewhere, whatever
// the schema refers to.
func compileAt(d rpc.Description, at string) (*jsonschema.Schema, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(jsonschema.SchemeURLLoader{}) // knows no scheme
	if err := c.AddResource("chum:methods", document); err != nil {
		return nil, err
	}
	return c.Compile("chum:methods#" + at)
}

// reasons says what is wrong in words: which argument, what is expected.
func reasons(e *jsonschema.ValidationError, named bool) (found []string) {
	if len(e.Causes) > 0 {
		for _, c := range e.Causes {
			found = append(found, reasons(c, named)...)
		}
		return found
	}
	where := "the arguments"
	if at := e.InstanceLocation; len(at) > 0 {
		where = strings.Join(at, ".")
		if !named && at[0][0] >= '0' && at[0][0] <= '9' {
			n := 0
			_, _ = fmt.Sscan(at[0], &n)
			where = strings.Join(append([]string{fmt.Sprintf("argument %d", n+1)}, at[1:]...), ".")
		}
	}
	return []string{where + ": " + e.ErrorKind.LocalizedString(message.NewPrinter(language.English))}
}
