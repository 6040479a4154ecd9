package object

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// canonicalJSON checks that data is what another implementation of RFC 8785
// makes of it.
func canonicalJSON(t *testing.T, data []byte) {
	t.Helper()
	v := jsontext.Value(bytes.Clone(data))
	if err := v.Canonicalize(); err != nil {
		t.Fatalf("%s is not JSON: %v", data, err)
	}
	if !bytes.Equal(v, data) {
		t.Fatalf("not canonical:\n%s\nwant\n%s", data, v)
	}
}

var (
	oneHash = strings.Repeat("0", 63) + "1"
	hashTwo = strings.Repeat("0", 63) + "2"
	moment  = "2026-11-22T23:16:00.123456789Z"
)

// entryJSON and the like are the smallest sound things to build nodes from.
func entryJSON(name string) string {
	return `{"hash":"` + oneHash + `","kind":"blob","mode":420,"mtime":"` + moment + `","name":"` + name + `","size":3}`
}

func treeJSON(entries ...string) string {
	return `{"entries":[` + strings.Join(entries, ",") + `],"level":0,"type":"tree"}`
}

func nodesJSON(level int, names ...string) string {
	for i, name := range names {
		names[i] = `{"hash":"` + oneHash + `","name":"` + name + `","size":5}`
	}
	return fmt.Sprintf(`{"level":%d,"nodes":[%s],"type":"tree"}`, level, strings.Join(names, ","))
}

func partJSON(kind string, size int64) string {
	return fmt.Sprintf(`{"hash":"%s","kind":"%s","size":%d}`, oneHash, kind, size)
}

func fileJSON(level int, parts ...string) string {
	return fmt.Sprintf(`{"level":%d,"parts":[%s],"type":"file"}`, level, strings.Join(parts, ","))
}

const linkEntry = `{"kind":"symlink","name":"s","target":"t"}`

// sound are nodes that decode.
var sound = []struct {
	kind  Kind
	json  string
	links int
	size  int64
}{
	{KindTree, treeJSON(), 0, 0},
	{KindTree, treeJSON(entryJSON("a")), 1, 3},
	{KindTree, treeJSON(entryJSON("a"), entryJSON("b"), linkEntry), 2, 6},
	{KindTree, treeJSON(strings.Replace(entryJSON("a"), `"mtime":"`+moment+`",`, "", 1)), 1, 3},
	{KindTree, treeJSON(strings.Replace(entryJSON("a"), `"name":"a"`, `"rawname":"ff01fe"`, 1)), 1, 3},
	{KindTree, treeJSON(`{"kind":"symlink","rawname":"ff","rawtarget":"2fff"}`), 0, 0},
	{KindTree, treeJSON(entryJSON(`\b\t\n\f\r\"\\\u0001\u001f` + "\x7f\u2028\U0001f600\ufffd")), 1, 3},
	{KindTree, treeJSON(entryJSON(strings.Repeat("n", MaxEntryName))), 1, 3},
	{KindTree, treeJSON(entryJSON(strings.Repeat(`\u0001`, MaxEntryName))), 1, 3},
	{KindTree, treeJSON(`{"kind":"symlink","name":"s","target":"` + strings.Repeat("t", MaxTarget) + `"}`), 0, 0},
	{KindTree, treeJSON(strings.Replace(entryJSON("a"), `"blob"`, `"tree"`, 1), strings.Replace(entryJSON("b"), `"blob"`, `"file"`, 1)), 2, 6},
	{KindTree, treeJSON(strings.Replace(entryJSON("a"), `420`, `4095`, 1)), 1, 3},
	{KindTree, treeJSON(`{"hash":"` + oneHash + `","kind":"file","mode":0,"name":"a","size":9007199254740991}`), 1, MaxLength},
	{KindTree, nodesJSON(1, "a"), 1, 5},
	{KindTree, nodesJSON(7, "a", "b", "c"), 3, 15},
	{KindFile, fileJSON(0, partJSON("blob", 1)), 1, 1},
	{KindFile, fileJSON(0, partJSON("blob", MaxSize), partJSON("blob", 7)), 2, MaxSize + 7},
	{KindFile, fileJSON(7, partJSON("file", 1<<40), partJSON("file", 1)), 2, 1<<40 + 1},
}

