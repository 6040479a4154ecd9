package chum_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// checks are the questions asked of the sources. Each answers with what it found wrong:
// where, what, why, and what to do.
var checks = []struct {
	name string
	find func(*house) []string
}{
	{"imports", (*house).checkImports},
	{"package comments", (*house).checkPackageComments},
	{"doc comments", (*house).checkDocComments},
	{"names and sizes", (*house).checkFiles},
	{"skips and sleeps", (*house).checkTests},
	{"leaks", (*house).checkLeaks},
}

// A house is all Go files of the repository, parsed.
type house struct {
	fset    *token.FileSet
	sources []source
}

type source struct {
	path  string // from the root, with slashes
	dir   string // "." for the root
	inner bool   // in the main module, not in one nested in it
	test  bool
	lines int
	file  *ast.File
}

func readHouse(root fs.FS) (*house, error) {
	h := &house{fset: token.NewFileSet()}
	var nested []string
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p == "." {
				return nil
			}
			if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "node_modules" {
				return fs.SkipDir
			}
			if _, err := fs.Stat(root, path.Join(p, "go.mod")); err == nil {
				nested = append(nested, p)
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(root, p)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(h.fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		h.sources = append(h.sources, source{
			path: p, dir: path.Dir(p), file: file,
			inner: !slices.ContainsFunc(nested, func(n string) bool { return within(p, n) }),
			test:  strings.HasSuffix(name, "_test.go"),
			lines: bytes.Count(text, []byte("\n")),
		})
		return nil
	})
	return h, err
}

// within tells whether the slash path p is dir or lies below it.
func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// matches tells whether the pattern of a rule or a library means the package.
func matches(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	if dir, ok := strings.CutSuffix(pattern, "/..."); ok {
		return within(pkg, dir)
	}
	return pattern == pkg
}

func ruleFor(rules []rule, pkg string) (rule, bool) {
	i := slices.IndexFunc(rules, func(r rule) bool { return matches(r.pkg, pkg) })
	if i < 0 {
		return rule{}, false
	}
	return rules[i], true
}

// checkRules looks for rules that name nothing, go in a circle or contradict each other.
func checkRules(rules []rule, libraries []library) (found []string) {
	known := func(pattern string) bool {
		return pattern == "..." || slices.ContainsFunc(rules, func(r rule) bool {
			return matches(r.pkg, pattern) || matches(pattern, r.pkg)
		})
	}
	for _, r := range rules {
		for _, other := range slices.Concat(r.may, r.never) {
			if !known(other) {
				found = append(found, fmt.Sprintf("rule of %s: no rule for %s, which it names", r.pkg, other))
			}
		}
		if r.why == "" {
			found = append(found, fmt.Sprintf("rule of %s: no reason", r.pkg))
		}
		if slices.Contains(r.may, "...") {
			continue
		}
		reach := reachable(rules, r.pkg)
		if reach[r.pkg] {
			found = append(found, fmt.Sprintf("rule of %s: it may import itself through others; data flows one way", r.pkg))
		}
		for _, other := range r.never {
			if reach[other] {
				found = append(found, fmt.Sprintf("rule of %s: the rules let it reach %s, which it must not: %s", r.pkg, other, r.why))
			}
		}
	}
	for _, l := range libraries {
		for _, pkg := range l.in {
			if !known(pkg) {
				found = append(found, fmt.Sprintf("library %s: no rule for %s, which it names", l.module, pkg))
			}
		}
		if l.why == "" {
			found = append(found, fmt.Sprintf("library %s: no reason", l.module))
		}
	}
	return found
}

// reachable is what the rules let pkg import, at any distance.
func reachable(rules []rule, pkg string) map[string]bool {
	reach := map[string]bool{}
	var visit func(string)
	visit = func(p string) {
		r, _ := ruleFor(rules, p)
		for _, next := range r.may {
			if !reach[next] {
				reach[next] = true
				visit(next)
			}
		}
	}
	visit(pkg)
	return reach
}

func (h *house) checkImports() (found []string) {
	without := map[string]bool{}
	for _, s := range h.sources {
		if !s.inner {
			continue // what a nested module may require is between it and its go.mod
		}
		r, ok := ruleFor(rules, s.dir)
		if !ok && !s.test && !without[s.dir] {
			without[s.dir] = true
			found = append(found, fmt.Sprintf("%s: the package has no rule; say in house_test.go what it may import and why", s.dir))
		}
		for _, spec := range s.file.Imports {
			imported := strings.Trim(spec.Path.Value, "`\"")
			if why := forbidden(r, s, imported); ok && why != "" {
				found = append(found, fmt.Sprintf("%s: %s must not import %s: %s", h.fset.Position(spec.Pos()), s.dir, imported, why))
			}
		}
	}
	return found
}

