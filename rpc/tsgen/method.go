package tsgen

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/chumsync/chum/rpc"
)

// A method is one that is written: a constant that describes it, and a function that calls it.
type method struct {
	info               rpc.MethodInfo
	parts              []*part // args first
	constant, function string
}

// A part is something that travels in a call.
type part struct {
	name string // of the member of the descriptor
	info rpc.TypeInfo
	node *node

	// Of parameters: what else there is to know of how they travel.
	list     bool // several, by position only
	members  bool // those of an object, by name
	required int  // how many must be there, by position
}

func (m *method) args() *part { return m.parts[0] }

// part finds one by its name; nil if the method has none.
func (m *method) part(name string) *part {
	i := slices.IndexFunc(m.parts, func(p *part) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return m.parts[i]
}

// maker is the function of the runtime that makes the descriptor.
func (m *method) maker() string {
	if m.info.Kind == "call" {
		return "method"
	}
	return m.info.Kind
}

// partsOf are the parts that methods of a kind have beside their parameters.
var partsOf = map[string][]string{"call": {"result"}, "source": {"out"}, "sink": {"in", "result"}, "duplex": {"in", "out"}}

var methodName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// readMethod reads the schemas of a method. The error has a line for each thing in them that cannot
// be written.
func (g *generator) readMethod(info rpc.MethodInfo) (*method, error) {
	names, ok := partsOf[info.Kind]
	switch {
	case !methodName.MatchString(info.Name):
		return nil, fmt.Errorf("tsgen: %.40q is no name of a method", info.Name)
	case !ok:
		return nil, fmt.Errorf("tsgen: %s: it is of the kind %.40q, which is not known", info.Name, info.Kind)
	}
	m := &method{info: info}
	var found []error
	for _, name := range append([]string{"args"}, names...) {
		p := &part{name: name, info: map[string]rpc.TypeInfo{"args": info.Args, "in": info.In, "result": info.Result, "out": info.Out}[name]}
		m.parts = append(m.parts, p)
		if err := p.read(); err != nil {
			found = append(found, fmt.Errorf("tsgen: %s: %s: %w", info.Name, name, err))
			continue
		}
		if err := g.membersOf(p); err != nil {
			found = append(found, fmt.Errorf("tsgen: %s: %s: %w", info.Name, name, err))
		}
		g.problems(p.node, name, make(map[string]bool), func(at, problem string) {
			found = append(found, fmt.Errorf("tsgen: %s: %s: %s", info.Name, at, problem))
		})
	}
	return m, errors.Join(found...)
}

// read makes the node of the part's values.
func (p *part) read() error {
	t := p.info
	switch t.Form {
	case "none":
		p.node = plain(nothing)
	case "bytes":
		p.node = plain(raw)
	case "any":
		if p.node = plain(anything); p.name == "args" {
			p.node = plain(list)
			p.node.of = plain(anything)
		}
	case "json", "pair":
		if t.Schema == nil {
			return fmt.Errorf("it has the form %s and no schema", t.Form)
		}
		p.node = read(t.Schema)
		return p.readPair()
	default:
		return fmt.Errorf("it has the form %.40q, which is not known", t.Form)
	}
	return nil
}

// readPair puts the raw bytes of a pair where they belong.
func (p *part) readPair() error {
	n, raws := p.node, p.info.Raw
	switch {
	case p.info.Form == "pair" && raws == "" && p.name == "args" && n.sort == tuple && n.least == len(n.parts)-1:
		n.parts[n.least], p.list = n.parts[n.least].asRaw(), true
		n.least++
	case (p.info.Form == "pair") != (raws != ""):
		return errors.New("it is a pair without a raw member, or the other way round")
	case p.name == "args" && n.sort != tuple:
		p.members = true
	case p.name == "args" && len(n.parts) == 1 && n.least == 1 && n.problem == "":
		p.node = n.parts[0] // one value
	case p.name == "args":
		p.list = true
	}
	if n.sort == object { // without a name, so it stands nowhere else
		for i, m := range n.members {
			if m.name == raws {
				n.members[i] = m.asRaw()
			}
		}
	}
	return nil
}

// membersOf looks up the members that the description names, and counts the positions up to the last
// that must be there.
func (g *generator) membersOf(p *part) error {
	members := p.node.members
	if def := g.defs[p.node.ref]; def != nil {
		members = def.members
	}
	find := func(name string) *member {
		i := slices.IndexFunc(members, func(m member) bool { return m.name == name })
		if i < 0 {
			return nil
		}
		return &members[i]
	}
	for i, name := range p.info.Positions {
		m := find(name)
		if m == nil {
			return fmt.Errorf("it has a position %q, which its schema does not know", name)
		}
		if !m.optional {
			p.required = i + 1
		}
	}
	if name := p.info.Raw; name != "" {
		if m := find(name); m == nil || m.of.sort != base64 && m.of.sort != raw {
			return fmt.Errorf("its raw member %q is not of bytes in its schema", name)
		}
	}
	return nil
}

// problems tells all that is wrong with a node and what it refers to.
func (g *generator) problems(n *node, at string, seen map[string]bool, tell func(at, problem string)) {
	if n.problem != "" {
		tell(at, n.problem)
		return
	}
	if n.sort == tuple && n.least != len(n.parts) {
		tell(at, "a list of elements with types of their own must have all of them: minItems beside prefixItems")
	}
	if n.sort == reference && !seen[n.ref] {
		seen[n.ref] = true
		g.problems(g.defs[n.ref], at, seen, tell)
	}
	for _, next := range n.next() {
		g.problems(next.node, at+next.name, seen, tell)
	}
}

// method writes the descriptor and the function of a method.
func (g *generator) method(m *method) {
	types := strings.Join(each(m.parts, func(p *part) string { return g.typeOf(p.node) }), ", ")
	g.printf("\n%s", comment("", m.info.Doc, false))
	g.printf("export const %s: %s<%s> = %s(%s, {\n", m.constant, pascal(m.maker()), types, m.maker(), quote(m.info.Name))
	if params := params(m.args()); params != "" {
		g.printf("  params: { %s },\n", params)
	}
	for _, p := range m.parts {
		if p.info.Form != "any" || p.name == "args" { // a pair of any sort has no checker
			g.printf("  %s: %s,\n", p.name, g.checkOf(p.node))
		}
		if p.info.Raw != "" && p.name != "args" {
			g.printf("  %sRaw: %s,\n", p.name, quote(p.info.Raw))
		}
	}
	g.printf("});\n")

	var notes []string
	if m.info.Pure {
		notes = append(notes, "It may be called again without harm.")
	}
	if m.info.Keyed {
		notes = append(notes, "It may be called again with the same key.")
	}
	parameters, arguments := g.parameters(m.args())
	if in := m.part("in"); in != nil {
		parameters = append(parameters, "items: Items<"+g.typeOf(in.node)+">")
		arguments = append(arguments, "items")
	}
	gives := "Promise<"
	last := m.parts[len(m.parts)-1]
	if last.name == "out" {
		gives = "Stream<"
	}
	g.printf("\n%s", comment("", m.info.Doc, false, notes...))
	g.printf("export const %s = (%s, options?: CallOptions): %s%s> =>\n", m.function, strings.Join(append([]string{"peer: Peer"}, parameters...), ", "), gives, g.typeOf(last.node))
	g.printf("  %s.call(%s, options);\n", m.constant, strings.Join(append([]string{"peer"}, arguments...), ", "))
}

// parameters are those of the function, and what of them goes to the descriptor.
func (g *generator) parameters(args *part) (parameters, arguments []string) {
	n := args.node
	s := newScope([]string{"peer", "items", "options"})
	name := func(n *node, otherwise string) string {
		if n.sort == reference {
			otherwise = camel(g.names[n.ref])
		}
		return s.name(otherwise)
	}
	switch {
	case n.sort == nothing:
		return nil, []string{"undefined"}
	case args.info.Form == "any":
		return []string{"args: unknown[]"}, []string{"args"}
	case !args.list:
		only := name(n, "value")
		return []string{only + ": " + g.typeOf(n)}, []string{only}
	}
	var list []string
	for i, p := range n.parts {
		one := name(p, "arg"+strconv.Itoa(i+1))
		list = append(list, one)
		parameters = append(parameters, one+": "+g.typeOf(p))
	}
	return parameters, []string{"[" + strings.Join(list, ", ") + "]"}
}

// params writes how parameters travel, as the runtime wants to know it: nothing for a single value.
func params(args *part) string {
	t := args.info
	var says []string
	if t.Form != "json" {
		says = append(says, "form: "+quote(t.Form))
	}
	switch {
	case args.list:
		says = append(says, `by: "list"`)
	case t.Positions != nil:
		says = append(says, "positions: ["+strings.Join(each(t.Positions, quote), ", ")+"]")
		if args.required < len(t.Positions) {
			says = append(says, "required: "+strconv.Itoa(args.required))
		}
	case args.members:
		says = append(says, `by: "name"`)
	}
	if t.Raw != "" && (len(t.Positions) == 0 || t.Raw != t.Positions[len(t.Positions)-1]) {
		says = append(says, "raw: "+quote(t.Raw))
	}
	return strings.Join(says, ", ")
}
