package tsgen

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/chumsync/chum/rpc"
)

// Options are what a file may be told. nil, and the zero value, mean the defaults.
type Options struct {
	// Only names the methods that the file has. Empty means all but those of the protocol itself,
	// whose names begin with "rpc.".
	Only []string
	// Import is where the file finds the runtime. "" means "@chumsync/chum".
	Import string
	// Check is where it finds the checkers. "" means Import with "/check".
	Check string
}

// A generator writes one file.
type generator struct {
	b       bytes.Buffer
	options Options
	defs    map[string]*node
	raws    map[string]string // definitions that travel as a pair: the member that is raw
	inner   map[string]bool   // definitions that others, or lists and the like, refer to
	names   map[string]string // of the definitions in TypeScript
	written map[string]bool   // definitions whose checkers stand in the file
}

// Generate writes the TypeScript of the methods in a description: that of a Mux, what "rpc.methods"
// answered, or [rpc.Declare] for methods of other programs. The same description gives the same
// bytes. The error names all that cannot be written, one in each line: method, place and what to do.
func Generate(d rpc.Description, o *Options) ([]byte, error) {
	g := &generator{defs: make(map[string]*node), raws: make(map[string]string), inner: make(map[string]bool), written: make(map[string]bool)}
	if o != nil {
		g.options = *o
	}
	if g.options.Import == "" {
		g.options.Import = "@chumsync/chum"
	}
	if g.options.Check == "" {
		g.options.Check = g.options.Import + "/check"
	}
	d, err := d.Hashed()
	if err != nil {
		return nil, fmt.Errorf("tsgen: %w", err)
	}
	chosen, err := choose(d.Methods, g.options.Only)
	if err != nil {
		return nil, err
	}
	for name, schema := range d.Defs {
		g.defs[name] = read(schema)
	}
	methods, err := g.methods(chosen)
	if err != nil {
		return nil, err
	}
	needed := g.needed(methods)
	g.names = typeNames(needed)
	g.nameMethods(methods)
	g.head(methods)
	for _, name := range needed {
		g.definition(name)
	}
	begun := make(map[string]bool)
	for _, name := range needed {
		g.check(name, begun)
	}
	for _, m := range methods {
		g.method(m)
	}
	g.expectations(d, methods)
	return g.b.Bytes(), nil
}

