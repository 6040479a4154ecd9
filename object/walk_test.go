package object_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chumsync/chum/object"
)

// walkTree stores a directory with a directory, the same file twice and a
// long file, and returns the link and the walk that is expected.
func walkTree(t *testing.T, s object.Store) (root object.Link, want []object.Link) {
	t.Helper()
	file := func(data []byte) object.Link {
		return must[object.Link](t)(object.PutFile(t.Context(), s, bytes.NewReader(data)))
	}
	entry := func(name string, l object.Link) object.Entry {
		return object.Entry{Name: name, Kind: l.Kind, Hash: l.Hash, Size: l.Size}
	}
	one, two, long := file([]byte("one")), file([]byte("two")), putLevels(t, s, pseudorandom(9500, 1))
	below := must[object.Link](t)(object.PutTree(t.Context(), s, []object.Entry{entry("1", one), entry("2", two)}))
	root = must[object.Link](t)(object.PutTree(t.Context(), s, []object.Entry{
		entry("a", two), entry("b", below), entry("c", long), entry("d", one), {Name: "e", Kind: object.KindSymlink, Target: "x"}, entry("f", below),
	}))
	// Parents first, in order, each once. The long file has 10 chunks under
	// 4 manifests under 2 under 1.
	want = []object.Link{root, two, below, one}
	var down func(l object.Link)
	down = func(l object.Link) {
		want = append(want, l)
		for _, child := range must[[]object.Link](t)(object.Links(l.Kind, must[[]byte](t)(s.Get(t.Context(), l.Hash)))) {
			down(child)
		}
	}
	down(long)
	return root, want
}

func TestWalk(t *testing.T) {
	s := object.NewMemory()
	root, want := walkTree(t, s)
	for _, from := range []object.Link{root, must[object.Link](t)(object.ParseLink(root.String()))} {
		var got []object.Link
		for n, err := range object.Walk(t.Context(), s, from, nil) {
			noError(t, err)
			if object.Sum(n.Data) != n.Hash {
				t.Errorf("%s has other bytes", n.Link)
			}
			got = append(got, n.Link)
		}
		if !slices.Equal(got, want) {
			t.Errorf("walked\n%v\nwant\n%v", got, want)
		}
	}
	for n := range want { // a loop may end anywhere
		count := 0
		for range object.Walk(t.Context(), s, root, nil) {
			if count++; count == n+1 {
				break
			}
		}
	}
}

func TestWalkSkip(t *testing.T) {
	s := object.NewMemory()
	root, _ := walkTree(t, s)
	asked := map[object.Link]int{}
	var got []string
	for n, err := range object.Walk(t.Context(), s, root, func(l object.Link) bool {
		asked[l]++
		return l.Kind == object.KindFile || l.Hash == object.Sum([]byte("two"))
	}) {
		noError(t, err)
		got = append(got, fmt.Sprint(n.Kind, n.Size))
	}
	if want := []string{"tree" + fmt.Sprint(root.Size), "tree6", "blob3"}; !slices.Equal(got, want) {
		t.Errorf("walked %q, want %q", got, want)
	}
	for l, n := range asked {
		if n != 1 {
			t.Errorf("asked %d times for %s", n, l)
		}
	}
}

func TestWalkErrors(t *testing.T) {
	s := &recordingStore{Memory: object.NewMemory()}
	root, want := walkTree(t, s)
	// Whatever is missing, the rest that does not hang on it is met.
	for _, missing := range want {
		s.lies = map[object.Hash][]byte{missing.Hash: []byte("something else")}
		errs, met := 0, 0
		for n, err := range object.Walk(t.Context(), s, root, nil) {
			if err != nil {
				errs++
				if n.Hash != missing.Hash || !errors.Is(err, object.ErrMalformed) {
					t.Errorf("%s: %v", n.Link, err)
				}
				continue
			}
			met++
		}
		if errs != 1 || met > len(want)-1 || missing.Kind == object.KindBlob && met != len(want)-1 {
			t.Errorf("without %s: %d errors, met %d of %d", missing, errs, met, len(want))
		}
	}
	s.lies = nil

	for _, err := range object.Walk(t.Context(), s, object.Link{}, nil) {
		wantError(t, err, nil, "unknown kind")
	}
	ctx, cancel := context.WithCancel(t.Context())
	count := 0
	for _, err := range object.Walk(ctx, s, root, nil) {
		if count++; count == 3 {
			cancel()
		}
		if count > 3 {
			wantError(t, err, context.Canceled, "")
		}
	}
	if count != 4 {
		t.Errorf("a cancelled walk yielded %d times", count)
	}
	cancel()
}

// The same object under links that promise different things is an error each
// time after the first.
func TestWalkContradictions(t *testing.T) {
	s := object.NewMemory()
	put := func(format string, args ...any) object.Hash {
		return must[[]object.Hash](t)(s.Put(t.Context(), fmt.Appendf(nil, format, args...)))[0]
	}
	blob := put("content")
	manifest := put(`{"level":0,"parts":[{"hash":"%s","kind":"blob","size":7}],"type":"file"}`, blob)
	above := put(`{"level":1,"parts":[{"hash":"%s","kind":"file","size":7}],"type":"file"}`, manifest)
	entry := func(name string, kind object.Kind, h object.Hash, size int) string {
		return fmt.Sprintf(`{"hash":"%s","kind":"%s","mode":0,"name":"%s","size":%d}`, h, kind, name, size)
	}
	for what, test := range map[string]struct {
		entries []string
		text    string
	}{
		"another size of a blob": {[]string{entry("a", "blob", blob, 7), entry("b", "blob", blob, 8)}, "7 bytes where its link says 8"},
		"another size of a file": {[]string{entry("a", "file", manifest, 7), entry("b", "file", manifest, 8)}, "7 bytes where its link says 8"},
		"another level": {[]string{entry("a", "file", above, 7), entry("b", "file",
			put(`{"level":1,"parts":[{"hash":"%s","kind":"file","size":7}],"type":"file"}`+"", above), 7)}, "level 1 where level 0 belongs"},
	} {
		root := object.Link{Kind: object.KindTree, Size: object.UnknownSize, Hash: put(`{"entries":[%s],"level":0,"type":"tree"}`, strings.Join(test.entries, ","))}
		var errs []error
		for _, err := range object.Walk(t.Context(), s, root, nil) {
			if err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) != 1 {
			t.Errorf("%s: errors %v", what, errs)
			continue
		}
		wantError(t, errs[0], object.ErrMalformed, test.text)
	}
}
