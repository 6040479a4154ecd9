package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// The format file is one line, formatText and the version.
const (
	formatVersion = 1
	formatText    = "chum store "
	formatLimit   = 64 // bytes
)

// checkDir makes dir if it is not there, and refuses what cannot be, or
// should not become, a store: a file, a directory that others can write, one
// that holds something else.
func checkDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		if errors.Is(err, syscall.ENOTDIR) {
			return fmt.Errorf("local: %s, or a directory above it, is a file: choose another place for the store", dir)
		}
		return writable(dir, fmt.Errorf("local: make the store: %w", err))
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("local: %w", err)
	}
	if err := checkOwner(dir, info); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "format")); !errors.Is(err, fs.ErrNotExist) {
		return nil // a store, or readFormat says what is wrong
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("local: %w", err)
	}
	for _, e := range entries {
		switch e.Name() {
		case "lock", "holder", "format.new": // left by an Open that was cut short
		case "packs":
			return fmt.Errorf("local: %s has packs but its file format is missing: restore it (one line, %q), or choose another directory",
				dir, formatText+strconv.Itoa(formatVersion))
		default:
			return fmt.Errorf("local: %s is not empty and not a store (it has %q): choose another directory, or make a new one in it", dir, e.Name())
		}
	}
	return nil
}

// layOut writes what is missing of the directory's frame: the format file and
// the two directories. The format file comes first and whole, so that an Open
// cut short leaves something that the next one finishes.
func layOut(files fileSystem, dir string) error {
	switch err := readFormat(files, dir); {
	case errors.Is(err, fs.ErrNotExist):
		if err := writeFormat(files, dir); err != nil {
			return fmt.Errorf("local: make the store: %w", err)
		}
	case err != nil:
		return err
	}
	for _, name := range []string{"packs", "index"} {
		if err := files.Mkdir(filepath.Join(dir, name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("local: make the store: %w", err)
		}
	}
	// Always: the Open that made them may have been cut short before this.
	if err := files.SyncDir(dir); err != nil {
		return fmt.Errorf("local: make the store: %w", err)
	}
	return nil
}

// readFormat checks the version. A store of a newer program is not touched.
func readFormat(files fileSystem, dir string) error {
	name := filepath.Join(dir, "format")
	f, err := files.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("local: %w", err)
	}
	defer f.Close()
	b := make([]byte, formatLimit)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("local: %w", err)
	}
	text, known := strings.CutPrefix(strings.TrimSuffix(string(b[:n]), "\n"), formatText)
	version, err := strconv.Atoi(text)
	switch {
	case !known || err != nil || version < 1:
		return fmt.Errorf("local: %s is damaged (it begins %q): restore it (one line, %q)", name, b[:n], formatText+strconv.Itoa(formatVersion))
	case version > formatVersion:
		return fmt.Errorf("%w: %s has format %d, this program knows up to %d: update chum", ErrNewer, dir, version, formatVersion)
	}
	return nil
}

// writeFormat writes the format file: beside, durable, renamed.
func writeFormat(files fileSystem, dir string) error {
	fresh := filepath.Join(dir, "format.new")
	f, err := files.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(fmt.Appendf(nil, "%s%d\n", formatText, formatVersion), 0)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	// The names of the directories that checkDir made. Of those that were
	// there some may not be ours to open, or cannot be synced.
	for d := dir; d != filepath.Dir(d); {
		d = filepath.Dir(d)
		if err := files.SyncDir(d); err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EINVAL) {
			return err
		}
	}
	return files.Rename(fresh, filepath.Join(dir, "format"))
}

// writable adds what to do where err says that dir cannot be written.
func writable(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("%w (a store must be writable, even to be read: give yourself write access to %s or choose another place)", err, dir)
	}
	return err
}
