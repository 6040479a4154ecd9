package object_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chumsync/chum/object"
)

// pseudorandom returns n bytes that depend on seed only.
func pseudorandom(n int, seed byte) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(data) // never fails
	return data
}

// must returns v and fails the test if there is an error.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError checks that err is target, unless that is nil, and says text.
func wantError(t *testing.T, err, target error, text string) {
	t.Helper()
	if err == nil || target != nil && !errors.Is(err, target) || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want %v with %q", err, target, text)
	}
}

// makeTree makes a directory with one of everything that is kept.
func makeTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	old := time.Date(1999, 12, 31, 23, 59, 59, 123456789, time.UTC)
	for name, data := range map[string][]byte{
		"empty":              {},
		"hello.txt":          []byte("hello, world\n"),
		"a/b/c/deep":         []byte("deep"),
		"a/exactly-1MiB":     pseudorandom(1<<20, 1),
		"a/1MiB-and-1":       pseudorandom(1<<20+1, 2),
		"long":               pseudorandom(5<<20, 3),
		"zeros":              make([]byte, 5<<20),
		"name \" \\ \t \n":   []byte("odd name"),
		"\u65e5\u672c\u8a9e": []byte("not Latin"),
		"not UTF-8 \xff\xfe": []byte("bytes"),
	} {
		path := filepath.Join(dir, name)
		noError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		noError(t, os.WriteFile(path, data, 0o644))
		noError(t, os.Chtimes(path, old, old.Add(time.Duration(len(data)))))
	}
	noError(t, os.Mkdir(filepath.Join(dir, "none"), 0o755))
	noError(t, os.Symlink("hello.txt", filepath.Join(dir, "link")))
	noError(t, os.Symlink("/nowhere/\xff", filepath.Join(dir, "dangling")))
	noError(t, os.Symlink("../..", filepath.Join(dir, "a", "up")))
	for name, mode := range map[string]fs.FileMode{
		"hello.txt": 0o755, "empty": 0o400, "long": 0o000 | fs.ModeSetuid | 0o755, "a/b": 0o700, "none": 0o555 | fs.ModeSticky,
	} {
		noError(t, os.Chmod(filepath.Join(dir, name), mode))
	}
	for _, name := range []string{"a/b/c", "a/b", "a", "none"} {
		noError(t, os.Chtimes(filepath.Join(dir, name), old, old))
	}
	return dir
}

// compareTrees checks that two directories have the same content.
func compareTrees(t *testing.T, got, want string, modes fs.FileMode) {
	t.Helper()
	paths := func(dir string) (out []string) {
		noError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			out = append(out, strings.TrimPrefix(path, dir))
			return err
		}))
		return out
	}
	wanted := paths(want)
	if found := paths(got); !slices.Equal(found, wanted) {
		t.Fatalf("exported %q, want %q", found, wanted)
	}
	for _, path := range wanted[1:] { // the root's own mode and time are not kept
		g, w := must[fs.FileInfo](t)(os.Lstat(got+path)), must[fs.FileInfo](t)(os.Lstat(want+path))
		if g.Mode()&modes != w.Mode()&modes {
			t.Errorf("%q: mode %v, want %v", path, g.Mode(), w.Mode())
		}
		if w.Mode()&fs.ModeSymlink != 0 {
			if g, w := must[string](t)(os.Readlink(got+path)), must[string](t)(os.Readlink(want+path)); g != w {
				t.Errorf("%q: target %q, want %q", path, g, w)
			}
			continue
		}
		if !g.ModTime().Equal(w.ModTime()) {
			t.Errorf("%q: time %v, want %v", path, g.ModTime(), w.ModTime())
		}
		if w.Mode().IsRegular() && !bytes.Equal(must[[]byte](t)(os.ReadFile(got+path)), must[[]byte](t)(os.ReadFile(want+path))) {
			t.Errorf("%q: content differs", path)
		}
	}
}

