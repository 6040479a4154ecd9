package chum_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// A check that cannot fail is worth nothing, so each is shown what it must find, and a
// house in order, in which it must find nothing.

const inOrder = "in order"

func TestChecksFind(t *testing.T) {
	leakTest := "package wire_test\nimport \"go.uber.org/goleak\"\nfunc TestMain(m *testing.M) { goleak.VerifyTestMain(m) }"
	tests := []struct {
		name  string
		files map[string]string // on top of a small house in order; "" takes a file away
		check string            // the one check that must find something
		want  string            // a part of what it says; findings of one case are one
	}{
		{name: "nothing changed", check: inOrder},

		{"wire imports rpc", map[string]string{"wire/x.go": "package wire\nimport _ \"" + module + "/rpc\""}, "imports", "wire must not import " + module + "/rpc: the format of messages"},
		{"a low package imports the root", map[string]string{"wire/x.go": "package wire\nimport _ \"" + module + "\""}, "imports", "wire must not import " + module + ": "},
		{"the root imports ws", map[string]string{"x.go": "package chum\nimport _ \"" + module + "/ws\""}, "imports", ". must not import " + module + "/ws: chum takes any Conn"},
		{"wire opens a connection", map[string]string{"wire/x.go": "package wire\nimport _ \"net/http\""}, "imports", "wire must not import net/http"},
		{"rpc knows no HTTP", map[string]string{"rpc/x.go": "package rpc\nimport _ \"net/http\""}, "imports", "rpc must not import net/http"},
		{"rpc may know net", map[string]string{"rpc/x.go": "package rpc\nimport _ \"net\""}, inOrder, ""},
		{"WebSocket library in ws", map[string]string{"ws/doc.go": "// Package ws is.\npackage ws\nimport _ \"github.com/coder/websocket\""}, "imports", "it is for ws (tests only)"},
		{"a package of the library", map[string]string{"ws/doc.go": "// Package ws is.\npackage ws\nimport _ \"github.com/coder/websocket/wsjson\""}, "imports", "it is for ws (tests only)"},
		{"WebSocket library in a test elsewhere", map[string]string{"rpc/x_test.go": "package rpc\nimport _ \"github.com/coder/websocket\""}, "imports", "it is for ws"},
		{"Pebble outside of object/local", map[string]string{"object/x.go": "package object\nimport _ \"github.com/cockroachdb/pebble/v2/vfs\""}, "imports", "it is for object/local"},
		{"a library for tests in the program", map[string]string{"wire/x.go": "package wire\nimport _ \"github.com/google/go-cmp/cmp\""}, "imports", "(tests only)"},
		{"a library nobody listed", map[string]string{"wire/x.go": "package wire\nimport _ \"example.com/new\""}, "imports", "the library is not listed"},
		{"a library with a name that begins alike", map[string]string{"ws/doc.go": "// Package ws is.\npackage ws\nimport _ \"github.com/coder/websocketry\""}, "imports", "the library is not listed"},
		{"a package without a rule", map[string]string{"cache/doc.go": "// Package cache is.\npackage cache"}, "imports", "cache: the package has no rule"},
		{"a test may import what it tests with", map[string]string{"wire/x_test.go": "package wire_test\nimport _ \"" + module + "/rpc\""}, inOrder, ""},
		{"a command may import all", map[string]string{"cmd/chum/doc.go": "// Chum is.\npackage main\nimport _ \"" + module + "/ws\"\nimport _ \"github.com/spf13/cobra\""}, inOrder, ""},
		{"a nested module goes its own way", map[string]string{"bench/go.mod": "module x", "bench/x.go": "package main\nimport _ \"example.com/new\"\nfunc Exported() {}"}, inOrder, ""},

		{"no package comment", map[string]string{"wire/doc.go": "package wire"}, "package comments", "wire: the package comment belongs in doc.go"},
		{"no doc.go", map[string]string{"wire/doc.go": "", "wire/conn.go": "// Package wire is.\npackage wire"}, "package comments", `it is in ["conn.go"]`},
		{"two package comments", map[string]string{"wire/x.go": "// Package wire is more.\npackage wire"}, "package comments", `it is in ["doc.go" "x.go"]`},
		{"another package's comment", map[string]string{"wire/doc.go": "// Package rpc is.\npackage wire"}, "package comments", `does not begin with "Package wire"`},
		{"an example needs no doc.go", map[string]string{"examples/hello/main.go": "// Hello is.\npackage main"}, inOrder, ""},

		{"func", map[string]string{"wire/x.go": "package wire\nfunc Naked() {}"}, "doc comments", "wire/x.go:2:1: Naked is exported"},
		{"method", map[string]string{"wire/x.go": "package wire\nfunc (c *Conn) Naked() {}"}, "doc comments", "Conn.Naked is exported"},
		{"method of a generic type", map[string]string{"wire/x.go": "package wire\nfunc (l List[T]) Naked() {}"}, "doc comments", "List.Naked is exported"},
		{"method of what is not exported", map[string]string{"wire/x.go": "package wire\nfunc (p pipe) Fine() {}"}, inOrder, ""},
		{"type", map[string]string{"wire/x.go": "package wire\ntype Naked int"}, "doc comments", "Naked is exported"},
		{"type in a group", map[string]string{"wire/x.go": "package wire\n// These are.\ntype (\nNaked int\n)"}, "doc comments", "Naked is exported"},
		{"method of an interface", map[string]string{"wire/x.go": "package wire\n// I is.\ntype I interface {\n// A does.\nA()\n\nNaked()\n}"}, "doc comments", "I.Naked is exported"},
		{"field of options", map[string]string{"wire/x.go": "package wire\n// Options are.\ntype Options struct {\nNaked int\n}"}, "doc comments", "Options.Naked is exported"},
		{"fields below one comment", map[string]string{"wire/x.go": "package wire\n// Options are.\ntype Options struct {\n// Min and Max bound it.\nMin int\nMax int\nStep int // unset: 1\n}"}, inOrder, ""},
		{"field of another struct", map[string]string{"wire/x.go": "package wire\n// Pair is two.\ntype Pair struct { A, B int }"}, inOrder, ""},
		{"const", map[string]string{"wire/x.go": "package wire\nconst (\n// One is.\nOne = 1\n\nNaked = 2\n)"}, "doc comments", "Naked is exported"},
		{"consts below one comment", map[string]string{"wire/x.go": "package wire\n// The kinds.\nconst (\nOne = 1\nTwo = 2\n)"}, inOrder, ""},
		{"var", map[string]string{"wire/x.go": "package wire\nvar Naked = 1"}, "doc comments", "Naked is exported"},

		{"a vague file", map[string]string{"wire/frame_utils.go": "package wire"}, "names and sizes", `"utils" says nothing`},
		{"a vague test", map[string]string{"wire/helper_test.go": "package wire"}, "names and sizes", `"helper" says nothing`},
		{"a vague package", map[string]string{"examples/common/main.go": "package main"}, "names and sizes", `"common" says nothing`},
		{"a long file", map[string]string{"wire/x.go": "package wire" + strings.Repeat("\n", maxLines+1)}, "names and sizes", "501 lines, more than 500"},
		{"a file that is just short enough", map[string]string{"wire/x.go": "package wire" + strings.Repeat("\n", maxLines)}, inOrder, ""},
		{"a long test", map[string]string{"wire/x_test.go": "package wire" + strings.Repeat("\n", maxLines+1)}, inOrder, ""},
		{"a long generated file", map[string]string{"wire/x.go": "// Code generated by x. DO NOT EDIT.\n\npackage wire" + strings.Repeat("\n", maxLines+1)}, inOrder, ""},

		{"Skip without a reason", inTest(`t.Skip()`), "skips and sleeps", "must say why"},
		{"Skip with an empty reason", inTest(`t.Skip(" ")`), "skips and sleeps", "must say why"},
		{"Skipf with an empty reason", inTest(`t.Skipf("")`), "skips and sleeps", "must say why"},
		{"SkipNow", inTest(`t.SkipNow()`), "skips and sleeps", "must say why"},
		{"Skip with a reason", inTest(`t.Skip("needs a network")`), inOrder, ""},
		{"Sleep", inTest(`time.Sleep(1)`), "skips and sleeps", "wire/x_test.go:4:15: a test must not sleep"},
		{"Sleep in another form", inTest(`<-time.After(1)`), "skips and sleeps", "in this form neither"},
		{"a timeout is no sleep", inTest(`select { case <-c: case <-time.After(1): }`), inOrder, ""},
		{"Sleep on the fake clock", inTest(`synctest.Test(t, func(t *testing.T) { time.Sleep(1) })`), inOrder, ""},
		{"Sleep under another name", map[string]string{"wire/x_test.go": "package wire\nimport clock \"time\"\nfunc f() { clock.Sleep(1) }"}, "skips and sleeps", "must not sleep"},
		{"another Sleep", map[string]string{"wire/x_test.go": "package wire\nfunc f() { cat.Sleep(1) }"}, inOrder, ""},
		{"a nested module sleeps", map[string]string{"bench/go.mod": "module x", "bench/x_test.go": "package main\nimport \"time\"\nfunc f() { time.Sleep(1) }"}, "skips and sleeps", "bench/x_test.go:3:12"},

		{"no TestMain", map[string]string{"rpc/x_test.go": "package rpc"}, inOrder, ""},
		{"tests that look for no leak", map[string]string{"ws/doc.go": "// Package ws is.\npackage ws", "ws/x_test.go": "package ws"}, "leaks", "ws: no TestMain"},
		{"a TestMain that looks for no leak", map[string]string{"wire/main_test.go": "package wire_test\nfunc TestMain(m *testing.M) { m.Run() }"}, "leaks", "wire: no TestMain"},
		{"a TestMain in an inner test", map[string]string{"wire/main_test.go": strings.Replace(leakTest, "wire_test", "wire", 1)}, inOrder, ""},
	}
	missed := map[string]bool{}
	for _, c := range checks {
		missed[c.name] = true
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := fstest.MapFS{}
			base := map[string]string{
				"doc.go":              "// Package chum is.\npackage chum",
				"wire/doc.go":         "// Package wire is.\npackage wire",
				"wire/main_test.go":   leakTest,
				"rpc/doc.go":          "// Package rpc is.\npackage rpc\nimport _ \"" + module + "/wire\"",
				"rpc/main_test.go":    strings.Replace(leakTest, "wire", "rpc", 1),
				"object/doc.go":       "// Package object is.\npackage object",
				"wire/testdata/no.go": "not Go",
			}
			for _, files := range []map[string]string{base, tt.files} {
				for name, text := range files {
					root[name] = &fstest.MapFile{Data: []byte(text)}
					if text == "" {
						delete(root, name)
					}
				}
			}
			h, err := readHouse(root)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range checks {
				found := c.find(h)
				switch {
				case c.name != tt.check && len(found) > 0:
					t.Errorf("%s: found %q, want nothing", c.name, found)
				case c.name == tt.check && (len(found) != 1 || !strings.Contains(found[0], tt.want)):
					t.Errorf("%s: found %q, want one that says %q", c.name, found, tt.want)
				}
			}
		})
		delete(missed, tt.check)
	}
	if len(missed) > 0 {
		t.Errorf("no case breaks these checks: %v", missed)
	}
}

