package local

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/chumsync/chum/object"
)

// The layout of a pack; spec/store.md has it byte by byte. A pack is a header
// and then records back to back.
const (
	packVersion    = 1
	packHeaderSize = 36
	packMagic      = "chumpack"

	recordHeaderSize = 48
	recordMagic      = "\xc8\x9a\x1f" // not UTF-8, so that text does not look like a record

	maxRefRecord = 64 << 10 // a ref of the longest name and 64 past versions has about 6 KiB
)

// kind says what a record's payload is.
type kind byte

const (
	kindObject      kind = 'o' // an object
	kindReplacement kind = 'd' // an object once more, because the copy before it was damaged
	kindRef         kind = 'r' // a ref, as JSON; the last one of a name counts
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal is what a pack's record headers are checked with: the CRC-32C of the
// pack's salt, onto which offset and header are summed. The salt is random
// and never leaves the store, so that an object whose bytes imitate a record,
// or are a pack, is not taken for one.
type seal uint32

// record is the header of a record.
type record struct {
	kind kind
	size uint32 // of the payload
	// group is the offset in the pack of the first record of the group that
	// was committed together. All before it was durable before this record
	// was written; so damage there did not come from a crash.
	group uint32
	hash  object.Hash // of the payload
}

// end returns where a record at offset ends.
func (r record) end(offset int64) int64 { return offset + recordHeaderSize + int64(r.size) }

// newPackHeader returns the header of a new pack, with a salt of its own.
func newPackHeader(number uint32) ([]byte, seal) {
	b := make([]byte, packHeaderSize)
	copy(b, packMagic)
	binary.BigEndian.PutUint32(b[8:], packVersion)
	binary.BigEndian.PutUint32(b[12:], number)
	_, _ = rand.Read(b[16:32]) // never fails (crypto/rand)
	binary.BigEndian.PutUint32(b[32:], crc32.Checksum(b[:32], castagnoli))
	return b, seal(crc32.Checksum(b[16:32], castagnoli))
}

// parsePackHeader reads the header of the pack of that number.
func parsePackHeader(b []byte, number uint32) (seal, error) {
	if len(b) < packHeaderSize {
		return 0, fmt.Errorf("its header is cut off after %d of %d bytes", len(b), packHeaderSize)
	}
	if string(b[:8]) != packMagic || binary.BigEndian.Uint32(b[32:]) != crc32.Checksum(b[:32], castagnoli) {
		return 0, fmt.Errorf("its header is damaged")
	}
	if v := binary.BigEndian.Uint32(b[8:]); v != packVersion {
		return 0, fmt.Errorf("it has version %d, this program knows %d", v, packVersion)
	}
	if n := binary.BigEndian.Uint32(b[12:]); n != number {
		return 0, fmt.Errorf("its header says that it is pack %d: it was renamed", n)
	}
	return seal(crc32.Checksum(b[16:32], castagnoli)), nil
}

// put writes the header of record r at offset into b.
func (s seal) put(b []byte, offset int64, r record) {
	copy(b, recordMagic)
	b[3] = byte(r.kind)
	binary.BigEndian.PutUint32(b[4:], r.size)
	binary.BigEndian.PutUint32(b[8:], r.group)
	copy(b[12:44], r.hash[:])
	binary.BigEndian.PutUint32(b[44:], s.sum(b[:44], offset))
}

// parse reads the header of a record at offset. It reports whether there is
// one.
func (s seal) parse(b []byte, offset int64) (record, bool) {
	if len(b) < recordHeaderSize || !bytes.HasPrefix(b, []byte(recordMagic)) ||
		binary.BigEndian.Uint32(b[44:]) != s.sum(b[:44], offset) {
		return record{}, false
	}
	r := record{
		kind:  kind(b[3]),
		size:  binary.BigEndian.Uint32(b[4:]),
		group: binary.BigEndian.Uint32(b[8:]),
		hash:  object.Hash(b[12:44]),
	}
	limit := uint32(object.MaxSize)
	switch r.kind {
	case kindObject, kindReplacement:
	case kindRef:
		limit = maxRefRecord
	default:
		return record{}, false
	}
	return r, r.size <= limit && r.group >= packHeaderSize && int64(r.group) <= offset
}

// sum returns the checksum of a record header at offset.
func (s seal) sum(header []byte, offset int64) uint32 {
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(offset))
	return crc32.Update(crc32.Update(uint32(s), castagnoli, at[:]), castagnoli, header)
}

// packName returns the file name of a pack.
func packName(number uint32) string { return fmt.Sprintf("%08d.pack", number) }

// parsePackName returns the number of a pack's file name, or 0 for a file
// that is no pack.
func parsePackName(name string) uint32 {
	var n uint32
	if _, err := fmt.Sscanf(name, "%08d.pack", &n); err != nil || packName(n) != name {
		return 0
	}
	return n
}