// forbidden says why a file may not import, or "" where it may. Test files may import all
// of ours, since nothing of them is linked into a program and the compiler refuses cycles.
func forbidden(r rule, s source, imported string) string {
	first, _, _ := strings.Cut(imported, "/")
	switch {
	case within(imported, module):
		pkg := strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
		if pkg == "" {
			pkg = "."
		}
		if s.test || slices.ContainsFunc(r.may, func(pattern string) bool { return matches(pattern, pkg) }) {
			return ""
		}
		return r.why
	case !strings.Contains(first, "."):
		if s.test || !slices.ContainsFunc(r.noStd, func(dir string) bool { return within(imported, dir) }) {
			return ""
		}
		return r.why
	}
	why := "the library is not listed in house_test.go: say there which packages may import it and why"
	for _, l := range libraries {
		if !within(imported, l.module) {
			continue
		}
		if (s.test || !l.tests) && slices.ContainsFunc(l.in, func(pattern string) bool { return matches(pattern, s.dir) }) {
			return ""
		}
		where := strings.Join(l.in, ", ")
		if l.tests {
			where += " (tests only)"
		}
		why = fmt.Sprintf("%s; it is for %s", l.why, where)
	}
	return why
}

func (h *house) checkPackageComments() (found []string) {
	comments := map[string][]string{} // directory: files with a package comment
	for _, s := range h.sources {
		if !s.inner || s.test || within(s.dir, "examples") {
			continue // an example is one short file and says in it what it shows
		}
		files, text, name := comments[s.dir], s.file.Doc.Text(), s.file.Name.Name
		if text != "" {
			files = append(files, path.Base(s.path))
		}
		comments[s.dir] = files
		if text != "" && name != "main" && !strings.HasPrefix(text, "Package "+name+" ") {
			found = append(found, fmt.Sprintf("%s: the package comment does not begin with %q, so go doc shows it badly", s.path, "Package "+name))
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(comments)) {
		if !slices.Equal(comments[dir], []string{"doc.go"}) {
			found = append(found, fmt.Sprintf("%s: the package comment belongs in doc.go and only there, it is in %q", dir, comments[dir]))
		}
	}
	return found
}

func (h *house) checkDocComments() (found []string) {
	for _, s := range h.sources {
		if !s.inner || s.test || s.file.Name.Name == "main" {
			continue
		}
		missing := func(at token.Pos, name string) {
			found = append(found, fmt.Sprintf("%s: %s is exported and has no doc comment: say what goes in and out", h.fset.Position(at), name))
		}
		for _, decl := range s.file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				name := d.Name.Name
				if d.Recv != nil {
					owner := receiver(d)
					if !ast.IsExported(owner) {
						continue
					}
					name = owner + "." + name
				}
				if d.Name.IsExported() && d.Doc.Text() == "" {
					missing(d.Pos(), name)
				}
			case *ast.GenDecl:
				h.checkDeclaration(d, missing)
			}
		}
	}
	return found
}

func (h *house) checkDeclaration(d *ast.GenDecl, missing func(token.Pos, string)) {
	group := d.Doc.Text() != ""
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() && !group && s.Doc.Text() == "" && s.Comment.Text() == "" {
					missing(name.Pos(), name.Name)
				}
			}
		case *ast.TypeSpec:
			if !s.Name.IsExported() {
				continue
			}
			if s.Doc.Text() == "" && (d.Lparen.IsValid() || !group) {
				missing(s.Pos(), s.Name.Name)
			}
			switch t := s.Type.(type) {
			case *ast.StructType:
				// A type's comment explains its fields, or they explain themselves. Options
				// do not: what unset means must stand there.
				if strings.HasSuffix(s.Name.Name, "Options") {
					h.checkFields(s.Name.Name, t.Fields, missing)
				}
			case *ast.InterfaceType:
				h.checkFields(s.Name.Name, t.Methods, missing)
			}
		}
	}
}

// checkFields lets one comment speak for the fields directly below it, up to a blank line.
func (h *house) checkFields(owner string, fields *ast.FieldList, missing func(token.Pos, string)) {
	covered, last := false, 0
	for _, f := range fields.List {
		adjacent := h.fset.Position(f.Pos()).Line == last+1
		covered = f.Doc.Text() != "" || f.Comment.Text() != "" || covered && adjacent
		last = h.fset.Position(f.End()).Line
		for _, name := range f.Names {
			if name.IsExported() && !covered {
				missing(name.Pos(), owner+"."+name.Name)
			}
		}
	}
}

