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
// it freezes: the index stays on disk as a crash would have left it there,
// which is a state it can be opened from.
//
// Pebble itself takes such an error as the end of the process, or tries again
// at once and for ever. Here whoever writes waits until thaw, which is called
// when the store closes; the store, which asks failed before it commits,
// takes no more objects, so that nobody waits for room in memory. Reads go on.
type frozenFS struct {
	vfs.FS

	stopped chan struct{} // closed by freeze
	thawed  chan struct{} // closed by thaw
	running atomic.Bool   // set once Pebble is open: until then an error is its caller's
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

// thaw lets those who wait go on, with the error, so that the index can close.
func (f *frozenFS) thaw() { f.ending.Do(func() { close(f.thawed) }) }

// write does one act of writing.
func (f *frozenFS) write(act func() error) error {
	err := f.failed()
	if err == nil {
		if err = act(); err == nil || errors.Is(err, vfs.ErrUnsupported) {
			return err
		}
		f.freeze(err)
	}
	if f.running.Load() {
		<-f.thawed
	}
	return err
}

// open opens a file by an act of writing.
func (f *frozenFS) open(act func() (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	err := f.write(func() (err error) {
		file, err = act()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &frozenFile{file, f}, nil
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
	return f.write(func() error { return f.FS.Rename(from, to) })
}

func (f *frozenFS) Link(from, to string) error {
	return f.write(func() error { return f.FS.Link(from, to) })
}

func (f *frozenFS) MkdirAll(dir string, perm os.FileMode) error {
	return f.write(func() error { return f.FS.MkdirAll(dir, perm) })
}

// Remove leaves everything in place once frozen. A file that could not be
// removed is no error: it is tried again at the next open.
func (f *frozenFS) Remove(name string) error {
	if err := f.failed(); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *frozenFS) Unwrap() vfs.FS { return f.FS }

// frozenFile is a file of a frozenFS.
type frozenFile struct {
	vfs.File

	fs *frozenFS
}

func (f *frozenFile) Write(p []byte) (n int, err error) {
	err = f.fs.write(func() (err error) {
		n, err = f.File.Write(p)
		return err
	})
	return n, err
}

func (f *frozenFile) WriteAt(p []byte, offset int64) (n int, err error) {
	err = f.fs.write(func() (err error) {
		n, err = f.File.WriteAt(p, offset)
		return err
	})
	return n, err
}

func (f *frozenFile) Sync() error { return f.fs.write(f.File.Sync) }

func (f *frozenFile) SyncData() error { return f.fs.write(f.File.SyncData) }

func (f *frozenFile) SyncTo(length int64) (full bool, err error) {
	err = f.fs.write(func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
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

// Fatalf must not end the process: a library does not. What calls it returns
// an error next, or is a broken invariant that panics.
func (l quietLog) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	l.frozen.freeze(fmt.Errorf(format, args...))
}