// choose finds the methods that the file has, ordered by name.
func choose(all []rpc.MethodInfo, only []string) (chosen []rpc.MethodInfo, err error) {
	var missing []error
	for _, name := range only {
		if !slices.ContainsFunc(all, func(m rpc.MethodInfo) bool { return m.Name == name }) {
			missing = append(missing, fmt.Errorf("tsgen: there is no method %q", name))
		}
	}
	for _, m := range all {
		if slices.Contains(only, m.Name) || len(only) == 0 && !strings.HasPrefix(m.Name, "rpc.") {
			chosen = append(chosen, m)
		}
	}
	slices.SortFunc(chosen, func(a, b rpc.MethodInfo) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(chosen); i++ {
		if chosen[i].Name == chosen[i-1].Name {
			missing = append(missing, fmt.Errorf("tsgen: two methods are named %q", chosen[i].Name))
		}
	}
	return chosen, errors.Join(missing...)
}

// methods reads what the methods take and give.
func (g *generator) methods(infos []rpc.MethodInfo) (methods []*method, err error) {
	var found []error
	for _, info := range infos {
		m, err := g.readMethod(info)
		if err != nil {
			found = append(found, err)
			continue
		}
		methods = append(methods, m)
	}
	return methods, errors.Join(found...)
}

// nameMethods names constants and functions. The former begin with a capital, so they never meet.
func (g *generator) nameMethods(methods []*method) {
	constants, functions := newScope(usedTypes), newScope(usedValues)
	for _, name := range g.names {
		functions[checker(name)] = true
	}
	for _, m := range methods {
		m.constant, m.function = constants.name(pascal(m.info.Name)), functions.name(camel(m.info.Name))
	}
}

// checker is the name of a type's checker.
func checker(name string) string { return "check" + name }

// needed are the definitions that the methods reach, ordered by name; it notes how they are used.
func (g *generator) needed(methods []*method) []string {
	found := make(map[string]bool)
	var visit func(*node, bool)
	visit = func(n *node, root bool) {
		if n.sort == reference {
			if !root {
				g.inner[n.ref] = true
			}
			if found[n.ref] {
				return
			}
			found[n.ref] = true
			n = g.defs[n.ref]
		}
		for _, next := range n.next() {
			visit(next.node, false)
		}
	}
	for _, m := range methods {
		for _, p := range m.parts {
			visit(p.node, true)
			if p.info.Raw != "" && p.node.sort == reference {
				g.raws[p.node.ref] = p.info.Raw
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// A step leads from one node to another.
type step struct {
	name string
	node *node
}

// next are the nodes within a node.
func (n *node) next() (steps []step) {
	if n.of != nil {
		name := map[sort]string{list: "[]", record: "{}"}[n.sort]
		steps = append(steps, step{name, n.of})
	}
	if n.names != nil {
		steps = append(steps, step{"{}", n.names})
	}
	for i, p := range n.parts {
		steps = append(steps, step{fmt.Sprintf("[%d]", i), p})
	}
	for _, m := range n.members {
		steps = append(steps, step{"." + m.name, m.of})
	}
	return steps
}

func (g *generator) printf(format string, args ...any) { fmt.Fprintf(&g.b, format, args...) }

// head writes what stands above all else.
func (g *generator) head(methods []*method) {
	g.printf("// Code generated by chum gen ts. DO NOT EDIT.\n\n")
	imports := []string{"type CallOptions", "compare", "type Difference", "type Peer"}
	for _, m := range methods {
		imports = append(imports, m.maker(), "type "+pascal(m.maker()))
		if m.info.In.Form != "" {
			imports = append(imports, "type Items")
		}
		if m.info.Out.Form != "" {
			imports = append(imports, "type Stream")
		}
	}
	if len(methods) == 0 {
		imports = imports[1:]
	}
	plain := func(s string) string { return strings.TrimPrefix(s, "type ") }
	slices.SortFunc(imports, func(a, b string) int {
		if c := strings.Compare(strings.ToLower(plain(a)), strings.ToLower(plain(b))); c != 0 {
			return c
		}
		return strings.Compare(plain(a), plain(b))
	})
	g.printf("import {\n")
	for _, name := range slices.Compact(imports) {
		g.printf("  %s,\n", name)
	}
	g.printf("} from %s;\n", quote(g.options.Import))
	if len(methods) > 0 {
		g.printf("import * as is from %s;\n", quote(g.options.Check))
	}
}

// definition writes the type of a definition, and its checker behind those that it needs.
func (g *generator) definition(name string) {
	n := g.defs[name]
	g.rawMember(name, n)
	g.printf("\n%s", comment("", n.doc, n.deprecated))
	if n.sort == object && len(n.members) > 0 {
		g.printf("export interface %s {\n", g.names[name])
		for _, m := range n.members {
			g.printf("%s  %s;\n", comment("  ", m.of.doc, m.of.deprecated), g.memberType(m))
		}
		g.printf("}\n")
	} else {
		g.printf("export type %s = %s;\n", g.names[name], g.typeOf(n))
	}
}

// rawMember makes one member of a type that travels as a pair raw. Whoever gets one has it, also where
// it was left out; unless the type stands within others, too, where it is as it is declared.
func (g *generator) rawMember(def string, n *node) {
	for i, m := range n.members {
		if m.name == g.raws[def] {
			raw := m.asRaw()
			if g.inner[def] {
				raw.optional, raw.filled = m.optional, false
			}
			n.members[i] = raw
		}
	}
}

// check writes the checker of a definition, behind those that it needs.
func (g *generator) check(name string, begun map[string]bool) {
	if begun[name] {
		return
	}
	begun[name] = true
	n := g.defs[name]
	var visit func(*node)
	visit = func(n *node) {
		if n.sort == reference {
			g.check(n.ref, begun)
			return
		}
		for _, next := range n.next() {
			visit(next.node)
		}
	}
	visit(n)
	g.printf("\nconst %s: is.Checker<%s> = ", checker(g.names[name]), g.names[name])
	if n.sort == object && len(n.members) > 0 {
		g.printf("is.object({\n")
		for _, m := range n.members {
			g.printf("  %s,\n", g.memberCheck(m))
		}
		g.printf("});\n")
	} else {
		g.printf("%s;\n", g.checkOf(n))
	}
	g.written[name] = true
}

// expectations write what the file was made from, to be held against a peer.
func (g *generator) expectations(d rpc.Description, methods []*method) {
	g.printf("\n/**\n * What this file was made from: the hash of all that was served, and of the methods above name, kind\n")
	g.printf(" * and the hashes of args, in, result and out.\n */\n")
	g.printf("const expected = {\n  schema: %s,\n  methods: [", quote(d.Hash()))
	for _, m := range methods {
		parts := []string{quote(m.info.Name), quote(m.info.Kind)}
		for _, t := range []rpc.TypeInfo{m.info.Args, m.info.In, m.info.Result, m.info.Out} {
			parts = append(parts, quote(t.Hash))
		}
		g.printf("\n    [%s],", strings.Join(parts, ", "))
	}
	if len(methods) > 0 {
		g.printf("\n  ")
	}
	g.printf("],\n} as const;\n\n")
	g.printf("/**\n * Tells which of these methods the other side lacks, or has with other types. It costs a call only if\n")
	g.printf(" * the other side does not serve just what this file was made from.\n */\n")
	g.printf("export const expect = (peer: Peer): Promise<Difference[]> => compare(peer, expected);\n")
}
