package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/object/storetest"
)

var background = context.Background()

// quiet keeps expected warnings out of the tests' output.
var quiet = &Options{Logger: slog.New(slog.DiscardHandler)}

// openIn opens the store in dir for the test.
func openIn(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// storeDir returns a directory for a store, not made yet.
func storeDir(t testing.TB) string { return filepath.Join(t.TempDir(), "store") }

// numbered returns the i-th of a set of objects that are all different.
func numbered(i, size int) []byte {
	b := make([]byte, max(size, 8))
	binary.LittleEndian.PutUint64(b, uint64(i))
	for j := 8; j < len(b); j++ {
		b[j] = byte(i*31 + j*7 + j>>8)
	}
	return b
}

// put puts objects, which must succeed.
func put(t testing.TB, s *Store, objects ...[]byte) []object.Hash {
	t.Helper()
	hashes, err := s.Put(background, objects...)
	if err != nil {
		t.Fatal(err)
	}
	return hashes
}

// mustGet checks that s has data.
func mustGet(t testing.TB, s *Store, data []byte) {
	t.Helper()
	got, err := s.Get(background, object.Sum(data))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("got other bytes for %s", object.Sum(data))
	}
}

// ref returns a first ref of that name.
func ref(name string) object.Ref {
	return object.Ref{
		Name:    name,
		Root:    object.Link{Kind: object.KindBlob, Hash: object.Sum([]byte(name)), Size: int64(len(name))},
		Changed: time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC),
	}
}

func setRef(t testing.TB, s *Store, r object.Ref) {
	t.Helper()
	if err := s.SetRef(background, r); err != nil {
		t.Fatal(err)
	}
}

// smallPacks makes packs roll over at limit bytes for the test.
func smallPacks(t testing.TB, limit int64) {
	old := packLimit
	packLimit = limit
	t.Cleanup(func() { packLimit = old })
}

// whole is a store as the suite wants it.
type whole = interface {
	object.Store
	object.Refs
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) whole { return openIn(t, storeDir(t)) })
}

func TestStoreWithSmallPacks(t *testing.T) {
	smallPacks(t, 1<<10)
	storetest.Run(t, func(t *testing.T) whole { return openIn(t, storeDir(t)) })
}