func TestImportExport(t *testing.T) {
	source, s := makeTree(t), object.NewMemory()
	var progress object.Progress
	root := must[object.Link](t)(object.Import(t.Context(), s, source, &object.ImportOptions{
		Progress: func(p object.Progress) { progress = p },
		Skipped:  func(path, reason string) { t.Errorf("skipped %s: %s", path, reason) },
	}))
	if progress.Files != 13 || progress.Directories != 5 || progress.Bytes != root.Size || progress.Objects < 20 {
		t.Errorf("progress %+v of %d bytes", progress, root.Size)
	}
	for _, special := range []bool{false, true} {
		dest := filepath.Join(t.TempDir(), "dest")
		var progress object.Progress
		noError(t, object.Export(t.Context(), s, root, dest, &object.ExportOptions{
			SpecialBits: special,
			Progress:    func(p object.Progress) { progress = p },
		}))
		if progress.Files != 13 || progress.Directories != 4 || progress.Bytes != root.Size {
			t.Errorf("progress %+v of %d bytes", progress, root.Size)
		}
		modes := fs.ModeType | fs.ModePerm
		if special {
			modes |= fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
		}
		compareTrees(t, dest, source, modes)
		if special {
			again := must[object.Link](t)(object.Import(t.Context(), s, dest, nil))
			if again != root {
				t.Errorf("the export imports as %v, the original was %v", again, root)
			}
		} else if info := must[fs.FileInfo](t)(os.Stat(filepath.Join(dest, "long"))); info.Mode()&fs.ModeSetuid != 0 {
			t.Error("a setuid bit was restored unasked")
		}
	}
}

func TestImportIsDeterministic(t *testing.T) {
	source := makeTree(t)
	first := must[object.Link](t)(object.Import(t.Context(), object.NewMemory(), source, nil))
	for range 2 {
		if again := must[object.Link](t)(object.Import(t.Context(), object.NewMemory(), source, nil)); again != first {
			t.Fatalf("imported as %v and as %v", first, again)
		}
	}
	noTimes := &object.ImportOptions{NoTimes: true}
	without := must[object.Link](t)(object.Import(t.Context(), object.NewMemory(), source, noTimes))
	noError(t, os.Chtimes(filepath.Join(source, "hello.txt"), time.Now(), time.Now()))
	if after := must[object.Link](t)(object.Import(t.Context(), object.NewMemory(), source, noTimes)); after != without {
		t.Errorf("without times, another time gives %v for %v", after, without)
	}
	if after := must[object.Link](t)(object.Import(t.Context(), object.NewMemory(), source, nil)); after == first || without == first {
		t.Error("with times, another time gives the same link")
	}
}

func TestImportFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one")
	data := pseudorandom(3<<20, 9)
	noError(t, os.WriteFile(path, data, 0o640))
	noError(t, os.Symlink(path, path+".link"))
	s := object.NewMemory()
	for _, name := range []string{"one", "one.link"} { // the path itself is followed
		e := must[object.Entry](t)(object.ImportEntry(t.Context(), s, filepath.Join(filepath.Dir(path), name), nil))
		if e.Name != name || e.Kind != object.KindFile || e.Mode != 0o640 || e.Size != 3<<20 || e.Time.IsZero() {
			t.Errorf("imported as %+v", e)
		}
		dest := filepath.Join(t.TempDir(), "out")
		noError(t, object.Export(t.Context(), s, e.Link(), dest, nil))
		if !bytes.Equal(must[[]byte](t)(os.ReadFile(dest)), data) {
			t.Error("content differs")
		}
	}
}

