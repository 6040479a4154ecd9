package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// maxDepth is how deep directories may lie within each other. The longest
// path that Linux takes could go four times as deep; it bounds the open
// directories.
const maxDepth = 500

// importWorkers read, cut and hash files at the same time, and
// exportWorkers write them.
const (
	importWorkers = 2
	exportWorkers = 4
)

// Progress says how far an Import or Export has come. Its numbers only grow.
type Progress struct {
	Files       int64 // files and symlinks done
	Directories int64 // directories done
	Objects     int64 // objects given to the store; an Export does not count them
	Bytes       int64 // content bytes read from, or written to, files
}

// ImportOptions are the options of Import; nil means the zero value.
type ImportOptions struct {
	// NoTimes leaves out the times of modification, so that the same contents
	// give the same link wherever they lie.
	NoTimes bool
	// Progress, if set, is called after each file and each chunk of a long
	// file, from one goroutine at a time. It should return soon.
	Progress func(Progress)
	// Skipped, if set, is called for each thing below path that is not
	// stored, and why: a socket, device or pipe, or what vanished after its
	// directory was read. It is called from one goroutine at a time.
	Skipped func(path, reason string)
}

// Import stores the file or directory at path and returns the link to it.
// See ImportEntry, which also returns its mode and time.
func Import(ctx context.Context, s Store, path string, options *ImportOptions) (Link, error) {
	e, err := ImportEntry(ctx, s, path, options)
	return e.Link(), err
}

// ImportEntry stores the file or directory at path and returns an entry for
// it, ready for PutTree: its name is the last element of path.
//
// Regular files, directories and symlinks are stored, with their twelve mode
// bits and times of modification; symlinks below path are kept as they are
// and never followed, path itself is. Owners, extended attributes and hard
// links are not kept. A file that changes meanwhile is stored as it was read,
// up to the length it had when it was opened. What cannot be read is an error
// that names it, and ends the import.
//
// All is durable when it returns nil. Small objects share a Put, so that many
// small files go fast, and no directory is stored before its content. Memory
// is bounded for files; a directory needs about 500 bytes for each of its
// entries while it is being read.
func ImportEntry(ctx context.Context, s Store, path string, options *ImportOptions) (Entry, error) {
	if options == nil {
		options = &ImportOptions{}
	}
	w := newWriter(ctx, s)
	im := &importer{options: options, w: w, jobs: make(chan func(*chunker))}
	var workers sync.WaitGroup
	for range importWorkers {
		workers.Go(func() {
			c := &chunker{chunk: im.chunkDone}
			for job := range im.jobs {
				job(c)
			}
		})
	}
	found := im.top(path)
	close(im.jobs)
	workers.Wait()
	if err := w.close(im.failed()); err != nil {
		return Entry{}, err
	}
	return found.Entry, nil
}

// importer is one import under way.
type importer struct {
	options *ImportOptions
	w       *writer
	jobs    chan func(*chunker)

	mu       sync.Mutex
	err      error // the first error
	progress Progress
}

// imported is what became of a file or directory.
type imported struct {
	Entry
	height int
	ok     bool // false if it was skipped or has failed
}

// fail keeps the first error and stops the import.
func (im *importer) fail(path string, err error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.stopped() {
		return // for this reason, or the store's or caller's, which the writer has
	}
	im.err = fmt.Errorf("object: importing %s: %w", path, plain(err))
	im.w.cancel(im.err)
}

func (im *importer) failed() error {
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.err
}

// stopped reports whether there is no point in going on.
func (im *importer) stopped() bool { return im.w.ctx.Err() != nil }

// report changes the progress and tells it.
func (im *importer) report(change func(*Progress)) {
	im.mu.Lock()
	defer im.mu.Unlock()
	change(&im.progress)
	im.progress.Objects = im.w.objects.Load()
	if im.options.Progress != nil {
		im.options.Progress(im.progress)
	}
}

func (im *importer) chunkDone(size int) {
	im.report(func(p *Progress) { p.Bytes += int64(size) })
}

func (im *importer) skip(path, reason string) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.options.Skipped != nil {
		im.options.Skipped(path, reason)
	}
}

// top imports what path names.
func (im *importer) top(path string) (out imported) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		im.fail(path, err)
		return out
	}
	info, err := os.Stat(path)
	if err != nil {
		im.fail(path, err)
		return out
	}
	out.Name = filepath.Base(absolute)
	switch {
	case info.IsDir():
		dir, err := os.OpenRoot(path)
		if err != nil {
			im.fail(path, err)
			return out
		}
		defer closeQuietly(dir)
		im.directory(dir, path, 0, &out)
	case info.Mode().IsRegular():
		// Not by its directory, which need not be readable.
		f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			im.fail(path, err)
			return out
		}
		defer closeQuietly(f)
		im.regular(&chunker{chunk: im.chunkDone}, f, path, &out)
	default:
		im.fail(path, fmt.Errorf("it is %s, not a file or directory", describe(info.Mode())))
	}
	return out
}

// closeQuietly closes what was only read.
func closeQuietly(c io.Closer) { _ = c.Close() }