// What was put is there after Close and Open, with and without the index.
func TestReopen(t *testing.T) {
	smallPacks(t, 100<<10)
	dir := storeDir(t)
	s := openIn(t, dir)
	var all [][]byte
	for i := range 300 {
		all = append(all, numbered(i, i*7))
	}
	all = append(all, nil, numbered(1000, object.MaxSize))
	for part := range slices.Chunk(all, 7) {
		put(t, s, part...)
	}
	first := ref("name")
	setRef(t, s, first)
	second := first.Next(object.Link{Kind: object.KindTree, Hash: object.Sum(all[3]), Size: 77}, time.Unix(1e9, 5))
	setRef(t, s, second)
	for i := range 300 {
		setRef(t, s, ref(fmt.Sprint("ref", i)))
	}
	want := s.Stats()
	if want.Packs < 5 || want.Objects != int64(len(all)) || want.Refs != 301 {
		t.Fatalf("stats %+v: the test wants several packs, %d objects and 301 refs", want, len(all))
	}

	check := func(t *testing.T) {
		s := openIn(t, dir)
		defer s.Close()
		if got := s.Stats(); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
		for _, data := range all {
			mustGet(t, s, data)
		}
		got, err := s.Ref(background, "name")
		if err != nil || got.Version() != second.Version() {
			t.Errorf("ref %+v, %v, want %+v", got, err, second)
		}
		n := 0
		for _, err := range s.Refs(background) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != 301 {
			t.Errorf("%d refs, want 301", n)
		}
		// Nothing is written twice.
		put(t, s, all...)
		setRef(t, s, second)
		if got := s.Stats(); got != want {
			t.Errorf("after the same again: stats %+v, want %+v", got, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Run("closed", check)
	t.Run("again", check)
	if err := os.RemoveAll(filepath.Join(dir, "index")); err != nil {
		t.Fatal(err)
	}
	t.Run("without index", check)
	t.Run("with the new index", check)
}

func TestPutDoesNotKeepTheSlices(t *testing.T) {
	s := openIn(t, storeDir(t))
	data := numbered(1, 1000)
	same := bytes.Clone(data)
	put(t, s, data)
	clear(data)
	mustGet(t, s, same)
}

// Objects that many goroutines put at once are stored once each.
func TestConcurrentPutsOfTheSame(t *testing.T) {
	s := openIn(t, storeDir(t))
	const objects, writers = 500, 8
	var all [][]byte
	for i := range objects {
		all = append(all, numbered(i, 100))
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			mine := slices.Concat(all[w*objects/writers:], all[:w*objects/writers])
			for part := range slices.Chunk(mine, 1+w*3) {
				hashes, err := s.Put(background, part...)
				if err != nil {
					t.Error(err)
					return
				}
				has, err := s.Has(background, hashes...)
				if err != nil || slices.Contains(has, false) {
					t.Errorf("not there right after Put: %v %v", has, err)
				}
			}
		})
	}
	wg.Wait()
	size := int64(0)
	for _, data := range all {
		mustGet(t, s, data)
		size += int64(len(data))
	}
	if got := s.Stats(); got.Objects != objects || got.Bytes != size {
		t.Errorf("stats %+v, want %d objects of %d bytes in all", got, objects, size)
	}
	if got, want := packBytes(t, s.dir), size+objects*recordHeaderSize+packHeaderSize; got != want {
		t.Errorf("the packs have %d bytes, want %d: nothing twice", got, want)
	}
}

func packBytes(t testing.TB, dir string) int64 {
	t.Helper()
	var n int64
	for _, name := range packFiles(t, dir) {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

func packFiles(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "packs", "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A Put that has looked an object up and finds it absent, while another Put
// stores it, must notice, however many groups are committed in between.
func TestFindWhatCameMeanwhile(t *testing.T) {
	for between := range keptGroups + 4 {
		s := openIn(t, storeDir(t))
		put(t, s, []byte("something"))
		data := []byte("x")
		h := object.Sum(data)
		before := s.commits.Load()
		find := func() *group {
			s.mu.Lock()
			defer s.mu.Unlock()
			g, err := s.find(h, before)
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		if g := find(); g != nil {
			t.Fatalf("found what was never put: %v", g)
		}
		put(t, s, data)
		for i := range between {
			put(t, s, numbered(i, 100))
		}
		if g := find(); g != nothing {
			t.Errorf("%d groups later: it would be stored again", between)
		}
	}
}

// A Put larger than any group goes through in steps.
func TestBigPut(t *testing.T) {
	s := openIn(t, storeDir(t))
	var all [][]byte
	for i := range 12 {
		all = append(all, numbered(i, object.MaxSize))
	}
	for i := range 20000 {
		all = append(all, numbered(100+i, 8))
	}
	put(t, s, all...)
	if n := s.commits.Load(); n < 4 {
		t.Errorf("%d groups, want several", n)
	}
	has, err := s.Has(background, hashesOf(all)...)
	if err != nil || slices.Contains(has, false) {
		t.Errorf("something is missing, %v", err)
	}
	mustGet(t, s, all[3])
}

func hashesOf(all [][]byte) []object.Hash {
	hashes := make([]object.Hash, len(all))
	for i, data := range all {
		hashes[i] = object.Sum(data)
	}
	return hashes
}

func TestTooBigStoresNothing(t *testing.T) {
	s := openIn(t, storeDir(t))
	_, err := s.Put(background, []byte("fits"), make([]byte, object.MaxSize+1))
	if !errors.Is(err, object.ErrTooBig) {
		t.Errorf("error %v, want ErrTooBig", err)
	}
	if got := s.Stats(); got.Objects != 0 {
		t.Errorf("stats %+v, want nothing stored", got)
	}
}

func TestClose(t *testing.T) {
	dir := storeDir(t)
	s := openIn(t, dir)
	h := put(t, s, []byte("x"))[0]
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	_, getErr := s.Get(background, h)
	_, hasErr := s.Has(background, h)
	_, putErr := s.Put(background, []byte("y"))
	_, refErr := s.Ref(background, "r")
	setErr := s.SetRef(background, ref("r"))
	var refsErr error
	for _, err := range s.Refs(background) {
		refsErr = err
	}
	for name, err := range map[string]error{"Get": getErr, "Has": hasErr, "Put": putErr, "Ref": refErr, "SetRef": setErr, "Refs": refsErr} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
	if got := s.Stats(); got.Objects != 1 {
		t.Errorf("stats after Close %+v, want 1 object", got)
	}
}

// Close while Puts run: each Put succeeds, and is there afterwards, or fails
// with ErrClosed.
func TestCloseWhilePutting(t *testing.T) {
	dir := storeDir(t)
	s := openIn(t, dir)
	var mu sync.Mutex
	var stored [][]byte
	var wg sync.WaitGroup
	begun := make(chan struct{}, 100)
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				data := numbered(w<<32|i, 300)
				if _, err := s.Put(background, data); err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				stored = append(stored, data)
				mu.Unlock()
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 20 {
		<-begun
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	s = openIn(t, dir)
	for _, data := range stored {
		mustGet(t, s, data)
	}
}

func TestContextEnded(t *testing.T) {
	s := openIn(t, storeDir(t))
	ctx, cancel := context.WithCancel(background)
	cancel()
	_, getErr := s.Get(ctx, object.Sum(nil))
	_, hasErr := s.Has(ctx, object.Sum(nil))
	_, putErr := s.Put(ctx, []byte("y"))
	_, refErr := s.Ref(ctx, "r")
	setErr := s.SetRef(ctx, ref("r"))
	var refsErr error
	for _, err := range s.Refs(ctx) {
		refsErr = err
	}
	for name, err := range map[string]error{"Get": getErr, "Has": hasErr, "Put": putErr, "Ref": refErr, "SetRef": setErr, "Refs": refsErr} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
	}
}

// Only one of many SetRefs onto the same version wins.
func TestSetRefIsAtomic(t *testing.T) {
	s := openIn(t, storeDir(t))
	setRef(t, s, ref("r"))
	for round := range 10 {
		old, err := s.Ref(background, "r")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		won := make(chan object.Ref, 8)
		for w := range 8 {
			wg.Go(func() {
				next := old.Next(old.Root, time.Unix(int64(round), int64(w)))
				switch err := s.SetRef(background, next); {
				case err == nil:
					won <- next
				case !errors.Is(err, object.ErrConflict):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("round %d: %d won, want 1", round, len(won))
		}
		if got, err := s.Ref(background, "r"); err != nil || got.Version() != (<-won).Version() {
			t.Errorf("round %d: the stored one is not the one that won (%v)", round, err)
		}
	}
	if got := s.Stats(); got.Refs != 1 {
		t.Errorf("stats %+v, want 1 ref", got)
	}
}

// The loop over refs may change the store.
func TestRefsWhileChanging(t *testing.T) {
	s := openIn(t, storeDir(t))
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("r%03d", i))
		setRef(t, s, ref(names[i]))
	}
	var got []string
	for r, err := range s.Refs(background) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Name)
		if len(got)%100 == 0 {
			put(t, s, []byte(r.Name))
			setRef(t, s, ref("a"+r.Name)) // before all others: not seen any more
		}
	}
	if !slices.Equal(got, names) {
		t.Errorf("refs %v, want %v", got, names)
	}
}

// Files and directories are for their owner only.
func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no mode bits")
	}
	dir := storeDir(t)
	s := openIn(t, dir)
	put(t, s, []byte("x"))
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		name := strings.TrimPrefix(path, dir)
		if strings.HasPrefix(name, "/index/") {
			return nil // behind a directory of mode 0700
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%q has mode %04o, want %04o", name, got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