func TestImportSkips(t *testing.T) {
	dir := t.TempDir()
	noError(t, os.WriteFile(filepath.Join(dir, "kept"), nil, 0o644))
	socket, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Skip("no Unix sockets here:", err)
	}
	defer func() { noError(t, socket.Close()) }()
	var skipped []string
	options := &object.ImportOptions{Skipped: func(path, reason string) {
		skipped = append(skipped, strings.TrimPrefix(path, dir)+": "+reason)
	}}
	makeSpecial(t, filepath.Join(dir, "pipe"))
	s := object.NewMemory()
	root := must[object.Link](t)(object.Import(t.Context(), s, dir, options))
	slices.Sort(skipped)
	if want := []string{"/pipe: it is a named pipe", "/s: it is a socket"}; !slices.Equal(skipped, want) {
		t.Errorf("skipped %q, want %q", skipped, want)
	}
	if names := entryNames(t, s, root); !slices.Equal(names, []string{"kept"}) {
		t.Errorf("imported %q", names)
	}
	_, err = object.Import(t.Context(), s, filepath.Join(dir, "pipe"), nil)
	wantError(t, err, nil, "it is a named pipe, not a file or directory")
	_, err = object.Import(t.Context(), s, filepath.Join(dir, "absent"), nil)
	wantError(t, err, fs.ErrNotExist, filepath.Join(dir, "absent"))
}

// entryNames returns the names in a directory.
func entryNames(t *testing.T, s object.Store, l object.Link) (names []string) {
	t.Helper()
	for e, err := range object.ReadTree(t.Context(), s, l) {
		noError(t, err)
		names = append(names, e.Name)
	}
	return names
}

// A symlink to a directory or a file outside is kept, not followed.
func TestImportDoesNotFollow(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	noError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600))
	noError(t, os.Symlink(outside, filepath.Join(dir, "out")))
	noError(t, os.Symlink(".", filepath.Join(dir, "loop")))
	noError(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "secret")))
	s := object.NewMemory()
	root := must[object.Link](t)(object.Import(t.Context(), s, dir, nil))
	for e, err := range object.ReadTree(t.Context(), s, root) {
		noError(t, err)
		if e.Kind != object.KindSymlink {
			t.Errorf("%s was followed", e.Name)
		}
	}
	if root.Size != 0 {
		t.Errorf("imported %d bytes", root.Size)
	}
}

// A file that grows while it is read, as a store's own log would when its
// directory is imported into it, does not keep the import from ending.
func TestImportGrowingFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	noError(t, os.WriteFile(path, pseudorandom(2<<20, 1), 0o644))
	root := must[object.Link](t)(object.Import(t.Context(), object.NewMemory(), dir, &object.ImportOptions{
		Progress: func(p object.Progress) {
			f := must[*os.File](t)(os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0))
			_, err := f.Write(make([]byte, 8<<20))
			noError(t, errors.Join(err, f.Close()))
		},
	}))
	if root.Size != 2<<20 {
		t.Errorf("imported %d bytes, the file had %d when it was opened", root.Size, 2<<20)
	}
}

// countingStore counts Puts, fails after some, and checks that what an object
// names is there before it.
type countingStore struct {
	*object.Memory
	t     *testing.T
	puts  int
	limit int // fail after so many, if not 0
}

var errDisk = errors.New("disk full")

func (s *countingStore) Put(ctx context.Context, objects ...[]byte) ([]object.Hash, error) {
	s.puts++
	if s.limit > 0 && s.puts > s.limit {
		return nil, errDisk
	}
	total := 0
	for _, data := range objects {
		total += len(data)
		for _, kind := range []object.Kind{object.KindTree, object.KindFile} {
			links, err := object.Links(kind, data)
			if err != nil {
				continue
			}
			for _, l := range links {
				if has, err := s.Has(ctx, l.Hash); err != nil || !has[0] {
					s.t.Errorf("%s was put before its child %s", kind, l)
				}
			}
		}
	}
	if len(objects) > 1000 || total > 4<<20 {
		s.t.Errorf("a Put of %d objects and %d bytes", len(objects), total)
	}
	return s.Memory.Put(ctx, objects...)
}

