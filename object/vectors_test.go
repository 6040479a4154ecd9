package object_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc"

	"github.com/chumsync/chum/object"
)

var update = flag.Bool("update", false, "write ../spec/vectors/object.json anew")

const vectorsFile = "../spec/vectors/object.json"

// vectors are what every implementation must agree on; spec/objects.md says
// how to read them.
type vectors struct {
	Chunking  string           `json:"chunking"`
	Gear      []string         `json:"gear_hex"`
	Hashes    []hashVector     `json:"hashes"`
	Trees     []treeVector     `json:"trees"`
	Malformed []malformed      `json:"malformed"`
	Files     []fileVector     `json:"files"`
	Large     []largeDirectory `json:"large_directories"`
	Refs      []refVector      `json:"refs"`
	Names     []nameVector     `json:"ref_names"`
}

type hashVector struct {
	Bytes string      `json:"bytes_hex"`
	Hash  object.Hash `json:"hash"`
}

type treeVector struct {
	About string        `json:"about"`
	JSON  string        `json:"json"`
	Link  object.Link   `json:"link"`
	Links []object.Link `json:"links"`
}

type malformed struct {
	About string      `json:"about"`
	Kind  object.Kind `json:"kind"`
	JSON  string      `json:"json"`
}

type fileVector struct {
	About  string      `json:"about"`
	Stream string      `json:"stream"` // the seed, or "" for zeros
	Length int         `json:"length"`
	Chunks []int       `json:"chunk_lengths"`
	Link   object.Link `json:"link"`
	JSON   string      `json:"json,omitempty"` // the manifest
}

type largeDirectory struct {
	About   string      `json:"about"`
	Entries int         `json:"entries"`
	Link    object.Link `json:"link"`
	Nodes   []nodeInfo  `json:"nodes"`
}

type nodeInfo struct {
	Hash   object.Hash `json:"hash"`
	Length int         `json:"length"`
}

type refVector struct {
	Ref     object.Ref  `json:"ref"`
	Version object.Hash `json:"version"`
}

type nameVector struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
}

// stream returns the first n bytes of SHA-256(seed, 0), SHA-256(seed, 1), …,
// where the numbers are 8 bytes, big-endian; zeros for the seed "".
func stream(seed string, n int) []byte {
	out := make([]byte, 0, n+sha256.Size)
	if seed == "" {
		return out[:n]
	}
	for i := 0; len(out) < n; i++ {
		block := sha256.Sum256(fmt.Appendf(nil, "%s%s", seed, []byte{
			byte(i >> 56), byte(i >> 48), byte(i >> 40), byte(i >> 32), byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i),
		}))
		out = append(out, block[:]...)
	}
	return out[:n]
}

