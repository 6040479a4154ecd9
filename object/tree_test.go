package object_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chumsync/chum/object"
)

func TestEntryValidate(t *testing.T) {
	file := object.Entry{Name: "f", Kind: object.KindBlob, Hash: object.Sum(nil), Mode: 0o644, Time: time.Unix(0, 0)}
	link := object.Entry{Name: "l", Kind: object.KindSymlink, Target: "t"}
	for _, e := range []object.Entry{file, link} {
		noError(t, e.Validate())
		must[[]byte](t)(e.MarshalJSON())
	}
	for _, test := range []struct {
		what   string
		entry  object.Entry
		change func(*object.Entry)
		text   string
	}{
		{"no name", file, func(e *object.Entry) { e.Name = "" }, "empty"},
		{"dot", file, func(e *object.Entry) { e.Name = "." }, "means a directory"},
		{"dot dot", link, func(e *object.Entry) { e.Name = ".." }, "means a directory"},
		{"slash", file, func(e *object.Entry) { e.Name = "../x" }, "slash"},
		{"NUL", file, func(e *object.Entry) { e.Name = "x\x00" }, "NUL"},
		{"long name", file, func(e *object.Entry) { e.Name = strings.Repeat("x", 1025) }, "more than 1024 bytes"},
		{"no kind", file, func(e *object.Entry) { e.Kind = "" }, "unknown kind"},
		{"no hash", file, func(e *object.Entry) { e.Hash = object.Hash{} }, "missing or zero"},
		{"no size", file, func(e *object.Entry) { e.Size = -1 }, "size is missing"},
		{"size", file, func(e *object.Entry) { e.Kind, e.Size = object.KindFile, 1<<53 }, "2^53-1"},
		{"big blob", file, func(e *object.Entry) { e.Size = object.MaxSize + 1 }, "too big"},
		{"mode", file, func(e *object.Entry) { e.Mode = 0o10000 }, "twelve bits"},
		{"target", file, func(e *object.Entry) { e.Target = "x" }, "no symlink"},
		{"year 10000", file, func(e *object.Entry) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "years"},
		{"link's mode", link, func(e *object.Entry) { e.Mode = 1 }, "only a name and a target"},
		{"link's hash", link, func(e *object.Entry) { e.Hash[0] = 1 }, "only a name and a target"},
		{"no target", link, func(e *object.Entry) { e.Target = "" }, "the target is empty"},
		{"target's NUL", link, func(e *object.Entry) { e.Target = "\x00" }, "the target has a NUL"},
		{"long target", link, func(e *object.Entry) { e.Target = strings.Repeat("x", 4097) }, "the target has more"},
	} {
		test.change(&test.entry)
		t.Run(test.what, func(t *testing.T) {
			wantError(t, test.entry.Validate(), nil, test.text)
			_, err := test.entry.MarshalJSON()
			wantError(t, err, nil, test.text)
			_, err = object.PutTree(t.Context(), object.NewMemory(), []object.Entry{test.entry})
			wantError(t, err, nil, test.text)
		})
	}
	_, err := object.PutTree(t.Context(), object.NewMemory(), []object.Entry{file, link, file})
	wantError(t, err, nil, `two entries named "f"`)
	huge := object.Entry{Name: "h", Kind: object.KindFile, Hash: object.Sum(nil), Size: object.MaxLength}
	one := object.Entry{Name: "i", Kind: object.KindFile, Hash: object.Sum(nil), Size: 1}
	_, err = object.PutTree(t.Context(), object.NewMemory(), []object.Entry{huge, one})
	wantError(t, err, object.ErrTooBig, "add up to more")
}

// largeTree stores a directory of n empty files.
func largeTree(t *testing.T, s object.Store, n int) (object.Link, []object.Entry) {
	t.Helper()
	entries := make([]object.Entry, n)
	for i := range entries {
		entries[i] = object.Entry{Name: fmt.Sprintf("%06d", i), Kind: object.KindBlob, Hash: object.Sum(nil), Size: int64(i % 7)}
	}
	return must[object.Link](t)(object.PutTree(t.Context(), s, entries)), entries
}

func TestLargeTree(t *testing.T) {
	s := &recordingStore{Memory: object.NewMemory()}
	root, entries := largeTree(t, s, 30_000)
	var got []object.Entry
	for e, err := range object.ReadTree(t.Context(), s, root) {
		noError(t, err)
		got = append(got, e)
	}
	if !slices.Equal(got, entries) {
		t.Errorf("%d entries read back as %d others", len(entries), len(got))
	}
	for range object.ReadTree(t.Context(), s, root) {
		break
	}
	s.gets = 0
	for _, i := range []int{0, 1, 17_777, 29_999} {
		e := must[object.Entry](t)(object.Resolve(t.Context(), s, root, entries[i].Name))
		if e != entries[i] {
			t.Errorf("resolved %+v, want %+v", e, entries[i])
		}
	}
	if s.gets > 4*3 {
		t.Errorf("%d Gets to resolve 4 names", s.gets)
	}
	for _, name := range []string{"-", "010000x", "999999"} {
		_, err := object.Resolve(t.Context(), s, root, name)
		wantError(t, err, object.ErrNotFound, "no entry")
	}
}

