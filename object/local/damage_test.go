package local

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/chumsync/chum/object"
)

// A damage is done to a store whose packs have five objects each; want is
// what Open says, part of its text, or empty for no error.
func TestDamage(t *testing.T) {
	const size = 1000
	// Where the record of the n-th object of a pack begins.
	at := func(n int) int64 { return packHeaderSize + int64(n)*(recordHeaderSize+size) }
	end := at(5)
	for _, test := range []struct {
		name string
		do   func(t *testing.T, dir string, packs []string)
		want string
		lost []int // objects, of 15, that are ErrCorrupt
		gone []int // objects that are ErrNotFound: they are as if never acknowledged
		need bool  // the index is needed from then on
	}{
		{name: "last pack shorter than the index says", want: "00000003.pack has 5176 bytes and had 5276", do: func(t *testing.T, _ string, packs []string) {
			truncate(t, packs[2], end-100)
		}},
		{name: "full pack shorter than the index says", want: "00000002.pack has 5275 bytes and had 5276", do: func(t *testing.T, _ string, packs []string) {
			truncate(t, packs[1], end-1)
		}},
		{name: "full pack cut short, no index", want: "00000002.pack at offset 4228", do: func(t *testing.T, dir string, packs []string) {
			truncate(t, packs[1], end-1)
			removeIndex(t, dir)
		}},
		{name: "last pack cut short, no index: nothing tells it from a crash", gone: []int{14}, do: func(t *testing.T, dir string, packs []string) {
			truncate(t, packs[2], end-1)
			removeIndex(t, dir)
		}},
		{name: "pack missing", want: "00000002.pack is missing", do: func(t *testing.T, _ string, packs []string) {
			remove(t, packs[1])
		}},
		{name: "last pack missing", want: "00000003.pack is missing", do: func(t *testing.T, _ string, packs []string) {
			remove(t, packs[2])
		}},
		{name: "pack missing, no index", want: "00000002.pack is missing", do: func(t *testing.T, dir string, packs []string) {
			remove(t, packs[1])
			removeIndex(t, dir)
		}},
		{name: "packs changed places", want: "was renamed", do: func(t *testing.T, dir string, packs []string) {
			removeIndex(t, dir)
			for _, r := range [][2]string{{packs[0], packs[0] + "x"}, {packs[1], packs[0]}, {packs[0] + "x", packs[1]}} {
				if err := os.Rename(r[0], r[1]); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{name: "byte of a payload", lost: []int{6}, do: func(t *testing.T, _ string, packs []string) {
			flip(t, packs[1], at(1)+recordHeaderSize+500)
		}},
		{name: "byte of a payload, no index", lost: []int{6}, do: func(t *testing.T, dir string, packs []string) {
			flip(t, packs[1], at(1)+recordHeaderSize+500)
			removeIndex(t, dir)
		}},
		{name: "byte of a payload in the middle of the last pack, no index", lost: []int{12}, do: func(t *testing.T, dir string, packs []string) {
			flip(t, packs[2], at(2)+recordHeaderSize+500)
			removeIndex(t, dir)
		}},
		{name: "byte of the last payload, no index: nothing tells it from a crash", gone: []int{14}, do: func(t *testing.T, dir string, packs []string) {
			flip(t, packs[2], end-1)
			removeIndex(t, dir)
		}},
		{name: "byte of a header: the index does not need it", need: true, do: func(t *testing.T, _ string, packs []string) {
			flip(t, packs[1], at(1)+5)
		}},
		{name: "byte of a header, no index", want: "00000002.pack at offset 1084", do: func(t *testing.T, dir string, packs []string) {
			flip(t, packs[1], at(1)+5)
			removeIndex(t, dir)
		}},
		{name: "byte of a header in the middle of the last pack, no index", want: "00000003.pack at offset 1084", do: func(t *testing.T, dir string, packs []string) {
			flip(t, packs[2], at(1)+40)
			removeIndex(t, dir)
		}},
		{name: "byte of a pack's header", want: "header is damaged", do: func(t *testing.T, _ string, packs []string) {
			flip(t, packs[2], 20)
		}},
		{name: "garbage after the last record", do: func(t *testing.T, _ string, packs []string) {
			appendTo(t, packs[2], bytes.Repeat([]byte(recordMagic+"o"), 1000))
		}},
		{name: "half a record after the last", do: func(t *testing.T, _ string, packs []string) {
			b := readAll(t, packs[2])
			appendTo(t, packs[2], b[at(0):at(0)+600])
		}},
		{name: "zeros after the last record", do: func(t *testing.T, _ string, packs []string) {
			appendTo(t, packs[2], make([]byte, 3*windowSize))
		}},
		{name: "next pack begun and not finished", do: func(t *testing.T, _ string, packs []string) {
			next := filepath.Join(filepath.Dir(packs[2]), packName(4))
			if err := os.WriteFile(next, []byte("chumpa"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "other files beside the packs", do: func(t *testing.T, _ string, packs []string) {
			if err := os.WriteFile(packs[0]+".bak", []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "index removed", do: func(t *testing.T, dir string, _ []string) { removeIndex(t, dir) }},
		{name: "index damaged", want: "remove ", do: func(t *testing.T, dir string, _ []string) {
			names, err := filepath.Glob(filepath.Join(dir, "index", "MANIFEST-*"))
			if err != nil || len(names) == 0 {
				t.Fatal("the test finds no manifest:", err)
			}
			for _, name := range names {
				flip(t, name, 10)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			smallPacks(t, end)
			dir := storeDir(t)
			s := openIn(t, dir)
			var all [][]byte
			for i := range 15 {
				all = append(all, numbered(i, size))
				put(t, s, all[i])
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			packs := packFiles(t, dir)
			if len(packs) != 3 {
				t.Fatalf("%d packs, the test wants 3", len(packs))
			}
			before := packBytes(t, dir)
			test.do(t, dir, packs)
			after := packBytes(t, dir)

			s, err := Open(dir, quiet)
			if test.want != "" {
				if err == nil {
					s.Close()
					t.Fatalf("opened, want an error with %q", test.want)
				}
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %q, want one with %q", err, test.want)
				}
				if got := packBytes(t, dir); got != after {
					t.Errorf("the packs had %d bytes and have %d: a refused store must not be changed", after, got)
				}
				// It is not left locked.
				if l, err := lockDir(dir); err != nil {
					t.Error(err)
				} else if err := l.release(); err != nil {
					t.Error(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for i, data := range all {
				_, err := s.Get(background, object.Sum(data))
				var want error
				switch {
				case slices.Contains(test.lost, i):
					want = object.ErrCorrupt
				case slices.Contains(test.gone, i):
					want = object.ErrNotFound
				}
				if !errors.Is(err, want) {
					t.Errorf("object %d: error %v, want %v", i, err, want)
				}
			}
			// Whatever was wrong, all can be put again and is there then,
			// also for the next to open it.
			put(t, s, all...)
			if len(test.gone) == 0 && len(test.lost) == 0 && len(packFiles(t, dir)) == 3 {
				if got := packBytes(t, dir); got > max(before, after) {
					t.Errorf("%d bytes in packs, want %d: nothing was to be stored again", got, before)
				}
			}
			for round := range 3 {
				if got := s.Stats(); got.Objects != 15 || got.Bytes != 15*size || got.Damaged != 0 {
					t.Errorf("round %d: stats %+v, want 15 objects", round, got)
				}
				for _, data := range all {
					mustGet(t, s, data)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if round == 1 && !test.need {
					removeIndex(t, dir)
				}
				s = openIn(t, dir)
			}
		})
	}
}

// An object that is itself a pack, or looks like a record, in a torn tail.
func TestPackAsObject(t *testing.T) {
	dir := storeDir(t)
	s := openIn(t, dir)
	put(t, s, numbered(1, 5000))
	put(t, s, numbered(2, 5000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	name := packFiles(t, dir)[0]
	pack := readAll(t, name)
	s = openIn(t, dir)
	put(t, s, pack) // its bytes are now in the same pack
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole := readAll(t, name)
	truncate(t, name, int64(len(whole)-1)) // torn
	removeIndex(t, dir)
	s = openIn(t, dir)
	mustGet(t, s, numbered(2, 5000))
	if got := s.Stats(); got.Objects != 2 {
		t.Errorf("stats %+v, want 2 objects: the torn one is cut, what it imitates is not seen", got)
	}
	put(t, s, pack)
	mustGet(t, s, pack)
}

// A damaged ref must not come back as an older version.
func TestDamagedRef(t *testing.T) {
	dir := storeDir(t)
	s := openIn(t, dir)
	first := ref("r")
	setRef(t, s, first)
	setRef(t, s, first.Next(first.Root, first.Changed))
	put(t, s, []byte("something behind it"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	name := packFiles(t, dir)[0]
	flip(t, name, int64(bytes.LastIndex(readAll(t, name), []byte(`"name":"r"`))))
	removeIndex(t, dir)
	if s, err := Open(dir, quiet); !errors.Is(err, object.ErrCorrupt) {
		if err == nil {
			s.Close()
		}
		t.Errorf("error %v, want ErrCorrupt", err)
	}
}

func TestRefuse(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("about mode bits and owners")
	}
	for _, test := range []struct {
		name string
		make func(t *testing.T, dir string) string // returns the directory to open
		want string
	}{
		{"writable by all", func(t *testing.T, dir string) string {
			return chmod(t, mkdir(t, dir), 0o777)
		}, "chmod go-w"},
		{"writable by the group", func(t *testing.T, dir string) string {
			return chmod(t, mkdir(t, dir), 0o770)
		}, "chmod go-w"},
		{"a store writable by all", func(t *testing.T, dir string) string {
			openIn(t, dir).Close()
			return chmod(t, dir, 0o777)
		}, "chmod go-w"},
		{"somebody else's", func(t *testing.T, dir string) string {
			if os.Geteuid() != 0 {
				return "/"
			}
			if err := os.Chown(mkdir(t, dir), 65534, 65534); err != nil {
				t.Fatal(err)
			}
			return dir
		}, "belongs to user id"},
		{"a file", func(t *testing.T, dir string) string {
			return write(t, dir, "hello")
		}, "is a file"},
		{"below a file", func(t *testing.T, dir string) string {
			return filepath.Join(write(t, dir, "hello"), "store")
		}, "is a file"},
		{"something else in it", func(t *testing.T, dir string) string {
			write(t, filepath.Join(mkdir(t, dir), "letter.txt"), "dear")
			return dir
		}, `not a store (it has "letter.txt")`},
		{"packs without format", func(t *testing.T, dir string) string {
			openIn(t, dir).Close()
			remove(t, filepath.Join(dir, "format"))
			remove(t, filepath.Join(dir, "index"))
			return dir
		}, "format is missing"},
		{"damaged format", func(t *testing.T, dir string) string {
			openIn(t, dir).Close()
			write(t, filepath.Join(dir, "format"), "chum store x\n")
			return dir
		}, "is damaged"},
		{"newer format", func(t *testing.T, dir string) string {
			openIn(t, dir).Close()
			write(t, filepath.Join(dir, "format"), "chum store 2\n")
			return dir
		}, "update chum"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := test.make(t, storeDir(t))
			s, err := Open(dir, quiet)
			if err == nil {
				s.Close()
				t.Fatalf("opened, want an error with %q", test.want)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q, want one with %q", err, test.want)
			}
			if test.name == "newer format" && !errors.Is(err, ErrNewer) {
				t.Errorf("error %v, want ErrNewer", err)
			}
		})
	}
}

// What an Open that was cut short can leave is taken over.
func TestOpenCutShort(t *testing.T) {
	for _, left := range [][]string{{}, {"lock"}, {"lock", "holder"}, {"lock", "holder", "format.new"}} {
		dir := mkdir(t, storeDir(t))
		for _, name := range left {
			write(t, filepath.Join(dir, name), "1\n")
		}
		s := openIn(t, dir)
		put(t, s, []byte("x"))
		s.Close()
		remove(t, filepath.Join(dir, "index"))
		mustGet(t, openIn(t, dir), []byte("x"))
	}
}

func TestLocked(t *testing.T) {
	dir := storeDir(t)
	cmd, in, out := child(t, "hold", dir)
	if !out.Scan() || out.Text() != "open" {
		t.Fatalf("the child says %q", out.Text())
	}
	_, err := Open(dir, quiet)
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != cmd.Process.Pid || !strings.Contains(locked.Command, "-as-child") || locked.Dir != dir {
		t.Errorf("error %+v, want LockedError with process %d", err, cmd.Process.Pid)
	}
	if want := "wait for it or stop it"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}

	s := openIn(t, dir)
	if _, err := Open(dir, quiet); !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("second Open in one process: %v, want LockedError with process %d", err, os.Getpid())
	}
	// A holder that has not said who it is yet.
	remove(t, filepath.Join(dir, "holder"))
	if _, err := Open(dir, quiet); !errors.As(err, &locked) || locked.PID != 0 || !strings.Contains(err.Error(), "another process") {
		t.Errorf("error %v, want LockedError without a process", err)
	}
	put(t, s, []byte("x"))
}

func flip(t *testing.T, name string, offset int64) {
	t.Helper()
	b := readAll(t, name)
	if offset >= int64(len(b)) {
		t.Fatalf("offset %d in %s of %d bytes", offset, name, len(b))
	}
	b[offset] ^= 0x10
	write(t, name, string(b))
}

func truncate(t *testing.T, name string, size int64) {
	t.Helper()
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
}

func appendTo(t *testing.T, name string, b []byte) {
	t.Helper()
	write(t, name, string(append(readAll(t, name), b...)))
}

func readAll(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func mkdir(t *testing.T, dir string) string {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func chmod(t *testing.T, name string, mode fs.FileMode) string {
	t.Helper()
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	return name
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
}

func removeIndex(t *testing.T, dir string) { t.Helper(); remove(t, filepath.Join(dir, "index")) }
