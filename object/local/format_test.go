package local

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/chumsync/chum/object"
)

// A pack is read here as spec/store.md describes it, with none of the
// package's own code, so that the two cannot part unseen.
func TestFormatIsAsSpecified(t *testing.T) {
	dir := storeDir(t)
	s := openIn(t, dir)
	first, second := []byte("first"), numbered(7, 900)
	put(t, s, first, second)
	setRef(t, s, ref("name"))
	put(t, s, nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, dir+"/format"); string(got) != "chum store 1\n" {
		t.Errorf("format %q", got)
	}
	pack := readAll(t, dir+"/packs/00000001.pack")
	table := crc32.MakeTable(crc32.Castagnoli)
	u32 := func(at int) uint32 { return binary.BigEndian.Uint32(pack[at:]) }
	if string(pack[:8]) != "chumpack" || u32(8) != 1 || u32(12) != 1 || u32(32) != crc32.Checksum(pack[:32], table) {
		t.Errorf("pack header %x", pack[:36])
	}
	salt := pack[16:32]

	type entry struct {
		kind    byte
		payload []byte
		group   int
	}
	var entries []entry
	var starts []int
	at := 36
	for at < len(pack) {
		starts = append(starts, at)
		length := int(u32(at + 4))
		payload := pack[at+48 : at+48+length]
		sum := slices.Concat(salt, binary.BigEndian.AppendUint64(nil, uint64(at)), pack[at:at+44])
		if !bytes.Equal(pack[at:at+3], []byte{0xc8, 0x9a, 0x1f}) || u32(at+44) != crc32.Checksum(sum, table) ||
			sha256.Sum256(payload) != [32]byte(pack[at+12:at+44]) {
			t.Fatalf("record at %d: %x", at, pack[at:at+48])
		}
		entries = append(entries, entry{pack[at+3], payload, int(u32(at + 8))})
		at += 48 + length
	}
	if at != len(pack) || len(entries) != 4 {
		t.Fatalf("%d records up to %d of %d bytes, want 4", len(entries), at, len(pack))
	}
	refBytes, err := json.Marshal(ref("name"))
	if err != nil {
		t.Fatal(err)
	}
	want := []entry{{'o', first, 36}, {'o', second, 36}, {'r', refBytes, starts[2]}, {'o', nil, starts[3]}}
	for i, e := range entries {
		if e.kind != want[i].kind || !bytes.Equal(e.payload, want[i].payload) || e.group != want[i].group {
			t.Errorf("record %d: %c group %d %q, want %c group %d %q", i, e.kind, e.group, e.payload, want[i].kind, want[i].group, want[i].payload)
		}
	}

	s = openIn(t, dir)
	index := func(key string) []byte {
		value, closer, err := s.index.db.Get([]byte(key))
		if err != nil {
			t.Fatalf("index key %q: %v", key, err)
		}
		defer closer.Close()
		return bytes.Clone(value)
	}
	hash := object.Sum(second)
	where := binary.BigEndian.AppendUint32(nil, 1)
	where = binary.BigEndian.AppendUint32(where, uint32(starts[1]))
	where = binary.BigEndian.AppendUint32(where, 900)
	if got := index("o" + string(hash[:])); !bytes.Equal(got, where) {
		t.Errorf("location %x, want %x", got, where)
	}
	if got := index("rname"); !bytes.Equal(got, refBytes) {
		t.Errorf("ref %q, want %q", got, refBytes)
	}
	var reached []byte
	for _, v := range []int{1, len(pack), 3, 905, 1} {
		reached = binary.BigEndian.AppendUint64(reached, uint64(v))
	}
	if got := index("m"); !bytes.Equal(got, reached) {
		t.Errorf("mark %x, want %x", got, reached)
	}
}
