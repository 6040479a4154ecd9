package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCollect(t *testing.T) {
	name, docs, err := collect(t.Context(), "testdata/notes")
	if err != nil {
		t.Fatal(err)
	}
	const here = "github.com/chumsync/chum/rpc/docgen/testdata/notes."
	want := map[string]string{
		"alone": "Alone is documented by its declaration.",
		"find":  "Find finds.\n\nIn several paragraphs, with a ` and a \"quote\".\n\nand a line",
		"both":  "Both is made by conversion.",
		"add":   "Add adds.",
		"plain": "plain is a function.",

		here + "Note":                          "Note is a type with a declaration of its own.",
		here + "Query":                         "Query asks.",
		here + "Query.Text":                    "Text is above.\n\nand behind",
		here + "Query.Other":                   "Text is above.\n\nand behind",
		here + "Query.Base":                    "embedded",
		here + "Base":                          "Base is embedded.",
		here + "Page.Items":                    "of the page",
		here + "Key":                           "Key is a key.",
		here + "Leaf":                          "Leaf is an argument of a generic type.",
		here + "Deep":                          "Deep is in a struct without a name.",
		here + "Sum":                           "Sum is taken by a function.",
		"github.com/chumsync/chum/rpc.Traffic": "Traffic counts what crossed the connection, in bytes of messages.",
	}
	if diff := cmp.Diff(want, docs); diff != "" {
		t.Error(diff)
	}
	text, err := source(name, "comments", docs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.ParseFile(token.NewFileSet(), "x.go", text, 0); err != nil {
		t.Error(err)
	}
	if s := string(text); !strings.Contains(s, "package notes\n") || !strings.Contains(s, "var comments = map") {
		t.Errorf("%.300s", s)
	}
}

// What is checked in is what the sources say.
func TestCurrent(t *testing.T) {
	for _, dir := range []string{"..", "../.."} {
		if err := run(t.Context(), dir, "methods_docs.go", "docs", true); err != nil {
			t.Error(err)
		}
	}
}

func TestCheck(t *testing.T) {
	dir, err := filepath.Abs("testdata/notes")
	if err != nil {
		t.Fatal(err)
	}
	out, err := filepath.Rel(dir, filepath.Join(t.TempDir(), "x.go"))
	if err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), dir, out, "docs", true); err == nil || !strings.Contains(err.Error(), "run go generate") {
		t.Errorf("a file that is missing: %v", err)
	}
	if err := run(t.Context(), dir, out, "docs", false); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), dir, out, "docs", true); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, out), []byte("package notes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), dir, out, "docs", true); err == nil {
		t.Error("an old file passes")
	}
}

func TestNothingThere(t *testing.T) {
	if _, _, err := collect(t.Context(), t.TempDir()); err == nil {
		t.Error("no package, no error")
	}
	if _, _, err := collect(t.Context(), "."); err == nil || !strings.Contains(err.Error(), "no method with a comment") {
		t.Errorf("a package without methods: %v", err)
	}
}
