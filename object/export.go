package object

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// ExportOptions are the options of Export; nil means the zero value.
type ExportOptions struct {
	// SpecialBits restores setuid, setgid and sticky bits as well. Unset, a
	// tree from elsewhere cannot bring a program that runs as you.
	SpecialBits bool
	// NoTimes leaves the times of modification as they come.
	NoTimes bool
	// Progress, if set, is called after each file and each chunk of a long
	// file, from one goroutine at a time. It should return soon.
	Progress func(Progress)
}

// Export writes what l points at to dest: a directory from a tree, one file
// from a blob or file. For a tree, dest must not exist or be an empty
// directory; for a file it must not exist. The directory that dest lies in
// must exist.
//
// Modes, times and symlinks are restored as they were stored, contents are
// checked against hash and size. Everything is created anew and within dest:
// a symlink in the way, be it of the tree or put there meanwhile by someone
// else, is never written through. dest itself has the mode and time that any
// new file or directory gets, since those of the root are not stored.
//
// After an error, which says the path, what was written completely stays; a
// file that was not is removed, except by a crash. Nothing is synced to disk.
// Memory is bounded by a few chunks.
func Export(ctx context.Context, s Store, l Link, dest string, options *ExportOptions) error {
	if err := l.Validate(); err != nil {
		return err
	}
	if options == nil {
		options = &ExportOptions{}
	}
	ex := &exporter{store: s, options: options, jobs: make(chan func())}
	ex.ctx, ex.cancel = context.WithCancelCause(ctx)
	defer ex.cancel(nil)
	if l.Kind != KindTree {
		ex.top(l, dest)
		return ex.failed()
	}
	root, err := openEmpty(dest)
	if err != nil {
		return fmt.Errorf("object: exporting to %s: %w", dest, err)
	}
	defer closeQuietly(root)
	var workers sync.WaitGroup
	for range exportWorkers {
		workers.Go(func() {
			for job := range ex.jobs {
				job()
			}
		})
	}
	ex.directory(root, l, dest, 0)
	close(ex.jobs)
	workers.Wait()
	return ex.failed()
}

// openEmpty opens the directory dest, which it makes if there is none.
func openEmpty(dest string) (*os.Root, error) {
	if err := os.Mkdir(dest, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, plain(err)
	}
	info, err := os.Lstat(dest)
	if err != nil {
		return nil, plain(err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("there is %s in the way; choose a new or an empty directory", whatIs(info.Mode()))
	}
	root, err := os.OpenRoot(dest)
	if err != nil {
		return nil, plain(err)
	}
	opened, names, err := list(root)
	switch {
	case err != nil:
		err = plain(err)
	case !os.SameFile(info, opened):
		err = errors.New("the directory was replaced meanwhile")
	case len(names) > 0:
		err = errors.New("the directory is not empty; choose a new or an empty one")
	default:
		return root, nil
	}
	closeQuietly(root)
	return nil, err
}

// whatIs says what a file of that mode is.
func whatIs(m fs.FileMode) string {
	if m.IsRegular() {
		return "a file"
	}
	return describe(m)
}

// plain takes the path out of the error of a system call: it is the path
// within its directory only, and the caller says the whole.
func plain(err error) error {
	switch inner := err.(type) { // not one that a store's error wraps
	case *fs.PathError:
		return fmt.Errorf("%s: %w", inner.Op, inner.Err)
	case *os.LinkError:
		return fmt.Errorf("%s: %w", inner.Op, inner.Err)
	}
	return err
}

// exporter is one export under way.
type exporter struct {
	ctx     context.Context // ends at the first error
	cancel  context.CancelCauseFunc
	store   Store
	options *ExportOptions
	jobs    chan func()

	mu       sync.Mutex
	err      error // the first error
	progress Progress
}

// fail keeps the first error and stops the export.
func (ex *exporter) fail(path string, err error) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.err == nil {
		ex.err = fmt.Errorf("object: exporting to %s: %w", path, plain(err))
		ex.cancel(ex.err)
	}
}

func (ex *exporter) failed() error {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	return ex.err
}

// report changes the progress and tells it.
func (ex *exporter) report(change func(*Progress)) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	change(&ex.progress)
	if ex.options.Progress != nil {
		ex.options.Progress(ex.progress)
	}
}

// top exports one file to dest.
func (ex *exporter) top(l Link, dest string) {
	dir, err := os.OpenRoot(filepath.Dir(dest))
	if err != nil {
		ex.fail(dest, err)
		return
	}
	defer closeQuietly(dir)
	name := filepath.Base(dest)
	if err := checkLocal(name); err != nil {
		ex.fail(dest, err)
		return
	}
	if err := ex.write(dir, name, l, 0o666, nil); err != nil {
		ex.fail(dest, err)
		return
	}
	ex.report(func(p *Progress) { p.Files++ })
}

