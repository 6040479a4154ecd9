package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/chumsync/chum/object"
)

// faults is a fileSystem that fails where it is told to. It counts the acts
// of all its files.
type faults struct {
	fileSystem

	mu   sync.Mutex
	acts int
	fail func(n int, act string) error // of the n-th act, from 0
}

func (f *faults) act(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.acts
	f.acts++
	if f.fail == nil {
		return nil
	}
	if err := f.fail(n, what); err != nil {
		return &fs.PathError{Op: what, Path: "injected", Err: err}
	}
	return nil
}

// set changes what fails from now on.
func (f *faults) set(fail func(n int, act string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *faults) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	if err := f.act("open"); err != nil {
		return nil, err
	}
	under, err := f.fileSystem.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultyFile{under, f}, nil
}

func (f *faults) ReadDir(name string) ([]string, error) {
	if err := f.act("readdir"); err != nil {
		return nil, err
	}
	return f.fileSystem.ReadDir(name)
}

func (f *faults) Mkdir(name string, perm fs.FileMode) error {
	if err := f.act("mkdir"); err != nil {
		return err
	}
	return f.fileSystem.Mkdir(name, perm)
}

func (f *faults) Rename(from, to string) error {
	if err := f.act("rename"); err != nil {
		return err
	}
	return f.fileSystem.Rename(from, to)
}

func (f *faults) SyncDir(name string) error {
	if err := f.act("fsync directory"); err != nil {
		return err
	}
	return f.fileSystem.SyncDir(name)
}

type faultyFile struct {
	file

	faults *faults
}

func (f *faultyFile) ReadAt(p []byte, offset int64) (int, error) {
	if err := f.faults.act("read"); err != nil {
		return 0, err
	}
	return f.file.ReadAt(p, offset)
}

func (f *faultyFile) WriteAt(p []byte, offset int64) (int, error) {
	if err := f.faults.act("write"); err != nil {
		n, _ := f.file.WriteAt(p[:len(p)/2], offset) // the worst case: half of it
		return n, err
	}
	return f.file.WriteAt(p, offset)
}