// makeVectors computes them all.
func makeVectors(t *testing.T) vectors {
	s := object.NewMemory()
	v := vectors{Chunking: object.Chunking}
	for _, g := range fastcdc.G {
		v.Gear = append(v.Gear, fmt.Sprintf("%016x", g))
	}
	for _, data := range []string{"", "abc", "hello, world\n", "\x00", "\xff\xfe"} {
		v.Hashes = append(v.Hashes, hashVector{hex.EncodeToString([]byte(data)), object.Sum([]byte(data))})
	}

	hello := object.Entry{
		Name: "hello.txt", Kind: object.KindBlob, Mode: 0o644, Hash: object.Sum([]byte("hello, world\n")), Size: 13,
		Time: time.Date(2026, 11, 22, 23, 16, 0, 123456789, time.UTC),
	}
	change := func(e object.Entry, f func(*object.Entry)) object.Entry { f(&e); return e }
	tree := func(about string, entries ...object.Entry) object.Entry {
		l := must[object.Link](t)(object.PutTree(t.Context(), s, entries))
		data := must[[]byte](t)(s.Get(t.Context(), l.Hash))
		v.Trees = append(v.Trees, treeVector{about, string(data), l, must[[]object.Link](t)(object.Links(l.Kind, data))})
		return object.Entry{Kind: l.Kind, Hash: l.Hash, Size: l.Size, Mode: 0o755, Time: hello.Time.Truncate(time.Second)}
	}
	tree("an empty directory")
	below := tree("one file", hello)
	tree("one of each kind, one without a time; in the byte order of the names", hello,
		change(below, func(e *object.Entry) { e.Name = "Directory" }),
		object.Entry{Name: "link", Kind: object.KindSymlink, Target: "../hello.txt"},
		change(hello, func(e *object.Entry) { e.Name, e.Kind, e.Size, e.Mode = "long", object.KindFile, 1<<40, 0o4755 }),
		change(hello, func(e *object.Entry) { e.Name, e.Time = "no time", time.Time{} }),
	)
	tree("a name and a target that are not UTF-8",
		change(hello, func(e *object.Entry) { e.Name = "caf\xe9" }),
		object.Entry{Name: "\xff", Kind: object.KindSymlink, Target: "/\xfe"})
	tree("names with characters that JSON escapes, and some that it does not",
		change(hello, func(e *object.Entry) { e.Name = "\b\t\n\f\r\"\\\x01\x1f\x7f" }),
		change(hello, func(e *object.Entry) { e.Name = "\u00e9\u2028\u65e5\U0001f600" }))

	for _, bad := range []malformed{
		{"a space", object.KindTree, `{"entries":[], "level":0,"type":"tree"}`},
		{"members out of order", object.KindTree, `{"type":"tree","entries":[],"level":0}`},
		{"a member too many", object.KindTree, `{"entries":[],"level":0,"more":0,"type":"tree"}`},
		{"entries out of order", object.KindTree, `{"entries":[{"kind":"symlink","name":"b","target":"x"},{"kind":"symlink","name":"a","target":"x"}],"level":0,"type":"tree"}`},
		{"a name twice", object.KindTree, `{"entries":[{"kind":"symlink","name":"a","target":"x"},{"kind":"symlink","name":"a","target":"y"}],"level":0,"type":"tree"}`},
		{"a name that is a path", object.KindTree, `{"entries":[{"kind":"symlink","name":"../a","target":"x"}],"level":0,"type":"tree"}`},
		{"the name ..", object.KindTree, `{"entries":[{"kind":"symlink","name":"..","target":"x"}],"level":0,"type":"tree"}`},
		{"an empty name", object.KindTree, `{"entries":[{"kind":"symlink","name":"","target":"x"}],"level":0,"type":"tree"}`},
		{"a NUL", object.KindTree, `{"entries":[{"kind":"symlink","name":"a\u0000","target":"x"}],"level":0,"type":"tree"}`},
		{"UTF-8 under rawname", object.KindTree, `{"entries":[{"kind":"symlink","rawname":"61","target":"x"}],"level":0,"type":"tree"}`},
		{"an escape that is not needed", object.KindTree, `{"entries":[{"kind":"symlink","name":"\u0061","target":"x"}],"level":0,"type":"tree"}`},
		{"a node of level 0 without entries", object.KindTree, `{"level":0,"nodes":[],"type":"tree"}`},
		{"a file without parts", object.KindFile, `{"level":0,"parts":[],"type":"file"}`},
		{"a part that is empty", object.KindFile, `{"level":0,"parts":[{"hash":"` + hello.Hash.String() + `","kind":"blob","size":0}],"type":"file"}`},
		{"a part of the wrong kind", object.KindFile, `{"level":1,"parts":[{"hash":"` + hello.Hash.String() + `","kind":"blob","size":1}],"type":"file"}`},
		{"a size past 2^53-1", object.KindFile, `{"level":1,"parts":[{"hash":"` + hello.Hash.String() + `","kind":"file","size":9007199254740992}],"type":"file"}`},
		{"a hash in upper case", object.KindFile, `{"level":0,"parts":[{"hash":"` + fmt.Sprintf("%X", hello.Hash[:]) + `","kind":"blob","size":1}],"type":"file"}`},
	} {
		_, err := object.Links(bad.Kind, []byte(bad.JSON))
		wantError(t, err, object.ErrMalformed, "")
		v.Malformed = append(v.Malformed, bad)
	}

	for _, f := range []fileVector{
		{About: "empty", Stream: "chum", Length: 0},
		{About: "one blob", Stream: "chum", Length: 1 << 20},
		{About: "the first length that is cut; here into one chunk or more", Stream: "chum", Length: 1<<20 + 1},
		{About: "many chunks", Stream: "chum", Length: 12 << 20},
		{About: "other content", Stream: "other", Length: 7<<20 + 12345},
		{About: "zeros are never cut before the largest chunk", Stream: "", Length: 9 << 20},
	} {
		data := stream(f.Stream, f.Length)
		f.Link = must[object.Link](t)(object.PutFile(t.Context(), s, bytes.NewReader(data)))
		for n, err := range object.Walk(t.Context(), s, f.Link, nil) {
			noError(t, err)
			if n.Kind != object.KindFile {
				continue
			}
			f.JSON = string(n.Data)
			for _, l := range must[[]object.Link](t)(object.Links(n.Kind, n.Data)) {
				f.Chunks = append(f.Chunks, int(l.Size))
			}
		}
		if f.Chunks == nil {
			f.Chunks = []int{f.Length}
		}
		v.Files = append(v.Files, f)
	}

	for _, n := range []int{1000, 30_000} {
		d := largeDirectory{About: `entry i, from 0, has the name "entry " and i in decimal, and is otherwise hello.txt of the trees above`, Entries: n}
		entries := make([]object.Entry, n)
		for i := range entries {
			entries[i] = change(hello, func(e *object.Entry) { e.Name = fmt.Sprint("entry ", i) })
		}
		d.Link = must[object.Link](t)(object.PutTree(t.Context(), s, entries))
		for node, err := range object.Walk(t.Context(), s, d.Link, func(l object.Link) bool { return l.Kind == object.KindBlob }) {
			noError(t, err)
			d.Nodes = append(d.Nodes, nodeInfo{node.Hash, len(node.Data)})
		}
		v.Large = append(v.Large, d)
	}

	first := object.Ref{Name: "home", Root: v.Trees[1].Link, Changed: hello.Time}
	second := first.Next(v.Trees[2].Link, hello.Time.Add(time.Second))
	other := first.Next(v.Trees[3].Link, hello.Time.Add(2*time.Second))
	odd := object.Ref{Name: "\u65e5\u672c \"x\"", Root: v.Files[3].Link, Changed: hello.Time.Truncate(time.Second)}
	for _, r := range []object.Ref{first, second, other, object.Merge(second, other, v.Trees[4].Link, hello.Time.Add(time.Hour)), odd} {
		v.Refs = append(v.Refs, refVector{r, r.Version()})
	}
	for _, name := range []string{
		"home", "a b", ".hidden", "\u65e5\u672c", "tree", "tree:", "blob:x", "file:", "treeline:x", "", ".", "..", "...", "-x", "a-x", "a/b", `a\b`, "a\nb", "\x7f", "\u0085",
		object.Sum(nil).String(), object.Sum(nil).String()[1:],
	} {
		v.Names = append(v.Names, nameVector{name, object.CheckName(name) == nil})
	}
	return v
}

