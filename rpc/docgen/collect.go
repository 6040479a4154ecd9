package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// rpcPath is the package whose types are methods.
const rpcPath = "github.com/chumsync/chum/rpc"

// A collector gathers the comments of one package.
type collector struct {
	packages map[string]*goPackage // by import path, all that the package needs
	docs     map[string]string
	seen     map[string]bool // types, by their keys
}

// goPackage is a package as go list tells of it, parsed when it is needed.
type goPackage struct {
	ImportPath, Name, Dir string
	GoFiles, CgoFiles     []string
	Standard              bool

	files []*ast.File
}

// A place is where an expression stands: it decides what its names mean.
type place struct {
	pkg  *goPackage
	file *ast.File
}

// collect finds the comments of the package in dir.
func collect(ctx context.Context, dir string) (name string, docs map[string]string, err error) {
	c := &collector{packages: make(map[string]*goPackage), docs: make(map[string]string), seen: make(map[string]bool)}
	root, err := c.list(ctx, dir)
	if err != nil {
		return "", nil, err
	}
	if err := root.parse(); err != nil {
		return "", nil, err
	}
	for _, f := range root.files {
		if err := c.file(place{root, f}); err != nil {
			return "", nil, err
		}
	}
	if len(c.docs) == 0 {
		return "", nil, fmt.Errorf("%s: no method with a comment found", root.ImportPath)
	}
	return root.Name, c.docs, nil
}

// list asks the go command for a package and all it imports. The package itself comes last.
func (c *collector) list(ctx context.Context, dir string) (root *goPackage, err error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=ImportPath,Name,Dir,GoFiles,CgoFiles,Standard", ".")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.Bytes())
	}
	for d := jsontext.NewDecoder(bytes.NewReader(out)); ; {
		p := new(goPackage)
		if err := json.UnmarshalDecode(d, p); errors.Is(err, io.EOF) {
			return root, nil
		} else if err != nil {
			return nil, err
		}
		c.packages[p.ImportPath] = p
		root = p
	}
}

func (p *goPackage) parse() error {
	if p.files != nil {
		return nil
	}
	fset := token.NewFileSet()
	for _, name := range append(p.GoFiles, p.CgoFiles...) {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		p.files = append(p.files, f)
	}
	return nil
}

// imported finds the package that a file means by a name.
func (c *collector) imported(at place, name string) *goPackage {
	for _, i := range at.file.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue
		}
		pkg := c.packages[p]
		if i.Name != nil && i.Name.Name == name || i.Name == nil && pkg != nil && pkg.Name == name {
			return pkg
		}
	}
	return nil
}

// file takes the methods of a file.
func (c *collector) file(at place) error {
	for _, d := range at.file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST && g.Tok != token.VAR {
			continue
		}
		for _, spec := range g.Specs {
			if err := c.constant(at, g, spec.(*ast.ValueSpec)); err != nil {
				return err
			}
		}
	}
	var err error
	ast.Inspect(at.file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && err == nil {
			err = c.function(at, call)
		}
		return err == nil
	})
	return err
}