// directory fills dir with the directory that l points at. It makes the
// directories itself and leaves the files to the workers.
func (ex *exporter) directory(dir *os.Root, l Link, path string, depth int) {
	if depth > maxDepth {
		ex.fail(path, fmt.Errorf("directories lie more than %d deep", maxDepth))
		return
	}
	var files sync.WaitGroup
	defer files.Wait() // before dir is closed and gets its time
	for e, err := range ReadTree(ex.ctx, ex.store, l) {
		if err != nil {
			ex.fail(path, err)
			return
		}
		childPath := filepath.Join(path, e.Name)
		if err := checkLocal(e.Name); err != nil {
			ex.fail(childPath, err)
			return
		}
		switch e.Kind {
		case KindTree:
			if err := ex.subdirectory(dir, e, childPath, depth+1); err != nil {
				ex.fail(childPath, err)
			}
		case KindSymlink:
			if err := dir.Symlink(e.Target, e.Name); err != nil {
				ex.fail(childPath, err)
			} else {
				ex.report(func(p *Progress) { p.Files++ })
			}
		default:
			files.Add(1)
			ex.jobs <- func() {
				defer files.Done()
				ex.file(dir, e, childPath)
			}
		}
		if ex.ctx.Err() != nil {
			break
		}
	}
	if err := ended(ex.ctx); err != nil {
		ex.fail(path, err) // the caller's context, if there is no error yet
	}
}

// checkLocal refuses a name that would not be an element of a path on this
// system. What a tree cannot have was refused when it was decoded; Windows
// has more.
func checkLocal(name string) error {
	reason := badEntryName(name)
	if reason == "" && (!filepath.IsLocal(name) || strings.ContainsRune(name, filepath.Separator)) {
		reason = "this system has no such file names"
	}
	if reason != "" {
		return fmt.Errorf("%w %.64q: %s", ErrBadName, name, reason)
	}
	return nil
}

// subdirectory makes and fills the directory e. Its mode and time come last:
// it may be one that cannot be written to.
func (ex *exporter) subdirectory(parent *os.Root, e Entry, path string, depth int) error {
	if err := parent.Mkdir(e.Name, 0o700); err != nil {
		return err
	}
	dir, err := parent.OpenRoot(e.Name)
	if err != nil {
		return err
	}
	defer closeQuietly(dir)
	// What was made is a directory. If it is another now, it may have content.
	if same, err := sameFile(parent, e.Name, func() (fs.FileInfo, error) { return dir.Stat(".") }); err != nil {
		return err
	} else if !same {
		return errors.New("the directory was replaced meanwhile")
	}
	ex.directory(dir, e.Link(), path, depth)
	if ex.ctx.Err() != nil {
		return nil // said already
	}
	// The time first: the mode may take away the right to set it.
	if err := ex.restoreTime(dir, ".", e); err != nil {
		return err
	}
	if err := dir.Chmod(".", ex.mode(e)); err != nil {
		return err
	}
	ex.report(func(p *Progress) { p.Directories++ })
	return nil
}

// restoreTime sets the time of name in dir.
func (ex *exporter) restoreTime(dir *os.Root, name string, e Entry) error {
	if e.Time.IsZero() || ex.options.NoTimes {
		return nil
	}
	return dir.Chtimes(name, e.Time, e.Time)
}

// mode returns the mode that e gets.
func (ex *exporter) mode(e Entry) fs.FileMode {
	if ex.options.SpecialBits {
		return fileMode(e.Mode)
	}
	return fileMode(e.Mode & 0o777)
}

// file writes the file e.
func (ex *exporter) file(dir *os.Root, e Entry, path string) {
	if ex.ctx.Err() != nil {
		return
	}
	err := ex.write(dir, e.Name, e.Link(), 0o600, func(f *os.File) error { return f.Chmod(ex.mode(e)) })
	if err == nil {
		err = ex.restoreTime(dir, e.Name, e)
	}
	if err != nil {
		ex.fail(path, err)
		return
	}
	ex.report(func(p *Progress) { p.Files++ })
}

// write creates the file name in dir with the content that l points at, and
// calls finish, if not nil, before it is closed. It removes what it could not
// complete.
func (ex *exporter) write(dir *os.Root, name string, l Link, mode fs.FileMode, finish func(*os.File) error) error {
	content, err := Open(ex.ctx, ex.store, l)
	if err != nil {
		return err
	}
	// O_EXCL also refuses a symlink that stands there.
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = content.WriteTo(progressWriter{ex, f})
	if err == nil && finish != nil {
		err = finish(f)
	}
	if closed := f.Close(); err == nil {
		err = closed // where a full disk may show at last
	}
	if err != nil {
		_ = dir.Remove(name) // the error says more than one of this could
	}
	return err
}

// progressWriter writes as long as the export goes on and reports what it
// wrote.
type progressWriter struct {
	ex *exporter
	f  *os.File
}

func (w progressWriter) Write(p []byte) (int, error) {
	if err := ended(w.ex.ctx); err != nil {
		return 0, err
	}
	n, err := w.f.Write(p)
	w.ex.report(func(p *Progress) { p.Bytes += int64(n) })
	return n, err
}