func TestSoundNodes(t *testing.T) {
	for _, test := range sound {
		canonicalJSON(t, []byte(test.json))
		n, err := decodeNode(test.kind, []byte(test.json))
		if err != nil {
			t.Errorf("%.200s: %v", test.json, err)
			continue
		}
		if got := n.encode(); string(got) != test.json {
			t.Errorf("decoded\n%s\nencoded\n%s", test.json, got)
		}
		links, err := Links(test.kind, []byte(test.json))
		if err != nil || len(links) != test.links || n.size() != test.size {
			t.Errorf("%.200s: links %v, size %d, error %v; want %d and %d", test.json, links, n.size(), err, test.links, test.size)
		}
		for _, l := range links {
			if err := l.Validate(); err != nil {
				t.Errorf("%.200s: %v", test.json, err)
			}
		}
	}
}

func TestMalformedNodes(t *testing.T) {
	entry := entryJSON("a")
	change := func(from, to string) string { return treeJSON(strings.Replace(entry, from, to, 1)) }
	part := partJSON("blob", 1)
	bad := map[Kind][]string{
		KindTree: {
			"", "{", "null", "[]", `"tree"`, "{}", "\x00", "\xff",
			" " + treeJSON(), treeJSON() + " ", treeJSON() + "\n", treeJSON() + treeJSON(), treeJSON()[1:],
			`{"entries": [],"level":0,"type":"tree"}`,
			`{"type":"tree","level":0,"entries":[]}`,
			`{"entries":[],"level":0,"type":"file"}`,
			`{"entries":[],"level":1,"type":"tree"}`,
			`{"entries":[],"level":0,"more":1,"type":"tree"}`,
			`{"entries":[],"entries":[],"level":0,"type":"tree"}`,
			`{"entries":null,"level":0,"type":"tree"}`,
			`{"entries":[`, `{"entries":[{`, `{"entries":[,`, treeJSON("" + ","), treeJSON(entry, ""), treeJSON("", entry),
			treeJSON(entry, entry), treeJSON(entryJSON("b"), entry), // twice, out of order
			treeJSON(entryJSON("s"), linkEntry),
			change(`"a"`, `""`), change(`"a"`, `"."`), change(`"a"`, `".."`), change(`"a"`, `"a/b"`), change(`"a"`, `"/"`),
			change(`"a"`, `"a\u0000"`), change(`"a"`, `"`+strings.Repeat("n", MaxEntryName+1)+`"`),
			change(`"a"`, `"`+strings.Repeat(`\t`, MaxEntryName+1)+`"`),
			change(`"a"`, `"\u0061"`), change(`"a"`, `"\u001F"`), change(`"a"`, `"\u000a"`), change(`"a"`, `"\u0009"`), change(`"a"`, `"\/"`),
			change(`"a"`, `"\u2028"`), change(`"a"`, `"\ud83d\ude00"`), change(`"a"`, `"\ud800"`), change(`"a"`, `"\x"`), change(`"a"`, `"\u00zz"`), change(`"a"`, `"\`),
			change(`"a"`, "\"\xff\""), change(`"a"`, "\"\xed\xa0\x80\""), change(`"a"`, "\"\n\""), change(`"a"`, `"a`), change(`"a"`, `1`),
			change(`"name":"a"`, `"rawname":"61"`), change(`"name":"a"`, `"rawname":"FF"`), change(`"name":"a"`, `"rawname":"f"`), change(`"name":"a"`, `"rawname":"fff"`),
			change(`"name":"a"`, `"rawname":""`), change(`"name":"a"`, `"rawname":"ff2f"`), change(`"name":"a"`, `"rawname":"ff`), change(`"name":"a"`, `"name":"a","rawname":"ff"`),
			change(`"name":"a"`, `"rawname":"`+strings.Repeat("ff", MaxEntryName+1)+`"`), change(`"name":"a",`, ``),
			change(`420`, `4096`), change(`420`, `-1`), change(`420`, `0420`), change(`420`, `420.0`), change(`420`, `4.2e2`), change(`420`, `"420"`), change(`420`, ``),
			change(`"size":3`, `"size":-1`), change(`"size":3`, `"size":03`), change(`"size":3`, `"size":4194305`), change(`"size":3`, `"size":3.0`), change(`"size":3`, `"size":00`),
			change(`"size":3`, `"size":9007199254740992`), change(`"size":3`, `"size":99999999999999999999999999999999999`), change(`,"size":3`, ``),
			change(oneHash, strings.Repeat("0", 64)), change(oneHash, strings.Repeat("F", 64)), change(oneHash, oneHash[1:]), change(oneHash, "0"+oneHash), change(oneHash, "zz"+oneHash[2:]),
			change(`"blob"`, `"symlink"`), change(`"blob"`, `"Blob"`), change(`"blob"`, `"blobs"`), change(`"blob"`, `"device"`), change(`"blob"`, `""`),
			change(moment, "2026-11-22T23:16:00Z"), change(moment, "2026-11-22T23:16:00.12345678Z"), change(moment, "2026-11-22T23:16:00.1234567890Z"),
			change(moment, "2026-11-22T23:16:00.123456789+00:00"), change(moment, "2026-13-22T23:16:00.123456789Z"), change(moment, "2026-02-30T23:16:00.123456789Z"),
			change(moment, "0000-11-22T23:16:00.123456789Z"), change(moment, "0001-01-01T00:00:00.000000000Z"), change(moment, "2026-11-22T23:59:60.000000000Z"), change(moment, "2026-11-22t23:16:00.123456789z"),
			change(moment, "2026-11-22T23:16:00,123456789Z"), change(`"mtime":"`+moment+`"`, `"mtime":0`), change(moment, ""),
			treeJSON(strings.Replace(linkEntry, `"t"`, `""`, 1)), treeJSON(strings.Replace(linkEntry, `"t"`, `"\u0000"`, 1)), treeJSON(strings.Replace(linkEntry, `,"target":"t"`, ``, 1)),
			treeJSON(strings.Replace(linkEntry, `"t"`, `"`+strings.Repeat("t", MaxTarget+1)+`"`, 1)), treeJSON(`{"kind":"symlink","mode":511,"name":"s","target":"t"}`),
			treeJSON(strings.Replace(entry, `"blob","mode":420,"mtime":"`+moment+`","name":"a","size":3`, `"file","mode":0,"name":"a","size":9007199254740991`, 1), entryJSON("b")),
			nodesJSON(0, "a"), nodesJSON(1), nodesJSON(8, "a"), nodesJSON(10, "a"), nodesJSON(1, "a", "a"), nodesJSON(1, "b", "a"), nodesJSON(1, ""), nodesJSON(1, ".."), nodesJSON(1, "a/b"),
			strings.Replace(nodesJSON(1, "a"), `"level":1`, `"level":01`, 1), strings.Replace(nodesJSON(1, "a"), `"level":1`, `"level":-1`, 1), strings.Replace(nodesJSON(1, "a"), `"size":5`, `"size":`, 1),
			strings.Replace(nodesJSON(1, "a", "b"), `"size":5`, `"size":9007199254740991`, 1),
			fileJSON(0, part), strings.Repeat("[", 100_000), strings.Repeat(`{"entries":[`, 100_000),
		},
		KindFile: {
			"", "{}", "null", treeJSON(), fileJSON(0), fileJSON(1), fileJSON(8, partJSON("file", 1)), fileJSON(0, part) + " ",
			fileJSON(0, partJSON("blob", 0)), fileJSON(0, partJSON("blob", MaxSize+1)), fileJSON(0, partJSON("file", 1)), fileJSON(1, part), fileJSON(0, partJSON("tree", 1)),
			fileJSON(0, part, ""), fileJSON(0, "", part), fileJSON(1, partJSON("file", MaxLength), partJSON("file", 1)), fileJSON(1, partJSON("file", 0)),
			strings.Replace(fileJSON(0, part), `"type":"file"`, `"type":"tree"`, 1), strings.Replace(fileJSON(0, part), `"parts"`, `"nodes"`, 1),
			strings.Replace(fileJSON(0, part), `"level":0,`, ``, 1), strings.Replace(fileJSON(0, part), oneHash, hashTwo[:10], 1), `{"level":`, `{"level":0,"parts":[{"hash":"`,
			`{"level":0,"parts":[{"hash":"` + oneHash, `{"level":99999999999999999999,"parts":[` + part + `],"type":"file"}`,
		},
	}
	for kind, nodes := range bad {
		for _, json := range nodes {
			links, err := Links(kind, []byte(json))
			if !errors.Is(err, ErrMalformed) || links != nil {
				t.Errorf("%s %.300s: links %v, error %v, want ErrMalformed", kind, json, links, err)
			}
		}
	}
	// Every beginning of a sound node is not one.
	for _, test := range sound {
		for i := range min(len(test.json), 600) {
			if _, err := Links(test.kind, []byte(test.json[:i])); !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s: error %v, want ErrMalformed", test.json[:i], err)
			}
		}
	}
}