// TestVectors compares what the package makes with what is written down. A
// difference means that hashes have changed, which they never may.
func TestVectors(t *testing.T) {
	computed := makeVectors(t)
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	noError(t, e.Encode(computed))
	if *update {
		noError(t, os.WriteFile(vectorsFile, out.Bytes(), 0o644))
	}
	written := must[[]byte](t)(os.ReadFile(vectorsFile))
	if !bytes.Equal(written, out.Bytes()) {
		t.Errorf("%s differs from what the package makes; if the format was not yet in use, run this test with -update", vectorsFile)
	}
	var read vectors
	noError(t, json.Unmarshal(written, &read))
	if len(read.Gear) != 256 || len(read.Hashes) < 5 || len(read.Trees) < 5 || len(read.Malformed) < 17 || len(read.Files) < 6 || len(read.Large) < 2 || len(read.Refs) < 5 || len(read.Names) < 20 {
		t.Error("vectors are missing")
	}
	for _, v := range read.Refs {
		if v.Ref.Version() != v.Version {
			t.Errorf("ref %+v has version %s, want %s", v.Ref, v.Ref.Version(), v.Version)
		}
	}
	for _, v := range read.Trees {
		if object.Sum([]byte(v.JSON)) != v.Link.Hash {
			t.Errorf("%s: the hash of its JSON is not %s", v.About, v.Link.Hash)
		}
	}
	if read.Large[0].Link.Hash == read.Large[1].Link.Hash || len(read.Large[1].Nodes) < 50 {
		t.Error("the large directories are not large")
	}
}