func TestImportBatches(t *testing.T) {
	dir := t.TempDir()
	for i := range 120 {
		sub := filepath.Join(dir, fmt.Sprint(i), "sub")
		noError(t, os.MkdirAll(sub, 0o755))
		for j := range 20 {
			noError(t, os.WriteFile(filepath.Join(sub, fmt.Sprint(j)), fmt.Append(nil, i, " ", j), 0o644))
		}
	}
	noError(t, os.WriteFile(filepath.Join(dir, "long"), make([]byte, 20<<20-1), 0o644))
	s := &countingStore{Memory: object.NewMemory(), t: t}
	root := must[object.Link](t)(object.Import(t.Context(), s, dir, nil))
	if s.puts > 20 {
		t.Errorf("%d Puts for 2,401 files and 241 directories", s.puts)
	}
	n := 0
	for _, err := range object.Walk(t.Context(), s, root, nil) {
		noError(t, err)
		n++
	}
	// The chunks of the long file but its last are one object.
	if want := 2400 + 2*120 + 1 + 1 + 2; n != want {
		t.Errorf("walked %d objects, want %d", n, want)
	}
	for limit := range 4 { // 20 MiB need more
		failing := &countingStore{Memory: object.NewMemory(), t: t, limit: limit + 1}
		_, err := object.Import(t.Context(), failing, dir, nil)
		wantError(t, err, errDisk, "object: storing")
	}
}

func TestImportCancelled(t *testing.T) {
	dir := makeTree(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := object.NewMemory()
	_, err := object.Import(ctx, s, dir, &object.ImportOptions{Progress: func(object.Progress) { cancel() }})
	wantError(t, err, context.Canceled, "object: ")
	_, err = object.PutFile(ctx, s, strings.NewReader("late"))
	wantError(t, err, context.Canceled, "object: ")
}

func TestImportTooDeep(t *testing.T) {
	dir := must[*os.Root](t)(os.OpenRoot(t.TempDir()))
	for range 502 { // one path of it all may be longer than the system takes
		noError(t, dir.Mkdir("d", 0o755))
		next := must[*os.Root](t)(dir.OpenRoot("d"))
		noError(t, dir.Close())
		dir = next
	}
	noError(t, dir.Close())
	_, err := object.Import(t.Context(), object.NewMemory(), strings.TrimSuffix(dir.Name(), strings.Repeat("/d", 502)), nil)
	wantError(t, err, nil, "more than 500 deep")
}

// The resident memory of a long import stays far below the file's size.
func TestImportMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 160 MiB")
	}
	const size = 160 << 20
	s := &discardStore{}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	s.put = func() {
		runtime.ReadMemStats(&after)
		peak = max(peak, after.HeapAlloc)
	}
	l := must[object.Link](t)(object.PutFile(t.Context(), s, &endless{left: size}))
	if l.Size != size {
		t.Errorf("put %d bytes", l.Size)
	}
	if peak > before.HeapAlloc+80<<20 {
		t.Errorf("the heap grew from %d to %d MiB", before.HeapAlloc>>20, peak>>20)
	}
}

// discardStore keeps nothing.
type discardStore struct {
	object.Memory
	put func()
}

func (s *discardStore) Put(_ context.Context, objects ...[]byte) ([]object.Hash, error) {
	s.put()
	return make([]object.Hash, len(objects)), nil
}

// endless yields left bytes that do not repeat soon.
type endless struct {
	left int64
	rand *rand.ChaCha8
}

func (r *endless) Read(p []byte) (int, error) {
	if r.rand == nil {
		r.rand = rand.NewChaCha8([32]byte{})
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n, _ := r.rand.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	return n, nil
}

// What vanishes while its directory is read is skipped and reported.
func TestImportVanishing(t *testing.T) {
	dir := t.TempDir()
	const files = 200
	for i := range files {
		noError(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), fmt.Append(nil, i), 0o644))
	}
	s, skipped, removed := object.NewMemory(), 0, false
	root := must[object.Link](t)(object.Import(t.Context(), s, dir, &object.ImportOptions{
		Progress: func(object.Progress) {
			if !removed {
				removed = true
				for i := range files {
					noError(t, os.Remove(filepath.Join(dir, fmt.Sprint(i))))
				}
			}
		},
		Skipped: func(path, reason string) {
			skipped++
			if filepath.Dir(path) != dir || reason != "it vanished meanwhile" {
				t.Errorf("skipped %s: %s", path, reason)
			}
		},
	}))
	if names := entryNames(t, s, root); len(names)+skipped != files || skipped < files/2 {
		t.Errorf("imported %d files and skipped %d, there were %d", len(names), skipped, files)
	}
}