func TestLinksOfOtherKinds(t *testing.T) {
	if links, err := Links(KindBlob, make([]byte, MaxSize)); err != nil || links != nil {
		t.Errorf("links of a blob: %v, %v", links, err)
	}
	for _, kind := range []Kind{KindBlob, KindFile, KindTree} {
		if _, err := Links(kind, make([]byte, MaxSize+1)); !errors.Is(err, ErrTooBig) {
			t.Errorf("links of a %s that is too big: %v", kind, err)
		}
	}
	for _, kind := range []Kind{"", "symlink", "Tree"} {
		if _, err := Links(kind, nil); err == nil || !strings.Contains(err.Error(), "unknown kind") {
			t.Errorf("links of kind %q: %v", kind, err)
		}
	}
}

func TestStringsAreCanonical(t *testing.T) {
	for r := range rune(0x3000) {
		s := "a" + string(r) + "b"
		b := appendString(nil, s)
		canonicalJSON(t, b)
		if got := (&scanner{data: b}).text(100); got != s {
			t.Fatalf("%q reads as %q", s, got)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, test := range []struct {
		time time.Time
		fits bool
	}{
		{time.Time{}, false},
		{time.Time{}.Add(1), true},
		{time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), true},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600)), false},
		{time.Date(10000, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)), true},
		{time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{time.Unix(0, 0), true},
		{time.Unix(-1, 5), true},
	} {
		if timeFits(test.time) != test.fits {
			t.Errorf("timeFits(%v) = %v", test.time, !test.fits)
		}
		if !test.fits {
			continue
		}
		b := appendTime(nil, test.time)
		s := &scanner{data: b}
		if got := s.time(); s.end() != nil || !got.Equal(test.time) {
			t.Errorf("%v reads as %v, %v", test.time, got, s.err)
		}
	}
}

