package local

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// frozenFS is the file system under the index. At the first error of writing
// it freezes: from then on nothing changes on disk, so that the index stays
// there as a crash would have left it, which is a state it can be opened from.
//
// Pebble never hears of the error, because what it does then is to end the
// process, to panic, or to try again at once and for ever. While the store
// runs, whoever writes waits. The store asks failed before each commit and
// takes no more objects, so that nobody waits for room in Pebble's memory;
// reads go on. While Pebble opens, and when the store closes (thaw), whoever
// writes is told that it went well, so that it comes to an end.
type frozenFS struct {
	vfs.FS

	stopped chan struct{} // closed by freeze
	thawed  chan struct{} // closed by thaw
	running atomic.Bool   // Pebble is open
	mu      sync.Mutex
	err     error
	ending  sync.Once
}

func freezable(under vfs.FS) *frozenFS {
	return &frozenFS{FS: under, stopped: make(chan struct{}), thawed: make(chan struct{})}
}

// freeze ends all writing. The first error counts.
func (f *frozenFS) freeze(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = fmt.Errorf("local: the index cannot be written: %w (what was stored is safe: make room or repair, then open the store again)", err)
		close(f.stopped)
	}
}

// failed returns why it froze, or nil.
func (f *frozenFS) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// thaw lets those who wait go on, so that the index can close.
func (f *frozenFS) thaw() { f.ending.Do(func() { close(f.thawed) }) }

// write does one act of writing. It is done, or not supported, or f is frozen.
func (f *frozenFS) write(act func() error) (done bool, err error) {
	if f.failed() == nil {
		err := act()
		if err == nil || errors.Is(err, vfs.ErrUnsupported) {
			return true, err
		}
		f.freeze(err)
	}
	if f.running.Load() {
		<-f.thawed
	}
	return false, nil
}

// open opens a file by an act of writing; when frozen, one in memory.
func (f *frozenFS) open(act func() (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	done, err := f.write(func() (err error) {
		file, err = act()
		return err
	})
	if err == nil && !done {
		return vfs.NewMem().Create("frozen", vfs.WriteCategoryUnspecified)
	}
	return &frozenFile{file, f}, err
}

func (f *frozenFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open(func() (vfs.File, error) { return f.FS.Create(name, category) })
}

func (f *frozenFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.open(func() (vfs.File, error) { return f.FS.OpenReadWrite(name, category, opts...) })
}

func (f *frozenFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open(func() (vfs.File, error) { return f.FS.ReuseForWrite(from, to, category) })
}

func (f *frozenFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &frozenFile{file, f}, nil
}

func (f *frozenFS) Rename(from, to string) error {
	_, err := f.write(func() error { return f.FS.Rename(from, to) })
	return err
}

func (f *frozenFS) Link(from, to string) error {
	_, err := f.write(func() error { return f.FS.Link(from, to) })
	return err
}

func (f *frozenFS) MkdirAll(dir string, perm os.FileMode) error {
	_, err := f.write(func() error { return f.FS.MkdirAll(dir, perm) })
	return err
}

// Remove is no reason to freeze: what could not be removed is removed at the
// next open.
func (f *frozenFS) Remove(name string) error {
	select {
	case <-f.stopped:
		return nil
	default:
		return f.FS.Remove(name)
	}
}

func (f *frozenFS) Unwrap() vfs.FS { return f.FS }

// frozenFile is a file or directory of a frozenFS.
type frozenFile struct {
	vfs.File

	fs *frozenFS
}

func (f *frozenFile) Write(p []byte) (n int, err error) {
	done, err := f.fs.write(func() (err error) {
		n, err = f.File.Write(p)
		return err
	})
	if !done {
		n = len(p)
	}
	return n, err
}

func (f *frozenFile) WriteAt(p []byte, offset int64) (n int, err error) {
	done, err := f.fs.write(func() (err error) {
		n, err = f.File.WriteAt(p, offset)
		return err
	})
	if !done {
		n = len(p)
	}
	return n, err
}

func (f *frozenFile) Sync() error {
	_, err := f.fs.write(f.File.Sync)
	return err
}

func (f *frozenFile) SyncData() error {
	_, err := f.fs.write(f.File.SyncData)
	return err
}

func (f *frozenFile) SyncTo(length int64) (full bool, err error) {
	_, err = f.fs.write(func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// Close may be the first to hear that writing failed. It frees the file in
// any case.
func (f *frozenFile) Close() error {
	if err := f.File.Close(); err != nil {
		f.fs.freeze(err)
	}
	return nil
}

// quietLog passes on what is wrong and nothing else.
type quietLog struct {
	log    *slog.Logger
	frozen *frozenFS
}

func (quietLog) Infof(string, ...any) {}

func (l quietLog) Errorf(format string, args ...any) {
	l.log.Error("store index: " + fmt.Sprintf(format, args...))
}

// Fatalf must not end the process: a library does not. What calls it is a
// broken invariant of Pebble.
func (l quietLog) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	l.frozen.freeze(fmt.Errorf(format, args...))
}
