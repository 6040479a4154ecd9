package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

const (
	oddities = "oddities"
	longFile = "long.bin"
	longSize = 20 << 20 // bytes
)

// makeOddities makes a directory with what a source tree does not have.
func makeOddities(dir string) error {
	long := make([]byte, longSize)
	if _, err := rand.NewChaCha8([32]byte{}).Read(long); err != nil { // nothing in it repeats
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "empty directory"), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "private"), 0o700); err != nil {
		return err
	}
	files := []struct {
		name string
		mode fs.FileMode
		text []byte
	}{
		{longFile, 0o644, long},
		{"empty file", 0o644, nil},
		{"script.sh", 0o755, []byte("#!/bin/sh\necho hello\n")},
		{"read-only", 0o444, []byte("nobody may change this\n")},
		{"private/secret", 0o600, []byte("only for me\n")},
		{"line\nbreak and \"quotes\"", 0o644, []byte("a name may have almost anything\n")},
	}
	if runtime.GOOS == "linux" { // others insist on UTF-8
		files = append(files, struct {
			name string
			mode fs.FileMode
			text []byte
		}{"latin-1 caf\xe9", 0o644, []byte("a name that is not UTF-8\n")})
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path, f.text, f.mode); err != nil {
			return err
		}
		if err := os.Chmod(path, f.mode); err != nil { // whatever the umask
			return err
		}
	}
	old := time.Date(1999, 12, 31, 23, 59, 59, 123456789, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "read-only"), old, old); err != nil {
		return err
	}
	for name, target := range map[string]string{"link": "script.sh", "link to nothing": "no/such/file", "private/up": ".."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// alterLongFile inserts a line in the middle of the long file.
func alterLongFile(dir string) error {
	path := filepath.Join(dir, longFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, slices.Insert(b, len(b)/2, []byte("one more line\n")...), 0o644)
}

// comparison counts what was found equal.
type comparison struct {
	Files       int64 `json:"files"`
	Directories int64 `json:"directories"`
	Symlinks    int64 `json:"symlinks"`
	Bytes       int64 `json:"bytes"`
}

// compare compares two trees: what is in them, modes, times of modification, targets, and
// every byte. The first difference is an error.
func (c *comparison) compare(ctx context.Context, want, got string) error {
	a, err := os.ReadDir(want)
	if err != nil {
		return err
	}
	a = slices.DeleteFunc(a, func(e fs.DirEntry) bool { // put says that it skips them
		return !e.Type().IsRegular() && !e.IsDir() && e.Type() != fs.ModeSymlink
	})
	b, err := os.ReadDir(got)
	if err != nil {
		return err
	}
	if len(a) != len(b) {
		return fmt.Errorf("%s has %d entries, %s has %d", want, len(a), got, len(b))
	}
	c.Directories++
	for i := range a {
		if a[i].Name() != b[i].Name() {
			return fmt.Errorf("%s has %q where %s has %q", want, a[i].Name(), got, b[i].Name())
		}
		if err := c.entry(ctx, filepath.Join(want, a[i].Name()), filepath.Join(got, b[i].Name())); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (c *comparison) entry(ctx context.Context, want, got string) error {
	a, err := os.Lstat(want)
	if err != nil {
		return err
	}
	b, err := os.Lstat(got)
	if err != nil {
		return err
	}
	const special = fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky // not restored unless asked for
	if a.Mode()&^special != b.Mode() {
		return fmt.Errorf("%s has mode %v, %s has %v", want, a.Mode(), got, b.Mode())
	}
	if a.Mode()&fs.ModeSymlink != 0 {
		c.Symlinks++
		return sameTarget(want, got)
	}
	if !a.ModTime().Equal(b.ModTime()) {
		return fmt.Errorf("%s is of %v, %s of %v", want, a.ModTime(), got, b.ModTime())
	}
	if a.IsDir() {
		return c.compare(ctx, want, got)
	}
	c.Files++
	c.Bytes += a.Size()
	return sameBytes(want, got)
}

func sameTarget(want, got string) error {
	a, err := os.Readlink(want)
	if err != nil {
		return err
	}
	b, err := os.Readlink(got)
	if err == nil && a != b {
		err = fmt.Errorf("%s points to %s, %s to %s", want, a, got, b)
	}
	return err
}

func sameBytes(want, got string) error {
	a, err := os.Open(want)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(got)
	if err != nil {
		return err
	}
	defer b.Close()
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err1 := io.ReadFull(a, x)
		m, err2 := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return fmt.Errorf("%s and %s differ", want, got)
		}
		for _, err := range []error{err1, err2} {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return err
			}
		}
		if n < len(x) {
			return nil
		}
	}
}