// receiver is the name of the type that a method belongs to.
func receiver(d *ast.FuncDecl) string {
	name := ""
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return name == ""
	})
	return name
}

func (h *house) checkFiles() (found []string) {
	long := maps.Clone(longFiles)
	for _, s := range h.sources {
		words := strings.FieldsFunc(strings.TrimSuffix(s.path, ".go"), func(r rune) bool { return r == '/' || r == '_' })
		for _, word := range words {
			if slices.Contains(vagueNames, word) {
				found = append(found, fmt.Sprintf("%s: %q says nothing; name it for its main type or act", s.path, word))
			}
		}
		if s.test || s.lines <= maxLines || ast.IsGenerated(s.file) {
			continue
		}
		if _, ok := long[s.path]; !ok {
			found = append(found, fmt.Sprintf("%s: %d lines, more than %d: does it answer one question?", s.path, s.lines, maxLines))
		}
		delete(long, s.path)
	}
	for _, p := range slices.Sorted(maps.Keys(long)) {
		found = append(found, fmt.Sprintf("%s: it is in longFiles and is not longer than %d lines: take it out", p, maxLines))
	}
	return found
}

func (h *house) checkTests() (found []string) {
	for _, s := range h.sources {
		if !s.test {
			continue
		}
		at := func(n ast.Node, text string) {
			found = append(found, fmt.Sprintf("%s: %s", h.fset.Position(n.Pos()), text))
		}
		selected := map[ast.Stmt]bool{} // what stands behind a case of a select
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CommClause:
				selected[n.Comm] = true
			case *ast.CallExpr:
				on, name := selector(n.Fun)
				switch {
				case s.imports(on, "testing/synctest") && name == "Test":
					return false // its clock is fake: sleeping there waits for nothing
				case s.imports(on, "time") && name == "Sleep":
					at(n, "a test must not sleep: wait for a condition, or use testing/synctest")
				case name == "SkipNow", (name == "Skip" || name == "Skipf") && noReason(n.Args):
					at(n, "a test that is skipped must say why: t.Skip(reason)")
				}
			case *ast.ExprStmt:
				wait, ok := n.X.(*ast.UnaryExpr)
				if !ok || wait.Op != token.ARROW || selected[n] {
					return true
				}
				if call, ok := wait.X.(*ast.CallExpr); ok {
					if on, name := selector(call.Fun); s.imports(on, "time") && name == "After" {
						at(n, "a test must not sleep, in this form neither: wait for a condition, or use testing/synctest")
					}
				}
			}
			return true
		})
	}
	return found
}

func noReason(args []ast.Expr) bool {
	if len(args) == 0 {
		return true
	}
	text, ok := args[0].(*ast.BasicLit)
	return ok && strings.TrimSpace(strings.Trim(text.Value, "`\"")) == ""
}

// selector takes x.name apart; both are "" where e is something else.
func selector(e ast.Expr) (x, name string) {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	if id, ok := sel.X.(*ast.Ident); ok {
		x = id.Name
	}
	return x, sel.Sel.Name
}

// imports tells whether name stands for the imported package p in the file.
func (s source) imports(name, p string) bool {
	return name != "" && slices.ContainsFunc(s.file.Imports, func(spec *ast.ImportSpec) bool {
		local := path.Base(p)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		return strings.Trim(spec.Path.Value, "`\"") == p && local == name
	})
}

func (h *house) checkLeaks() (found []string) {
	guarded := map[string]bool{} // directory with tests: does its TestMain look for leaks?
	for _, s := range h.sources {
		if s.inner && s.test {
			guarded[s.dir] = guarded[s.dir] || s.looksForLeaks()
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(guarded)) {
		if !guarded[dir] {
			found = append(found, fmt.Sprintf("%s: no TestMain with goleak.VerifyTestMain(m): a test could leave a goroutine behind unseen", dir))
		}
	}
	return found
}

// looksForLeaks tells whether the file has a TestMain and calls goleak beside it.
func (s source) looksForLeaks() bool {
	main, leak := false, false
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			main = main || n.Name.Name == "TestMain"
		case *ast.CallExpr:
			on, name := selector(n.Fun)
			leak = leak || s.imports(on, "go.uber.org/goleak") && (name == "VerifyTestMain" || name == "Find")
		}
		return true
	})
	return main && leak
}