func inTest(statement string) map[string]string {
	return map[string]string{"wire/x_test.go": "package wire\nimport \"time\"; import \"testing/synctest\"; import \"testing\"\n" +
		"func TestX(t *testing.T) {\n" + strings.Repeat(" ", 14) + statement + "\n}"}
}

func TestReadHouseRefusesWhatIsNotGo(t *testing.T) {
	_, err := readHouse(fstest.MapFS{"x.go": {Data: []byte("package")}})
	if err == nil || !strings.Contains(err.Error(), "x.go:1") {
		t.Errorf("err = %v, want one that says where", err)
	}
}

func TestCheckRulesFinds(t *testing.T) {
	tests := []struct {
		name      string
		rules     []rule
		libraries []library
		want      []string
	}{
		{
			name: "in order", rules: []rule{{pkg: "a", why: "w"}, {pkg: "b", may: []string{"a"}, never: []string{"c"}, why: "w"}, {pkg: "c", why: "w"}},
			libraries: []library{{module: "m", in: []string{"a"}, why: "w"}},
		},
		{name: "a name nobody has", rules: []rule{{pkg: "a", may: []string{"z"}, why: "w"}}, want: []string{"rule of a: no rule for z"}},
		{name: "a name nobody has, forbidden", rules: []rule{{pkg: "a", never: []string{"z"}, why: "w"}}, want: []string{"rule of a: no rule for z"}},
		{name: "no reason", rules: []rule{{pkg: "a"}}, want: []string{"rule of a: no reason"}},
		{
			name: "a circle", rules: []rule{{pkg: "a", may: []string{"b"}, why: "w"}, {pkg: "b", may: []string{"a"}, why: "w"}},
			want: []string{"rule of a: it may import itself", "rule of b: it may import itself"},
		},
		{
			name: "forbidden, but through another", rules: []rule{{pkg: "a", may: []string{"b"}, never: []string{"c"}, why: "w"}, {pkg: "b", may: []string{"c"}, why: "w"}, {pkg: "c", why: "w"}},
			want: []string{"rule of a: the rules let it reach c"},
		},
		{name: "a library for nobody", libraries: []library{{module: "m", in: []string{"z"}}}, want: []string{"library m: no rule for z", "library m: no reason"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := checkRules(tt.rules, tt.libraries)
			if !slices.EqualFunc(found, tt.want, strings.HasPrefix) {
				t.Errorf("found %q, want %q", found, tt.want)
			}
		})
	}
}