// seeds gives a fuzz target what is sound and what is nearly.
func seeds(add func(kind bool, data []byte)) {
	for _, test := range sound {
		add(test.kind == KindFile, []byte(test.json))
		add(test.kind == KindFile, []byte(test.json[:len(test.json)/2]))
	}
}

func FuzzLinks(f *testing.F) {
	seeds(func(file bool, data []byte) { f.Add(file, data) })
	f.Fuzz(func(t *testing.T, file bool, data []byte) {
		kind := KindTree
		if file {
			kind = KindFile
		}
		links, err := Links(kind, data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooBig) {
				t.Fatalf("error %v", err)
			}
			return
		}
		canonicalJSON(t, data)
		n, err := decodeNode(kind, data)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.encode(); !bytes.Equal(got, data) {
			t.Fatalf("decoded\n%s\nencoded\n%s", data, got)
		}
		for _, l := range links {
			if err := l.Validate(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzTree builds a directory of one entry and checks that it reads back, if
// the entry is sound, and cannot be written otherwise.
func FuzzTree(f *testing.F) {
	f.Add("name", "", uint32(0o644), int64(3), int64(1_600_000_000), int64(5))
	f.Add("\xff/", "", uint32(0o7777), int64(MaxLength), int64(-1), int64(0))
	f.Add("s", "target\xff", uint32(0), int64(0), int64(0), int64(0))
	f.Add("..", "\x00", uint32(1<<12), int64(-1), int64(1<<60), int64(-1))
	f.Fuzz(func(t *testing.T, name, target string, mode uint32, size, seconds, nanos int64) {
		e := Entry{Name: name, Kind: KindFile, Mode: mode, Hash: Sum(nil), Size: size, Time: time.Unix(seconds, nanos).UTC()}
		if target != "" {
			e = Entry{Name: name, Kind: KindSymlink, Target: target}
		}
		s := NewMemory()
		l, err := PutTree(t.Context(), s, []Entry{e})
		if invalid := e.Validate(); (err == nil) != (invalid == nil) {
			t.Fatalf("Validate %v, PutTree %v", invalid, err)
		}
		if err != nil {
			return
		}
		data, err := s.Get(t.Context(), l.Hash)
		if err != nil {
			t.Fatal(err)
		}
		canonicalJSON(t, data)
		if !utf8.ValidString(name) && !bytes.Contains(data, []byte(`"rawname":"`)) {
			t.Fatalf("%q is not escaped: %s", name, data)
		}
		var got []Entry
		for e, err := range ReadTree(t.Context(), s, l) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e)
		}
		if !slices.Equal(got, []Entry{e}) {
			t.Fatalf("%+v reads back as %+v", e, got)
		}
	})
}