func (f *faultyFile) Size() (int64, error) {
	if err := f.faults.act("stat"); err != nil {
		return 0, err
	}
	return f.file.Size()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.faults.act("truncate"); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

func (f *faultyFile) Sync() error {
	if err := f.faults.act("fsync"); err != nil {
		return err
	}
	return f.file.Sync()
}

// unsynced does not sync, for tests in which the power stays on.
type unsynced struct{ osFiles }

type unsyncedFile struct{ file }

func (u unsynced) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := u.osFiles.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

func (unsynced) SyncDir(string) error { return nil }

func (unsyncedFile) Sync() error { return nil }

// ledger is what a workload was told.
type ledger struct {
	tried [][]byte
	acked [][]byte
	ref   object.Ref // the last acknowledged
	next  object.Ref // tried after it
}

// work opens a store, stores this and that, closes it, and does so twice. It
// goes on after errors, as a server would.
func (l *ledger) work(dir string, files fileSystem, under vfs.FS) error {
	var errs []error
	for round := range 2 {
		s, err := open(dir, quiet, files, under)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for i := range 6 {
			var objects [][]byte
			for j := range 1 + i%3 {
				objects = append(objects, numbered(round*100+i*10+j, 300+i*100))
			}
			l.tried = append(l.tried, objects...)
			if _, err := s.Put(background, objects...); err != nil {
				errs = append(errs, err)
			} else {
				l.acked = append(l.acked, objects...)
			}
			if i%3 == 2 {
				l.next = ref("r")
				if l.ref.Name != "" {
					l.next = l.ref.Next(l.ref.Root, l.ref.Changed)
				}
				if err := s.SetRef(background, l.next); err != nil {
					errs = append(errs, err)
				} else {
					l.ref = l.next
				}
			}
			for _, data := range l.acked {
				if _, err := s.Get(background, object.Sum(data)); err != nil {
					errs = append(errs, err)
				}
			}
		}
		if err := s.Close(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// check opens the store without faults and looks for what l was told.
func (l *ledger) check(t *testing.T, dir string, files fileSystem, under vfs.FS) {
	t.Helper()
	s, err := start(dir, quiet, files, under)
	if err != nil {
		t.Fatalf("cannot be opened any more: %v", err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, data := range l.acked {
		if _, err := s.Get(background, object.Sum(data)); err != nil {
			t.Errorf("acknowledged and lost: %v", err)
		}
	}
	if l.ref.Name != "" {
		got, err := s.Ref(background, "r")
		if err != nil || got.Version() != l.ref.Version() && got.Version() != l.next.Version() {
			t.Errorf("acknowledged ref lost: got %v, %v", got, err)
		}
	}
	checkWhole(t, s)
	put(t, s, l.tried...)
	for _, data := range l.tried {
		mustGet(t, s, data)
	}
	if got := s.Stats(); got.Objects != int64(len(l.tried)) && len(l.tried) > 0 {
		t.Errorf("stats %+v, want %d objects", got, len(l.tried))
	}
}

// prepared makes the frame of a store if an Open that failed has not.
func prepared(t *testing.T, dir string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(dir, 0o700), layOut(unsynced{}, dir)); err != nil {
		t.Fatal(err)
	}
}

// Each act on packs and format fails once, or it and all that come later.
// Whatever was acknowledged is there afterwards, with the index and without.
func TestEveryFault(t *testing.T) {
	smallPacks(t, 3<<10)
	for _, mode := range []struct {
		name string
		err  error
		last int // acts that fail, 0 for all that come
		step int
	}{
		{"disk full once", syscall.ENOSPC, 1, 1},
		{"I/O error twice", syscall.EIO, 2, 2},
		{"disk full from then on", syscall.ENOSPC, 0, 5},
	} {
		t.Run(mode.name, func(t *testing.T) {
			tripped, failed := true, 0
			for at := 0; tripped; at += mode.step {
				tripped = false
				dir := storeDir(t)
				files := &faults{fileSystem: unsynced{}}
				var what string
				files.fail = func(n int, act string) error {
					if n < at || mode.last > 0 && n >= at+mode.last {
						return nil
					}
					if n == at {
						what = act
					}
					tripped = true
					return mode.err
				}
				index := vfs.NewMem()
				var l ledger
				err := l.work(dir, files, index)
				if err != nil {
					failed++
					if !errors.Is(err, mode.err) {
						t.Errorf("act %d (%s): error %v does not say %v", at, what, err, mode.err)
					}
				}
				prepared(t, dir)
				t.Run(fmt.Sprint(at, " ", what, " without index"), func(t *testing.T) {
					copied := l
					other := storeDir(t)
					if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
						t.Fatal(err)
					}
					copied.check(t, other, unsynced{}, vfs.NewMem())
				})
				t.Run(fmt.Sprint(at, " ", what), func(t *testing.T) { l.check(t, dir, unsynced{}, index) })
				if t.Failed() {
					return
				}
			}
			if failed < 20 {
				t.Errorf("only %d positions failed: the test has tested little", failed)
			}
		})
	}
}

// Each act of writing of the index fails, once or from then on. No call
// hangs, nothing acknowledged is lost.
func TestEveryIndexFault(t *testing.T) {
	smallPacks(t, 2<<10) // each new pack flushes the index
	for _, once := range []bool{true, false} {
		failed := 0
		tripped := true
		for at := int64(0); tripped; at += 2 {
			var n atomic.Int64
			var hit atomic.Bool
			mem := vfs.NewMem()
			broken := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
					return nil
				}
				if i := n.Add(1) - 1; i == at || !once && i > at {
					hit.Store(true)
					return syscall.ENOSPC
				}
				return nil
			}))
			dir := storeDir(t)
			var l ledger
			if err := l.work(dir, unsynced{}, broken); err != nil {
				failed++
				if !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("act %d: error %v does not say ENOSPC", at, err)
				}
			}
			tripped = hit.Load()
			prepared(t, dir)
			l.check(t, dir, unsynced{}, mem)
			if t.Failed() {
				t.Fatalf("act %d, once %v", at, once)
			}
		}
		if failed < 5 {
			t.Errorf("only %d positions failed: the test has tested little", failed)
		}
	}
}

// faultyStore opens a store whose files fail as told later.
func faultyStore(t *testing.T) (*Store, *faults) {
	t.Helper()
	files := &faults{fileSystem: osFiles{}}
	s, err := open(storeDir(t), quiet, files, vfs.Default)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, files
}

// failing returns a fault that strikes the first of these acts, in order.
func failing(err error, acts ...string) func(int, string) error {
	return func(_ int, act string) error {
		if len(acts) > 0 && act == acts[0] {
			acts = acts[1:]
			return err
		}
		return nil
	}
}