// directory imports what is in dir. It gives files to the workers and goes
// down into directories itself, while they work.
func (im *importer) directory(dir *os.Root, path string, depth int, out *imported) {
	if depth > maxDepth {
		im.fail(path, fmt.Errorf("directories lie more than %d deep", maxDepth))
		return
	}
	info, names, err := list(dir)
	if err != nil {
		im.fail(path, err)
		return
	}
	children := make([]imported, len(names))
	var files sync.WaitGroup
	for i, name := range names {
		if im.stopped() {
			break
		}
		child, childPath := &children[i], filepath.Join(path, name)
		child.Name = name
		info, err := dir.Lstat(name)
		switch {
		case err != nil:
			im.unreadable(childPath, err)
		case info.IsDir():
			im.subdirectory(dir, childPath, depth+1, child)
		case info.Mode()&fs.ModeSymlink != 0:
			im.symlink(dir, childPath, child)
		case info.Mode().IsRegular():
			files.Add(1)
			im.jobs <- func(c *chunker) {
				defer files.Done()
				im.file(c, dir, childPath, child)
			}
		default:
			im.skip(childPath, "it is "+describe(info.Mode()))
		}
	}
	files.Wait()
	if im.stopped() {
		return
	}

	height, entries := 0, make([]Entry, 0, len(children))
	for _, child := range children {
		if child.ok {
			entries = append(entries, child.Entry)
			height = max(height, child.height+1)
		}
	}
	l, height, err := putTree(im.w, entries, height)
	if err != nil {
		im.fail(path, err)
		return
	}
	out.done(l, info, height, im.options.NoTimes)
	im.report(func(p *Progress) { p.Directories++ })
}

// list returns what dir is and the names in it.
func list(dir *os.Root) (fs.FileInfo, []string, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, nil, err
	}
	defer closeQuietly(f)
	info, err := f.Stat() // before the names: a later change is seen by the next import
	if err != nil {
		return nil, nil, err
	}
	names, err := f.Readdirnames(-1)
	return info, names, err
}

// done fills in what was found.
func (out *imported) done(l Link, info fs.FileInfo, height int, noTimes bool) {
	out.Kind, out.Hash, out.Size = l.Kind, l.Hash, l.Size
	out.Mode = unixMode(info.Mode())
	if t := info.ModTime(); !noTimes && timeFits(t) {
		out.Time = t.UTC()
	}
	out.height, out.ok = height, true
}

// unreadable skips what has vanished and fails for the rest.
func (im *importer) unreadable(path string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		im.skip(path, "it vanished meanwhile")
		return
	}
	im.fail(path, err)
}

func (im *importer) subdirectory(parent *os.Root, path string, depth int, out *imported) {
	// A Root follows a symlink that has taken the directory's place, though
	// never out of the parent: so compare.
	dir, err := parent.OpenRoot(out.Name)
	if err != nil {
		im.unreadable(path, err)
		return
	}
	defer closeQuietly(dir)
	if same, err := sameFile(parent, out.Name, func() (fs.FileInfo, error) { return dir.Stat(".") }); err != nil {
		im.unreadable(path, err)
	} else if !same {
		im.fail(path, errors.New("the directory was replaced meanwhile"))
	} else {
		im.directory(dir, path, depth, out)
	}
}

// sameFile reports whether name in dir, not followed, is what stat describes.
func sameFile(dir *os.Root, name string, stat func() (fs.FileInfo, error)) (bool, error) {
	opened, err := stat()
	if err != nil {
		return false, err
	}
	named, err := dir.Lstat(name)
	if err != nil {
		return false, err
	}
	return os.SameFile(opened, named), nil
}

func (im *importer) symlink(dir *os.Root, path string, out *imported) {
	target, err := dir.Readlink(out.Name)
	if err != nil {
		im.unreadable(path, err)
		return
	}
	out.Kind, out.Target, out.ok = KindSymlink, target, true
	im.report(func(p *Progress) { p.Files++ })
}

// file imports the regular file out.Name in dir.
func (im *importer) file(c *chunker, dir *os.Root, path string, out *imported) {
	if im.stopped() {
		return
	}
	// A pipe that has taken the file's place must not make this wait.
	f, err := dir.OpenFile(out.Name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		im.unreadable(path, err)
		return
	}
	defer closeQuietly(f)
	if same, err := sameFile(dir, out.Name, f.Stat); err != nil {
		im.unreadable(path, err)
	} else if !same {
		im.fail(path, errors.New("the file was replaced meanwhile"))
	} else {
		im.regular(c, f, path, out)
	}
}

// regular imports an open file.
func (im *importer) regular(c *chunker, f *os.File, path string, out *imported) {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("it is now %s", describe(info.Mode()))
	}
	if err != nil {
		im.fail(path, err)
		return
	}
	// No more than it had: a file that grows as fast as it is read, such as
	// one of the store's own, would never end. What says 0 may be one of
	// those that the kernel makes up as they are read.
	limit := info.Size()
	if limit == 0 {
		limit = maxWhole
	}
	l, height, err := c.put(im.w, io.LimitReader(f, limit), info.Size())
	if err != nil {
		im.fail(path, err)
		return
	}
	out.done(l, info, height, im.options.NoTimes)
	im.report(func(p *Progress) { p.Files++ })
}

// unixMode returns the twelve mode bits.
func unixMode(m fs.FileMode) uint32 {
	mode := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		mode |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		mode |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		mode |= 0o1000
	}
	return mode
}

// fileMode is the inverse of unixMode.
func fileMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	if mode&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	if mode&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if mode&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// describe says what a file of that mode is.
func describe(m fs.FileMode) string {
	switch {
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeDevice != 0:
		return "a device"
	case m&fs.ModeSymlink != 0:
		return "a symlink"
	case m.IsDir():
		return "a directory"
	}
	return "a special file"
}
