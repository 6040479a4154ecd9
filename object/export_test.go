package object_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chumsync/chum/object"
)

// smallTree stores a directory of three files with one below, and returns the
// link to it.
func smallTree(t *testing.T, s object.Store) object.Link {
	t.Helper()
	file := must[object.Link](t)(object.PutFile(t.Context(), s, strings.NewReader("content")))
	entry := func(name string, l object.Link, mode uint32) object.Entry {
		return object.Entry{Name: name, Kind: l.Kind, Hash: l.Hash, Size: l.Size, Mode: mode}
	}
	below := must[object.Link](t)(object.PutTree(t.Context(), s, []object.Entry{entry("x", file, 0o600)}))
	return must[object.Link](t)(object.PutTree(t.Context(), s, []object.Entry{
		entry("a", file, 0o644), entry("b", below, 0o755), {Name: "c", Kind: object.KindSymlink, Target: "a"}, entry("d", file, 0o644),
	}))
}

func TestExportDestination(t *testing.T) {
	s := object.NewMemory()
	tree := smallTree(t, s)
	file := must[object.Link](t)(object.PutFile(t.Context(), s, strings.NewReader("content")))
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	noError(t, os.Mkdir(at("empty"), 0o755))
	noError(t, os.Mkdir(at("full"), 0o755))
	noError(t, os.WriteFile(at("full/old"), []byte("old"), 0o644))
	noError(t, os.Symlink("empty", at("link")))
	noError(t, os.Symlink("new", at("dangling")))

	for _, test := range []struct {
		link       object.Link
		dest, text string
	}{
		{tree, "full", "the directory is not empty"},
		{tree, "full/old", "a file in the way"},
		{tree, "link", "a symlink in the way"},
		{tree, "dangling", "a symlink in the way"},
		{tree, "no/such", "no such file"},
		{file, "full/old", "file exists"},
		{file, "full", "file exists"},
		{file, "link", "file exists"},
		{file, "dangling", "file exists"},
		{file, "no/such", "no such file"},
		{file, "..", "means a directory"},
		{object.Link{}, "new", "unknown kind"},
		{object.Link{Kind: object.KindTree, Hash: object.Sum(nil), Size: -1}, "absent", "not found"},
		{object.Link{Kind: object.KindBlob, Hash: object.Sum([]byte("absent")), Size: -1}, "absent file", "not found"},
		{object.Link{Kind: object.KindBlob, Hash: file.Hash, Size: 8}, "other size", "7 bytes where its link says 8"},
		{object.Link{Kind: object.KindTree, Hash: tree.Hash, Size: 8}, "other sum", "21 bytes where its link says 8"},
	} {
		err := object.Export(t.Context(), s, test.link, at(test.dest), nil)
		if test.dest == ".." {
			err = object.Export(t.Context(), s, test.link, at("empty")+"/..", nil)
		}
		if err == nil {
			t.Errorf("exported %s to %s", test.link.Kind, test.dest)
			continue
		}
		wantError(t, err, nil, test.text)
		wantError(t, err, nil, "object: ")
	}
	for _, name := range []string{"new", "absent file", "other size"} {
		if _, err := os.Lstat(at(name)); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
	if data := must[[]byte](t)(os.ReadFile(at("full/old"))); string(data) != "old" {
		t.Errorf("what was there became %q", data)
	}
	noError(t, object.Export(t.Context(), s, tree, at("empty"), nil))
	noError(t, object.Export(t.Context(), s, file, at("file"), nil))
	if data := must[[]byte](t)(os.ReadFile(at("empty/c"))); string(data) != "content" {
		t.Errorf("exported %q", data)
	}
}

// A tree with names that leave the directory is refused before anything is
// written, whichever way it came into the store.
func TestExportRefusesNames(t *testing.T) {
	s := object.NewMemory()
	file := must[object.Link](t)(object.PutFile(t.Context(), s, strings.NewReader("content")))
	for _, name := range []string{"../x", "/abs", "a/../../x", "..", ".", "", `nul\u0000`, "a/b"} {
		json := fmt.Sprintf(`{"entries":[{"hash":"%s","kind":"blob","mode":420,"name":"%s","size":7}],"level":0,"type":"tree"}`, file.Hash, name)
		h := must[[]object.Hash](t)(s.Put(t.Context(), []byte(json)))[0]
		outer := t.TempDir()
		err := object.Export(t.Context(), s, object.Link{Kind: object.KindTree, Hash: h, Size: 7}, filepath.Join(outer, "dest"), nil)
		wantError(t, err, object.ErrMalformed, filepath.Join(outer, "dest"))
		for _, dir := range []string{outer, filepath.Join(outer, "dest")} {
			if list := must[[]os.DirEntry](t)(os.ReadDir(dir)); len(list) > 0 && list[0].Name() != "dest" {
				t.Errorf("%q: wrote %v", name, list)
			}
		}
	}
	long := must[object.Link](t)(object.PutTree(t.Context(), s, []object.Entry{
		{Name: strings.Repeat("n", 300), Kind: file.Kind, Hash: file.Hash, Size: file.Size},
	}))
	wantError(t, object.Export(t.Context(), s, long, filepath.Join(t.TempDir(), "dest"), nil), nil, "name too long")
}

// Whatever someone else puts into the destination meanwhile, nothing is
// written outside and nothing that is there is overwritten.
func TestExportPlanted(t *testing.T) {
	s := object.NewMemory()
	tree := smallTree(t, s)
	for what, plant := range map[string]func(dest, outside string) error{
		"a symlink to a file for d":      func(dest, outside string) error { return os.Symlink(filepath.Join(outside, "victim"), dest+"/d") },
		"a dangling symlink for d":       func(dest, outside string) error { return os.Symlink(filepath.Join(outside, "new"), dest+"/d") },
		"a relative symlink for d":       func(dest, outside string) error { return os.Symlink("../outside/victim", dest+"/d") },
		"a symlink to a directory for b": func(dest, outside string) error { return os.Symlink(outside, dest+"/b") },
		"a file for c":                   func(dest, outside string) error { return os.WriteFile(dest+"/c", []byte("mine"), 0o600) },
		"a directory for d":              func(dest, outside string) error { return os.Mkdir(dest+"/d", 0o700) },
	} {
		t.Run(what, func(t *testing.T) {
			outer := t.TempDir()
			dest, outside := filepath.Join(outer, "dest"), filepath.Join(outer, "outside")
			noError(t, os.Mkdir(outside, 0o755))
			noError(t, os.WriteFile(filepath.Join(outside, "victim"), []byte("untouched"), 0o640))
			planting := &plantingStore{Memory: s, plant: func() { noError(t, plant(dest, outside)) }}
			err := object.Export(t.Context(), planting, tree, dest, nil)
			wantError(t, err, fs.ErrExist, "object: exporting to "+dest+"/")
			list := must[[]os.DirEntry](t)(os.ReadDir(outside))
			info := must[fs.FileInfo](t)(os.Stat(filepath.Join(outside, "victim")))
			if data := must[[]byte](t)(os.ReadFile(filepath.Join(outside, "victim"))); len(list) != 1 || string(data) != "untouched" || info.Mode() != 0o640 {
				t.Errorf("outside there are %v, the file has %q and mode %v", list, data, info.Mode())
			}
		})
	}
}

// plantingStore plants something when the first object is read: the
// destination was found empty by then.
type plantingStore struct {
	*object.Memory
	plant func()
}

func (s *plantingStore) Get(ctx context.Context, h object.Hash) ([]byte, error) {
	if plant := s.plant; plant != nil {
		s.plant = nil
		plant()
	}
	return s.Memory.Get(ctx, h)
}

// A directory that is swapped for a symlink between being made and being
// filled is noticed.
func TestExportSwapped(t *testing.T) {
	s := object.NewMemory()
	source := t.TempDir()
	noError(t, os.MkdirAll(filepath.Join(source, "a", "b", "c"), 0o755))
	noError(t, os.WriteFile(filepath.Join(source, "a", "b", "c", "f"), []byte("x"), 0o644))
	tree := must[object.Link](t)(object.Import(t.Context(), s, source, nil))
	outer := t.TempDir()
	dest, outside := filepath.Join(outer, "dest"), filepath.Join(outer, "outside")
	noError(t, os.MkdirAll(filepath.Join(outside, "c"), 0o755))
	swapping := &swappingStore{Memory: s, swap: func() {
		if os.Rename(filepath.Join(dest, "a", "b"), filepath.Join(outer, "gone")) == nil {
			noError(t, os.Symlink(outside, filepath.Join(dest, "a", "b")))
		}
	}}
	_ = object.Export(t.Context(), swapping, tree, dest, nil) // it may well succeed, in the directory that was moved
	noError(t, filepath.WalkDir(outside, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("wrote %s", path)
		}
		return err
	}))
}