// A full disk fails the Puts of the group and no other.
func TestDiskFull(t *testing.T) {
	s, files := faultyStore(t)
	put(t, s, []byte("before"))
	files.set(failing(syscall.ENOSPC, "write"))
	_, err := s.Put(background, []byte("during"))
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v, want ENOSPC", err)
	}
	if has, err := s.Has(background, object.Sum([]byte("during"))); err != nil || has[0] {
		t.Errorf("Has %v, %v after a failed Put", has, err)
	}
	if got := s.Stats(); got.Objects != 1 {
		t.Errorf("stats %+v, want 1 object", got)
	}
	put(t, s, []byte("during"), []byte("after"))
	for _, text := range []string{"before", "during", "after"} {
		mustGet(t, s, []byte(text))
	}
}

// After an fsync error, or a failed write that cannot be taken back, every
// Put fails with that error, reads go on, and what was acknowledged is there
// at the next Open.
func TestBroken(t *testing.T) {
	for _, test := range []struct {
		name  string
		limit int64 // of a pack
		acts  []string
	}{
		{"fsync", 1 << 20, []string{"fsync"}},
		{"truncate", 1 << 20, []string{"write", "truncate"}},
		{"fsync of a new pack", 200, []string{"fsync"}},
		{"fsync of the directory", 200, []string{"fsync directory"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			smallPacks(t, test.limit)
			s, files := faultyStore(t)
			old := numbered(1, 100)
			put(t, s, old)
			files.set(failing(syscall.EIO, test.acts...))
			_, first := s.Put(background, numbered(2, 100))
			if !errors.Is(first, syscall.EIO) {
				t.Fatalf("error %v, want EIO", first)
			}
			files.set(nil) // the disk is fine again, and the store cannot know
			_, later := s.Put(background, numbered(3, 100))
			_, same := s.Put(background, old)
			set := s.SetRef(background, ref("r"))
			for _, err := range []error{later, same, set} {
				if err == nil || err.Error() != first.Error() {
					t.Errorf("later: %v, want the first error, %v", err, first)
				}
			}
			mustGet(t, s, old)
			if has, err := s.Has(background, object.Sum(old), object.Sum(numbered(2, 100))); err != nil || !slices.Equal(has, []bool{true, false}) {
				t.Errorf("Has %v, %v", has, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			again := openIn(t, s.dir)
			mustGet(t, again, old)
			// It may be in memory and not on the disk: it must not count as there.
			if has, err := again.Has(background, object.Sum(numbered(2, 100))); err != nil || has[0] {
				t.Errorf("what could not be made durable: Has %v, %v at the next Open", has, err)
			}
			put(t, again, numbered(2, 100), numbered(3, 100))
			checkWhole(t, again)
		})
	}
}

// Too many open files: Get fails with that and works later.
func TestNoMoreFiles(t *testing.T) {
	s, files := faultyStore(t)
	put(t, s, []byte("x"))
	files.set(failing(syscall.EMFILE, "open"))
	if _, err := s.Get(background, object.Sum([]byte("x"))); !errors.Is(err, syscall.EMFILE) || errors.Is(err, object.ErrCorrupt) {
		t.Errorf("error %v, want EMFILE and no damage", err)
	}
	mustGet(t, s, []byte("x"))
}

// A context that ends while a Put waits: the Put returns at once, and what it
// was storing is stored or not, but whole, also if the slices change.
func TestCancelWhileWaiting(t *testing.T) {
	s, files := faultyStore(t)
	entered, release := make(chan struct{}), make(chan struct{})
	put(t, s, []byte("the pack is there"))
	var once sync.Once
	files.set(func(_ int, act string) error {
		if act == "write" {
			// The lock of files is held: all acts wait.
			once.Do(func() { close(entered); <-release })
		}
		return nil
	})
	ctx, cancel := context.WithCancel(background)
	data := [][]byte{numbered(1, 3000), numbered(2, 3000)}
	failed := make(chan error, 2)
	go func() {
		_, err := s.Put(ctx, data[0])
		failed <- err
	}()
	<-entered
	go func() { // waits in the group after
		_, err := s.Put(ctx, data[1])
		failed <- err
	}()
	cancel()
	for range 2 {
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	}
	clear(data[0])
	clear(data[1])
	close(release)
	put(t, s, []byte("one more, so that all before is decided"))
	checkWhole(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkWhole(t, openIn(t, s.dir))
}

// More packs than may be open at a time.
func TestManyPacks(t *testing.T) {
	smallPacks(t, 100)
	s := openIn(t, storeDir(t))
	var all [][]byte
	for i := range openPacks + 20 {
		all = append(all, numbered(i, 100))
		put(t, s, all[i])
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, data := range all {
				if _, err := s.Get(background, object.Sum(data)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s.packs.mu.Lock()
	defer s.packs.mu.Unlock()
	if n := len(s.packs.open); n > openPacks+4 {
		t.Errorf("%d packs are open, want at most %d and those in use", n, openPacks)
	}
}
