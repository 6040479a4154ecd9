package tsgen

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// What a generated file cannot call its own: words of the language, and what it imports or uses.
var (
	words = strings.Fields(`arguments await break case catch class const continue debugger default delete do else enum eval export extends
		false finally for function if implements import in instanceof interface let new null package private protected public return
		static super switch this throw true try typeof undefined var void while with yield`)
	usedValues = strings.Fields(`compare duplex expect expected is method sink source`)
	usedTypes  = strings.Fields(`CallOptions Difference Duplex Items Method Peer Promise Record Sink Source Stream Uint8Array`)
)

// A scope is where names must differ.
type scope map[string]bool

func newScope(taken ...[]string) scope {
	s := make(scope)
	for _, name := range slices.Concat(taken...) {
		s[name] = true
	}
	return s
}

// name finds a name that is free, and takes it: with "_" if it is a word of the language, with a
// number if another has it.
func (s scope) name(base string) string {
	name := base
	if slices.Contains(words, base) {
		name = base + "_"
	}
	for n := 2; s[name]; n++ {
		name = base + strconv.Itoa(n)
	}
	s[name] = true
	return name
}

var (
	separators = regexp.MustCompile(`[^A-Za-z0-9]+`)
	plainName  = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*$`)
)

// pascal writes a name as types have it: "get.ref" is GetRef.
func pascal(name string) string {
	var b strings.Builder
	for _, word := range separators.Split(name, -1) {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	if text := b.String(); text != "" && text[0] > '9' {
		return text
	}
	return "X" + b.String() // a name begins with a letter
}

// camel writes a name as functions have it: "GetRef" is getRef, "URLOf" is urlOf, "a.b" is aB.
func camel(name string) string {
	first, rest, more := strings.Cut(strings.Trim(separators.ReplaceAllString(name, " "), " "), " ")
	if more {
		return camel(first) + pascal(rest)
	}
	runes := []rune(pascal(name))
	for i := range runes {
		if i > 0 && (!unicode.IsUpper(runes[i]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			break
		}
		runes[i] = unicode.ToLower(runes[i])
	}
	return string(runes)
}

// typeNames names the definitions: by the Go type, or if two share that, with the package, too.
func typeNames(defs []string) map[string]string {
	short := func(def string) string {
		_, name, ok := strings.Cut(def, ".")
		if !ok {
			name = def
		}
		return pascal(name)
	}
	count := make(map[string]int)
	for _, def := range defs {
		count[short(def)]++
	}
	s, names := newScope(usedTypes), make(map[string]string)
	for _, def := range defs { // in order, so that numbers stay with whom they belong to
		name := short(def)
		if count[name] > 1 || s[name] {
			name = pascal(def)
		}
		names[def] = s.name(name)
	}
	return names
}

// quote writes a string as TypeScript has it.
func quote(s string) string {
	b, _ := jsontext.AppendQuote(nil, s) // what is no UTF-8 is replaced
	return string(b)
}

// key writes the name of a member.
func key(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return quote(name)
}