// swappingStore calls swap before each Get.
type swappingStore struct {
	*object.Memory
	swap func()
}

func (s *swappingStore) Get(ctx context.Context, h object.Hash) ([]byte, error) {
	s.swap()
	return s.Memory.Get(ctx, h)
}

// A file that cannot be completed is removed; the error names it.
func TestExportIncomplete(t *testing.T) {
	s := &recordingStore{Memory: object.NewMemory()}
	long := putLevels(t, s, pseudorandom(9000, 1))
	tree := must[object.Link](t)(object.PutTree(t.Context(), s, []object.Entry{
		{Name: "dir", Kind: object.KindTree, Mode: 0o755, Size: long.Size, Hash: must[object.Link](t)(object.PutTree(t.Context(), s, []object.Entry{
			{Name: "long", Kind: long.Kind, Hash: long.Hash, Size: long.Size, Mode: 0o644},
		})).Hash},
	}))
	s.lies = map[object.Hash][]byte{object.Sum(pseudorandom(9000, 1)[8000:]): []byte("wrong")}
	for _, l := range []object.Link{tree, long} {
		dest := filepath.Join(t.TempDir(), "dest")
		file := dest
		if l == tree {
			file = filepath.Join(dest, "dir", "long")
		}
		err := object.Export(t.Context(), s, l, dest, nil)
		wantError(t, err, object.ErrMalformed, "object: exporting to "+file+": ")
		if _, err := os.Lstat(file); !os.IsNotExist(err) {
			t.Errorf("the incomplete file is there: %v", err)
		}
	}
}