func TestResolve(t *testing.T) {
	s := object.NewMemory()
	root, _ := walkTree(t, s)
	for path, want := range map[string]string{
		"": "tree", "/": "tree", ".": "tree", "a": "blob", "/b": "tree", "b/": "tree", "b//1": "blob", "./b/./2": "blob", "c": "file", "e": "symlink",
	} {
		for _, from := range []object.Link{root, must[object.Link](t)(object.ParseLink(root.String()))} {
			e, err := object.Resolve(t.Context(), s, from, path)
			if err != nil || string(e.Kind) != want || e.Size == object.UnknownSize {
				t.Errorf("%q: %+v, %v, want a %s", path, e, err, want)
			}
			if path == "" && e.Link() != root {
				t.Errorf("the root is %v, want %v", e.Link(), root)
			}
			if want == "symlink" && !e.Link().IsZero() {
				t.Errorf("a symlink links to %v", e.Link())
			}
		}
	}
	for path, text := range map[string]string{
		"x": "no entry", "b/x": "no entry", "a/x": `"a" is a blob`, "b/1/x": `"b/1" is a blob`, "e/x": `"e" is a symlink`, "c/x": `"c" is a file`,
	} {
		_, err := object.Resolve(t.Context(), s, root, path)
		wantError(t, err, object.ErrNotFound, text)
	}
	_, err := object.Resolve(t.Context(), s, root, "b/../a")
	wantError(t, err, nil, "not allowed")
	_, err = object.Resolve(t.Context(), s, object.Link{}, "a")
	wantError(t, err, nil, "unknown kind")
	absent := object.Link{Kind: object.KindTree, Hash: object.Sum([]byte("absent")), Size: -1}
	for _, path := range []string{"", "a"} {
		_, err = object.Resolve(t.Context(), s, absent, path)
		wantError(t, err, object.ErrNotFound, "reading tree:")
	}
}

// Nodes that are sound by themselves but do not fit together are refused.
func TestTreeNodesMustFit(t *testing.T) {
	s := object.NewMemory()
	put := func(json string) string {
		return must[[]object.Hash](t)(s.Put(t.Context(), []byte(json)))[0].String()
	}
	leaf := func(names ...string) string {
		for i, n := range names {
			names[i] = `{"kind":"symlink","name":"` + n + `","target":"t"}`
		}
		return put(`{"entries":[` + strings.Join(names, ",") + `],"level":0,"type":"tree"}`)
	}
	ref := func(hash, last string, size int) string {
		return fmt.Sprintf(`{"hash":"%s","name":"%s","size":%d}`, hash, last, size)
	}
	above := func(level int, refs ...string) string {
		return put(fmt.Sprintf(`{"level":%d,"nodes":[%s],"type":"tree"}`, level, strings.Join(refs, ",")))
	}
	for _, test := range []struct{ what, root, resolve, text string }{
		{"another last name", above(1, ref(leaf("a", "b"), "c", 0)), "a", `its last name is \"b\", not \"c\"`},
		{"an empty node", above(1, ref(leaf(), "c", 0)), "a", `its last name is \"\"`},
		{"names that overlap", above(1, ref(leaf("a", "c"), "c", 0), ref(leaf("b", "d"), "d", 0)), "", `\"b\" again after \"c\"`},
		{"a name twice", above(1, ref(leaf("a"), "a", 0), ref(leaf("a", "b"), "b", 0)), "", `again after`},
		{"another size", above(1, ref(leaf("a"), "a", 9)), "a", "0 bytes where its link says 9"},
		{"a level left out", above(2, ref(leaf("a"), "a", 0)), "a", "node of level 0 where level 1 belongs"},
		{"a level too many", above(1, ref(above(1, ref(leaf("a"), "a", 0)), "a", 0)), "a", "node of level 1 where level 0 belongs"},
	} {
		t.Run(test.what, func(t *testing.T) {
			root := must[object.Link](t)(object.ParseLink("tree:" + test.root))
			text := strings.ReplaceAll(test.text, `\"`, `"`)
			var last error
			for _, err := range object.ReadTree(t.Context(), s, root) {
				last = err
			}
			wantError(t, last, object.ErrMalformed, text)
			if test.resolve != "" {
				_, err := object.Resolve(t.Context(), s, root, test.resolve)
				wantError(t, err, object.ErrMalformed, text)
			}
		})
	}
	for _, err := range object.ReadTree(t.Context(), s, object.Link{Kind: object.KindBlob, Hash: object.Sum(nil)}) {
		wantError(t, err, nil, "kinds [tree] belongs")
	}
}
