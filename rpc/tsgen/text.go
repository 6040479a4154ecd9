package tsgen

import (
	"strconv"
	"strings"
)

// typeOf writes the TypeScript type of a node.
func (g *generator) typeOf(n *node) string {
	switch n.sort {
	case reference:
		return g.names[n.ref]
	case boolean:
		return "boolean"
	case integer, number:
		return "number"
	case text:
		return "string"
	case base64, raw:
		return "Uint8Array"
	case literal:
		return strings.Join(n.literals, " | ")
	case list:
		switch of := g.typeOf(n.of); n.of.sort {
		case literal, nullable, union:
			return "(" + of + ")[]"
		default:
			return of + "[]"
		}
	case tuple:
		return "[" + strings.Join(each(n.parts, g.typeOf), ", ") + "]"
	case record:
		return "{ [name: string]: " + g.typeOf(n.of) + " }"
	case object:
		if len(n.members) == 0 {
			return "Record<string, never>"
		}
		members := each(n.members, g.memberType)
		return "{ " + strings.Join(members, "; ") + " }"
	case nullable:
		return g.typeOf(n.of) + " | null"
	case union:
		return strings.Join(each(n.parts, g.typeOf), " | ")
	case nothing:
		return "void"
	}
	return "unknown"
}

func (g *generator) memberType(m member) string {
	if m.optional {
		return key(m.name) + "?: " + g.typeOf(m.of)
	}
	return key(m.name) + ": " + g.typeOf(m.of)
}

// checkOf writes the checker of a node.
func (g *generator) checkOf(n *node) string {
	switch n.sort {
	case reference:
		name := checker(g.names[n.ref])
		if !g.written[n.ref] { // it holds itself, or what holds it
			return "is.lazy(() => " + name + ")"
		}
		return name
	case boolean:
		return "is.boolean()"
	case integer:
		return "is.integer(" + n.low + ", " + n.high + ")"
	case number:
		return "is.number(" + bounds(n.low, n.high, "-Infinity") + ")"
	case text:
		return "is.string(" + n.textOptions() + ")"
	case base64:
		return "is.base64(" + n.lengths() + ")"
	case raw:
		return "is.bytes(" + n.lengths() + ")"
	case literal:
		return "is.literal(" + strings.Join(n.literals, ", ") + ")"
	case list:
		if lengths := n.lengths(); lengths != "" {
			return "is.array(" + g.checkOf(n.of) + ", " + lengths + ")"
		}
		return "is.array(" + g.checkOf(n.of) + ")"
	case tuple:
		return "is.tuple(" + strings.Join(each(n.parts, g.checkOf), ", ") + ")"
	case record:
		if n.names != nil {
			return "is.record(" + g.checkOf(n.of) + ", " + g.checkOf(n.names) + ")"
		}
		return "is.record(" + g.checkOf(n.of) + ")"
	case object:
		if len(n.members) == 0 {
			return "is.object({})"
		}
		return "is.object({ " + strings.Join(each(n.members, g.memberCheck), ", ") + " })"
	case nullable:
		return "is.nullable(" + g.checkOf(n.of) + ")"
	case union:
		return "is.union(" + strings.Join(each(n.parts, g.checkOf), ", ") + ")"
	case nothing:
		return "is.nothing()"
	}
	return "is.unknown()"
}

func (g *generator) memberCheck(m member) string {
	check := g.checkOf(m.of)
	switch {
	case m.optional:
		check = "is.optional(" + check + ")"
	case m.filled:
		check = "is.filled(" + check + ")"
	}
	return key(m.name) + ": " + check
}

// textOptions are those that say what a string must be like.
func (n *node) textOptions() string {
	var options []string
	for _, o := range []struct{ name, text string }{{"pattern", n.pattern}, {"format", n.format}} {
		if o.text != "" {
			options = append(options, o.name+": "+quote(o.text))
		}
	}
	for _, o := range []struct {
		name string
		n    int
	}{{"min", n.least}, {"max", n.most}} {
		if o.n >= 0 {
			options = append(options, o.name+": "+strconv.Itoa(o.n))
		}
	}
	if options == nil {
		return ""
	}
	return "{ " + strings.Join(options, ", ") + " }"
}

// lengths writes how long a list or bytes must be, as arguments of a checker.
func (n *node) lengths() string {
	written := func(n int) string {
		if n < 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	return bounds(written(n.least), written(n.most), "0")
}

// bounds writes two arguments that may be left out at the end; none stands for a low one that is
// not there.
func bounds(low, high, none string) string {
	switch {
	case high == "":
		return low
	case low == "":
		low = none
	}
	return low + ", " + high
}

// each applies a function to the elements of a list.
func each[T any](list []T, write func(T) string) []string {
	texts := make([]string, len(list))
	for i, one := range list {
		texts[i] = write(one)
	}
	return texts
}

// comment writes a doc comment as JSDoc, with a line for each of notes behind it; nothing if there
// is nothing to say.
func comment(indent, doc string, deprecated bool, notes ...string) string {
	if doc != "" {
		notes = append([]string{doc}, notes...)
	}
	if deprecated {
		notes = append(notes, "@deprecated")
	}
	if len(notes) == 0 {
		return ""
	}
	// Whoever wrote the comment must not end it before its end.
	all := strings.ReplaceAll(strings.Join(notes, "\n"), "*/", "*\\/")
	if !strings.Contains(all, "\n") {
		return indent + "/** " + all + " */\n"
	}
	var b strings.Builder
	b.WriteString(indent + "/**\n")
	for line := range strings.SplitSeq(all, "\n") {
		b.WriteString(strings.TrimRight(indent+" * "+line, " \t\r") + "\n")
	}
	b.WriteString(indent + " */\n")
	return b.String()
}
