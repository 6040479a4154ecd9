package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A comparison that finds nothing would prove nothing: each difference must be seen.
func TestCompareSeesEachDifference(t *testing.T) {
	build := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "d")
		if err := makeOddities(dir); err != nil {
			t.Fatal(err)
		}
		old := time.Unix(1e9, 5)
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Type()&fs.ModeSymlink == 0 {
				err = os.Chtimes(path, old, old)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	want := build(t)
	keepTime := func(path string, change func() error) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if err := change(); err != nil {
			return err
		}
		return os.Chtimes(path, info.ModTime(), info.ModTime())
	}
	for name, change := range map[string]func(dir string) error{
		"": func(string) error { return nil },
		"one byte": func(dir string) error {
			path := filepath.Join(dir, longFile)
			return keepTime(path, func() error {
				b, err := os.ReadFile(path)
				b[len(b)-1] ^= 1
				if err == nil {
					err = os.WriteFile(path, b, 0o644)
				}
				return err
			})
		},
		"one byte more": func(dir string) error {
			path := filepath.Join(dir, "empty file")
			return keepTime(path, func() error { return os.WriteFile(path, []byte("x"), 0o644) })
		},
		"a mode":       func(dir string) error { return os.Chmod(filepath.Join(dir, "script.sh"), 0o744) },
		"a dir's mode": func(dir string) error { return os.Chmod(filepath.Join(dir, "private"), 0o755) },
		"a time": func(dir string) error {
			return os.Chtimes(filepath.Join(dir, "read-only"), time.Unix(1e9, 4), time.Unix(1e9, 4))
		},
		"a target": func(dir string) error {
			path := filepath.Join(dir, "link")
			return keepTime(dir, func() error {
				if err := os.Remove(path); err != nil {
					return err
				}
				return os.Symlink("script.sj", path)
			})
		},
		"a file too few": func(dir string) error {
			return keepTime(dir, func() error { return os.Remove(filepath.Join(dir, "read-only")) })
		},
		"a dir too few":   func(dir string) error { return os.Remove(filepath.Join(dir, "empty directory")) },
		"a file too many": func(dir string) error { return os.WriteFile(filepath.Join(dir, "private", "x"), nil, 0o644) },
		"another name": func(dir string) error {
			return keepTime(dir, func() error { return os.Rename(filepath.Join(dir, "script.sh"), filepath.Join(dir, "script.si")) })
		},
	} {
		got := build(t)
		if err := change(got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var c comparison
		err := c.compare(t.Context(), want, got)
		if (err == nil) != (name == "") {
			t.Errorf("difference %q: %v", name, err)
		}
	}
}
