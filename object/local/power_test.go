package local

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/chumsync/chum/object"
)

// disk is a fileSystem in memory that can lose power: what was not synced is
// then there, or not, sector by sector.
type disk struct {
	mu      sync.Mutex
	files   map[string]*node // by path
	durable map[string]*node // the names that survive
	noSync  bool             // sync does nothing: for the control
	crashAt int              // crash is called before this act
	crash   func()
}

// node is a file. Its durable state is what was last synced.
type node struct {
	data, synced []byte
}

const sector = 512

func newDisk() *disk {
	return &disk{files: make(map[string]*node), durable: make(map[string]*node), crashAt: -1}
}

// act is called with d.mu held at the beginning of each act of writing.
func (d *disk) act() {
	if d.crashAt--; d.crashAt == -1 && d.crash != nil {
		d.mu.Unlock()
		d.crash()
		d.mu.Lock()
	}
}

// afterCrash returns a disk as the power may have left it.
func (d *disk) afterCrash(rng *rand.Rand) *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newDisk()
	names := maps.Clone(d.durable)
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		if rng.IntN(2) == 0 { // a name that was not synced may be there all the same
			names[name] = d.files[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := names[name]
		size := len(n.synced)
		if low, high := min(size, len(n.data)), max(size, len(n.data)); high > low && rng.IntN(3) > 0 {
			size = low + rng.IntN(high-low+1)
		}
		data := make([]byte, size)
		copy(data, n.synced)
		for at := 0; at < size; at += sector {
			if end := min(at+sector, size, len(n.data)); at < end && rng.IntN(2) == 0 {
				copy(data[at:end], n.data[at:end])
			}
		}
		after.files[name] = &node{data: data, synced: bytes.Clone(data)}
	}
	after.durable = maps.Clone(after.files)
	return after
}

func (d *disk) OpenFile(name string, flag int, _ fs.FileMode) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.files[name]
	if n == nil {
		if flag&os.O_CREATE == 0 {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		d.act()
		n = &node{}
		d.files[name] = n
	}
	return diskFile{d, n}, nil
}

func (d *disk) ReadDir(name string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for path := range d.files {
		if filepath.Dir(path) == name {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (d *disk) Mkdir(string, fs.FileMode) error { return nil }

func (d *disk) Rename(string, string) error { return fs.ErrInvalid }

func (d *disk) SyncDir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.act()
	if d.noSync {
		return nil
	}
	for path, n := range d.files {
		if strings.HasPrefix(path, name+"/") {
			d.durable[path] = n
		}
	}
	return nil
}

// diskFile is an open file of a disk.
type diskFile struct {
	disk *disk
	*node
}

func (f diskFile) ReadAt(p []byte, offset int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if offset >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f diskFile) WriteAt(p []byte, offset int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	// In two acts, so that the power can go in between.
	for _, part := range [][]byte{p[:len(p)/2], p[len(p)/2:]} {
		f.disk.act()
		if grow := int(offset) + len(part) - len(f.data); grow > 0 {
			f.data = append(f.data, make([]byte, grow)...)
		}
		copy(f.data[offset:], part)
		offset += int64(len(part))
	}
	return len(p), nil
}

func (f diskFile) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.data)), nil
}

func (f diskFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.act()
	f.data = slices.Clip(f.data[:size])
	return nil
}

func (f diskFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.act()
	if !f.disk.noSync {
		f.synced = bytes.Clone(f.data)
	}
	return nil
}

func (f diskFile) Close() error { return nil }

// crashed is what a power cut left, and what had been acknowledged before it.
type crashed struct {
	packs   *disk
	index   *vfs.MemFS
	objects []object.Hash
	ref     object.Ref
}