func TestLongFileIsExcusedOnce(t *testing.T) {
	defer func(old map[string]string) { longFiles = old }(longFiles)
	longFiles = map[string]string{"long.go": "a table", "short.go": "it was longer"}
	h := &house{}
	for name, lines := range map[string]int{"long.go": maxLines + 1, "short.go": 1} {
		root := fstest.MapFS{name: {Data: []byte("package x" + strings.Repeat("\n", lines))}}
		one, err := readHouse(root)
		if err != nil {
			t.Fatal(err)
		}
		h.sources = append(h.sources, one.sources...)
	}
	found := h.checkFiles()
	if len(found) != 1 || !strings.HasPrefix(found[0], "short.go: it is in longFiles") {
		t.Errorf("found %q, want short.go alone", found)
	}
}

func TestLicencesAreTold(t *testing.T) {
	gpl := "GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007"
	mit := "Permission is hereby granted, free of charge,\nto any person obtaining a copy"
	tests := []struct {
		name  string
		texts []string
		want  string
	}{
		{"MIT", []string{mit}, ""},
		{"Apache", []string{"Apache License\n  Version 2.0, January 2004"}, ""},
		{"MPL, which names the GPL", []string{"Mozilla Public License Version 2.0\n means either the GNU General Public License, Version 2.0, the GNU Affero General Public License, Version 3.0"}, ""},
		{"GPL", []string{gpl}, "GPL, which would bind"},
		{"AGPL", []string{"GNU AFFERO GENERAL PUBLIC LICENSE\n  Version 3"}, "AGPL, which would bind"},
		{"LGPL", []string{"GNU LESSER GENERAL PUBLIC LICENSE\n  Version 3"}, "LGPL, which would bind"},
		{"GPL by notice", []string{"you can modify it under the terms of the GNU General Public License"}, "GPL, which would bind"},
		{"GPL below another in one file", []string{mit + "\n\n" + gpl}, "GPL, which would bind"},
		{"GPL beside another", []string{mit, gpl}, "GPL, which would bind"},
		{"one's own words", []string{"You may look."}, "does not know"},
		{"none", nil, "no licence file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := fmt.Sprint(checkLicences(map[string][]string{"example.com/m": tt.texts}))
			if tt.want == "" && found != "[]" || !strings.Contains(found, tt.want) {
				t.Errorf("found %s, want %q", found, tt.want)
			}
		})
	}
}
