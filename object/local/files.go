package local

import (
	"io"
	"io/fs"
	"os"
)

// fileSystem is the part of the operating system that the packs and the
// format file go through, so that tests can make any of it fail or lose
// power. The index has vfs.FS for the same end.
type fileSystem interface {
	OpenFile(name string, flag int, perm fs.FileMode) (file, error)
	ReadDir(name string) ([]string, error) // the names in it, sorted
	Mkdir(name string, perm fs.FileMode) error
	Rename(from, to string) error
	SyncDir(name string) error // makes new and renamed entries durable
}

// file is an open file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error // makes contents and length durable
}

// osFiles is the operating system's own.
type osFiles struct{}

type osFile struct{ *os.File }

func (osFiles) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFiles) ReadDir(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

func (osFiles) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }

func (osFiles) Rename(from, to string) error { return os.Rename(from, to) }

func (osFiles) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return syncDir(d)
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) Sync() error { return syncData(f.File) }