// constant takes what may declare methods: X rpc.Method[A, R] = "x".
func (c *collector) constant(at place, g *ast.GenDecl, v *ast.ValueSpec) error {
	for _, value := range v.Values {
		typ := v.Type
		if call, ok := value.(*ast.CallExpr); ok && len(call.Args) == 1 { // X = rpc.Method[A, R]("x")
			typ, value = call.Fun, call.Args[0]
		}
		name, ok := literal(value)
		args := c.methodTypes(at, typ)
		if !ok || args == nil {
			continue
		}
		c.add(name, v.Doc, v.Comment)
		if c.docs[name] == "" && len(g.Specs) == 1 {
			c.add(name, g.Doc)
		}
		for _, a := range args {
			if err := c.expr(at, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// methodTypes gives the type arguments of rpc.Method and the like, or nil.
func (c *collector) methodTypes(at place, typ ast.Expr) []ast.Expr {
	generic, ok := typ.(*ast.IndexListExpr)
	if !ok {
		return nil
	}
	var name string
	switch t := generic.X.(type) {
	case *ast.Ident:
		if at.pkg.ImportPath == rpcPath {
			name = t.Name
		}
	case *ast.SelectorExpr:
		if x, ok := t.X.(*ast.Ident); ok {
			if pkg := c.imported(at, x.Name); pkg != nil && pkg.ImportPath == rpcPath {
				name = t.Sel.Name
			}
		}
	}
	switch name {
	case "Method", "Source", "Sink", "Duplex":
		return generic.Indices
	}
	return nil
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

// function takes mux.Func("name", f), if f is a function of the package, or a method whose
// name no other one has.
func (c *collector) function(at place, call *ast.CallExpr) error {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Func" || len(call.Args) < 2 {
		return nil
	}
	name, ok := literal(call.Args[0])
	if !ok {
		return nil
	}
	wanted, method := "", false
	switch f := call.Args[1].(type) {
	case *ast.Ident:
		wanted = f.Name
	case *ast.SelectorExpr:
		wanted, method = f.Sel.Name, true
	}
	var found []*ast.FuncDecl
	var where []place
	for _, file := range at.pkg.files {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == wanted && (f.Recv != nil) == method {
				found, where = append(found, f), append(where, place{at.pkg, file})
			}
		}
	}
	if len(found) != 1 {
		return nil
	}
	c.add(name, found[0].Doc)
	return c.expr(where[0], found[0].Type)
}

// add keeps the text of the comments under a key.
func (c *collector) add(key string, comments ...*ast.CommentGroup) {
	var parts []string
	for _, g := range comments {
		if text := strings.TrimSpace(g.Text()); text != "" {
			parts = append(parts, text)
		}
	}
	if len(parts) > 0 {
		c.docs[key] = strings.Join(parts, "\n\n")
	}
}

// expr takes the types that an expression names.
func (c *collector) expr(at place, e ast.Expr) (err error) {
	ast.Inspect(e, func(n ast.Node) bool {
		if err != nil {
			return false
		}
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				if pkg := c.imported(at, x.Name); pkg != nil && !pkg.Standard {
					err = c.named(pkg, n.Sel.Name)
				}
			}
			return false
		case *ast.Field: // its names are no types
			err = c.expr(at, n.Type)
			return false
		case *ast.Ident:
			err = c.named(at.pkg, n.Name)
		}
		return true
	})
	return err
}

// named takes a type by its name, if the package declares one.
func (c *collector) named(pkg *goPackage, name string) error {
	importPath := pkg.ImportPath
	if pkg.Name == "main" {
		importPath = "main" // as reflect has it
	}
	key := importPath + "." + name
	if c.seen[key] {
		return nil
	}
	c.seen[key] = true
	if err := pkg.parse(); err != nil {
		return err
	}
	for _, f := range pkg.files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, spec := range g.Specs {
				t := spec.(*ast.TypeSpec)
				if t.Name.Name != name {
					continue
				}
				c.add(key, t.Doc, t.Comment)
				if c.docs[key] == "" && len(g.Specs) == 1 {
					c.add(key, g.Doc)
				}
				return c.underlying(place{pkg, f}, key, t.Type)
			}
		}
	}
	return nil
}

// underlying takes what a type is made of: the fields of a struct that travel, or else the
// types that it names.
func (c *collector) underlying(at place, key string, e ast.Expr) error {
	s, ok := e.(*ast.StructType)
	if !ok {
		return c.expr(at, e)
	}
	for _, f := range s.Fields.List {
		if f.Tag != nil {
			tag, err := strconv.Unquote(f.Tag.Value)
			if err == nil && reflect.StructTag(tag).Get("json") == "-" {
				continue
			}
		}
		exported := len(f.Names) == 0 // embedded
		for _, name := range f.Names {
			if name.IsExported() {
				exported = true
				c.add(key+"."+name.Name, f.Doc, f.Comment)
			}
		}
		if len(f.Names) == 0 {
			c.add(key+"."+typeName(f.Type), f.Doc, f.Comment)
		}
		if exported {
			if err := c.expr(at, f.Type); err != nil {
				return err
			}
		}
	}
	return nil
}

// typeName is the name of an embedded field.
func typeName(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.StarExpr:
		return typeName(t.X)
	case *ast.SelectorExpr:
		return t.Sel.Name
	case *ast.IndexExpr:
		return typeName(t.X)
	case *ast.IndexListExpr:
		return typeName(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}