// cutPower stores this and that on a disk, and returns what the power that
// goes at some moment leaves. Of a store that was cut off before, before says
// what must still be there.
func cutPower(t *testing.T, rng *rand.Rand, noSync bool, before crashed) crashed {
	t.Helper()
	d, index := newDisk(), vfs.NewCrashableMem()
	if before.packs != nil {
		d, index = before.packs, before.index
	}
	d.noSync = noSync
	after := before
	var mu sync.Mutex // of after
	cut := func() {
		mu.Lock()
		defer mu.Unlock()
		if after.index != before.index {
			return
		}
		// The index first: it may be older than the packs, not newer.
		after.index = index.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
		after.packs = d.afterCrash(rng)
		after.objects = slices.Clip(after.objects)
	}
	d.crash, d.crashAt = cut, rng.IntN(60)
	done := func() bool { return after.index != before.index }

	s, err := start("/store", quiet, d, index)
	if err != nil {
		t.Fatalf("cannot be opened: %v", err)
	}
	for range 12 {
		var objects [][]byte
		for range 1 + rng.IntN(4) {
			b := make([]byte, rng.IntN(3000))
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			objects = append(objects, b)
		}
		hashes := put(t, s, objects...)
		mu.Lock()
		if !done() {
			after.objects = append(after.objects, hashes...)
		}
		mu.Unlock()
		if rng.IntN(3) == 0 {
			next := ref("r")
			if old, err := s.Ref(background, "r"); err == nil {
				next = old.Next(object.Link{Kind: object.KindBlob, Hash: hashes[0]}, old.Changed)
			}
			setRef(t, s, next)
			mu.Lock()
			if !done() {
				after.ref = next
			}
			mu.Unlock()
		}
		if rng.IntN(6) == 0 {
			s.index.flush()
		}
	}
	cut() // if it has not come yet
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return after
}

// verify opens what a power cut left and returns what is wrong with it.
func (c crashed) verify() (problems []string) {
	s, err := start("/store", quiet, c.packs, c.index)
	if err != nil {
		return []string{err.Error()}
	}
	defer s.Close()
	for _, h := range c.objects {
		if _, err := s.Get(background, h); err != nil {
			problems = append(problems, fmt.Sprint("acknowledged and lost: ", err))
		}
	}
	if c.ref.Name != "" {
		got, err := s.Ref(background, "r")
		if err != nil || got.Version() != c.ref.Version() && !got.Follows(c.ref) {
			problems = append(problems, fmt.Sprintf("acknowledged ref lost: %v, %v", got, err))
		}
	}
	return problems
}

// A process is killed after it has written and before that is durable. The
// next one finds it in the system's memory, and acknowledges it when it is put
// again. Then the power goes.
func TestKilledThenPowerCut(t *testing.T) {
	data := numbered(1, 2000)
	for name, limit := range map[string]int64{"same pack": 1 << 20, "new pack": 100} {
		t.Run(name, func(t *testing.T) {
			smallPacks(t, limit)
			for seed := range uint64(20) {
				d := newDisk()
				s := openOn(t, d, vfs.NewMem())
				put(t, s, []byte("long before"))
				d.noSync = true // the kill comes before any sync
				put(t, s, data)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				d.noSync = false
				s = openOn(t, d, vfs.NewMem())
				put(t, s, data) // found, and so acknowledged
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				after := d.afterCrash(rand.New(rand.NewPCG(seed, 3)))
				left := crashed{packs: after, index: vfs.NewMem(), objects: []object.Hash{object.Sum(data)}}
				if problems := left.verify(); len(problems) > 0 {
					t.Fatalf("seed %d:\n%s", seed, strings.Join(problems, "\n"))
				}
			}
		})
	}
}

// openOn opens a store on a disk.
func openOn(t *testing.T, d *disk, index vfs.FS) *Store {
	t.Helper()
	s, err := start("/store", quiet, d, index)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPowerCut cuts the power at some moment, with torn sectors, opens what is
// left, and cuts it there again. The control, which does not sync, must be
// caught, or the test would be blind.
func TestPowerCut(t *testing.T) {
	smallPacks(t, 12<<10)
	cuts := 150
	if testing.Short() {
		cuts = 30
	}
	for seed := range uint64(cuts) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var state crashed
		for round := range 3 {
			state = cutPower(t, rng, false, state)
			if rng.IntN(4) == 0 {
				state.index = vfs.NewCrashableMem() // lost altogether
			}
			if problems := state.verify(); len(problems) > 0 {
				t.Fatalf("seed %d, cut %d:\n%s", seed, round+1, strings.Join(problems, "\n"))
			}
		}
	}
	caught := 0
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		if problems := cutPower(t, rng, true, crashed{}).verify(); len(problems) > 0 {
			caught++
		}
	}
	if caught < 15 {
		t.Errorf("without sync only %d of 20 power cuts lost something: the test does not see what it should", caught)
	}
}