func TestExportCancelled(t *testing.T) {
	s := object.NewMemory()
	tree := smallTree(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := object.Export(ctx, s, tree, filepath.Join(t.TempDir(), "dest"), &object.ExportOptions{Progress: func(object.Progress) { cancel() }})
	wantError(t, err, context.Canceled, "object: exporting to ")
	err = object.Export(ctx, s, must[object.Link](t)(object.ParseLink("blob:"+object.Sum([]byte("content")).String())), filepath.Join(t.TempDir(), "dest"), nil)
	wantError(t, err, context.Canceled, "object: exporting to ")
}

func TestExportTooDeep(t *testing.T) {
	s := object.NewMemory()
	l := must[object.Link](t)(object.PutTree(t.Context(), s, nil))
	for range 502 {
		l = must[object.Link](t)(object.PutTree(t.Context(), s, []object.Entry{{Name: "d", Kind: l.Kind, Hash: l.Hash, Mode: 0o755}}))
	}
	wantError(t, object.Export(t.Context(), s, l, filepath.Join(t.TempDir(), "dest"), nil), nil, "more than 500 deep")
}

func TestExportNoTimes(t *testing.T) {
	s := object.NewMemory()
	source := makeTree(t)
	root := must[object.Link](t)(object.Import(t.Context(), s, source, nil))
	dest := filepath.Join(t.TempDir(), "dest")
	noError(t, object.Export(t.Context(), s, root, dest, &object.ExportOptions{NoTimes: true}))
	if info := must[fs.FileInfo](t)(os.Stat(filepath.Join(dest, "hello.txt"))); info.ModTime().Year() < 2020 {
		t.Errorf("the time is %v", info.ModTime())
	}
}
