package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/chumsync/chum/object"
)

// index finds objects and refs. It is a cache of the packs: what it has lost
// by a crash is read from them again. That is why it has no write-ahead log,
// which would only write everything twice; see frozenFS for why a log would
// do harm, too.
type index struct {
	db     *pebble.DB
	frozen *frozenFS
}

// The first byte of a key says what it is.
const (
	keyMark   = 'm' // the mark
	keyObject = 'o' // and the hash: its location
	keySealed = 'p' // and a pack's number: the pack's final size
	keyRef    = 'r' // and the name: the ref as it is in the pack
)

// mark says how far into the packs the index reaches, and counts what is
// before. It is written with what it counts, in one batch.
type mark struct {
	pack    uint32 // 0: nothing yet
	end     int64  // in pack
	objects int64
	bytes   int64
	refs    int64
}

// location is the place of a record.
type location struct {
	pack   uint32
	offset uint32
	size   uint32 // of the payload
}

// openIndex opens or makes the index in dir.
func openIndex(dir string, under vfs.FS, log *slog.Logger) (*index, error) {
	frozen := freezable(under)
	options := &pebble.Options{
		FS:                          frozen,
		DisableWAL:                  true,
		CacheSize:                   32 << 20, // the memtables count in it
		MemTableSize:                8 << 20,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       8,
		L0StopWritesThreshold:       24,
		MaxOpenFiles:                256,
		FormatMajorVersion:          pebble.FormatNewest,
		Logger:                      quietLog{log, frozen},
		EventListener: &pebble.EventListener{
			BackgroundError: frozen.freeze,
			DataCorruption:  func(info pebble.DataCorruptionInfo) { frozen.freeze(info.Details) },
		},
	}
	for i := range options.Levels {
		l := &options.Levels[i]
		l.FilterPolicy = bloom.FilterPolicy(14) // 1 look-up of 1,000 reads a block in vain
		l.IndexBlockSize = 1 << 20              // one level of index blocks in a table
		// Keys are hashes: nothing to compress.
		l.Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
		// Small tables have small filters, so that one look-up does not load
		// a megabyte of them.
		options.TargetFileSizes[i] = 8 << 20
	}
	db, err := pebble.Open(dir, options)
	if err != nil {
		if first := frozen.failed(); first != nil {
			return nil, first
		}
		return nil, fmt.Errorf("local: open the index: %w (if it is damaged, remove %s: it is made anew from the packs)", err, dir)
	}
	frozen.running.Store(true)
	x := &index{db: db, frozen: frozen}
	if err := frozen.failed(); err != nil {
		return nil, errors.Join(err, x.close())
	}
	return x, nil
}

// close makes the index durable, if it can, and ends it.
func (x *index) close() error {
	if flushed, err := x.db.AsyncFlush(); err == nil {
		select {
		case <-flushed:
		case <-x.frozen.stopped:
		}
	}
	x.frozen.thaw()
	return x.db.Close()
}

// failed returns the first error of writing the index, or nil.
func (x *index) failed() error { return x.frozen.failed() }

// locate returns the place of h.
func (x *index) locate(h object.Hash) (location, bool, error) {
	value, closer, err := x.db.Get(objectKey(nil, h))
	if errors.Is(err, pebble.ErrNotFound) {
		return location{}, false, nil
	}
	if err != nil {
		return location{}, false, indexError(err)
	}
	defer closer.Close()
	l, err := parseLocation(value)
	return l, err == nil, err
}

// has tells for each of hs whether the index has it. It seeks in the order
// of the hashes, so that each block and filter is loaded once.
func (x *index) has(hs []object.Hash) (found []bool, err error) {
	found = make([]bool, len(hs))
	order := make([]int32, len(hs))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return bytes.Compare(hs[a][:], hs[b][:]) })
	// Most hashes asked for are absent, so the filters of the last level,
	// which Get leaves out, pay.
	it, err := x.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return nil, indexError(err)
	}
	key := make([]byte, 0, 1+object.HashSize)
	for _, i := range order {
		key = objectKey(key[:0], hs[i])
		found[i] = it.SeekPrefixGE(key)
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, indexError(err)
	}
	return found, nil
}

// ref returns the ref of that name.
func (x *index) ref(name string) (ref object.Ref, found bool, err error) {
	value, closer, err := x.db.Get(refKey(name))
	if errors.Is(err, pebble.ErrNotFound) {
		return object.Ref{}, false, nil
	}
	if err != nil {
		return object.Ref{}, false, indexError(err)
	}
	defer closer.Close()
	if ref, err = decodeRef(value); err != nil {
		return object.Ref{}, false, indexError(err)
	}
	return ref, true, nil
}

// refs returns up to n refs whose names come after the given one, in order.
func (x *index) refs(after string, n int) ([]object.Ref, error) {
	it, err := x.db.NewIter(&pebble.IterOptions{
		LowerBound: append(refKey(after), 0),
		UpperBound: []byte{keyRef + 1},
	})
	if err != nil {
		return nil, indexError(err)
	}
	var refs []object.Ref
	for ok := it.First(); ok && len(refs) < n; ok = it.Next() {
		ref, bad := decodeRef(it.Value())
		if bad != nil {
			err = bad
			break
		}
		refs = append(refs, ref)
	}
	if err := errors.Join(err, it.Error(), it.Close()); err != nil {
		return nil, indexError(err)
	}
	return refs, nil
}

// mark returns how far the index reaches; the zero mark if it is new.
func (x *index) mark() (mark, error) {
	value, closer, err := x.db.Get([]byte{keyMark})
	if errors.Is(err, pebble.ErrNotFound) {
		return mark{}, nil
	}
	if err != nil {
		return mark{}, indexError(err)
	}
	defer closer.Close()
	if len(value) != 40 {
		return mark{}, indexError(errors.New("its mark is malformed"))
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(value[8*i:])) }
	return mark{pack: uint32(at(0)), end: at(1), objects: at(2), bytes: at(3), refs: at(4)}, nil
}

// sealedSizes returns the final size of each pack that is full, as far as the
// index reaches.
func (x *index) sealedSizes() (map[uint32]int64, error) {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keySealed}, UpperBound: []byte{keySealed + 1}})
	if err != nil {
		return nil, indexError(err)
	}
	sizes := make(map[uint32]int64)
	for ok := it.First(); ok; ok = it.Next() {
		if len(it.Key()) == 5 && len(it.Value()) == 8 {
			sizes[binary.BigEndian.Uint32(it.Key()[1:])] = int64(binary.BigEndian.Uint64(it.Value()))
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, indexError(err)
	}
	return sizes, nil
}

// update is what one commit changes, all of it or nothing.
type update struct {
	batch *pebble.Batch
}

func (x *index) newUpdate() update { return update{x.db.NewBatch()} }

// object enters the place of h. Errors are apply's to report.
func (u update) object(h object.Hash, l location) {
	op := u.batch.SetDeferred(1+object.HashSize, 12)
	op.Key[0] = keyObject
	copy(op.Key[1:], h[:])
	binary.BigEndian.PutUint32(op.Value[0:], l.pack)
	binary.BigEndian.PutUint32(op.Value[4:], l.offset)
	binary.BigEndian.PutUint32(op.Value[8:], l.size)
	_ = op.Finish()
}

// ref enters a ref as its record has it.
func (u update) ref(name string, payload []byte) { _ = u.batch.Set(refKey(name), payload, nil) }

// sealed enters the final size of a pack.
func (u update) sealed(pack uint32, size int64) {
	key := binary.BigEndian.AppendUint32([]byte{keySealed}, pack)
	_ = u.batch.Set(key, binary.BigEndian.AppendUint64(nil, uint64(size)), nil)
}

// apply takes u into effect together with m, and ends u.
func (x *index) apply(u update, m mark) error {
	value := make([]byte, 0, 40)
	for _, v := range []int64{int64(m.pack), m.end, m.objects, m.bytes, m.refs} {
		value = binary.BigEndian.AppendUint64(value, uint64(v))
	}
	err := u.batch.Set([]byte{keyMark}, value, nil)
	if err == nil {
		err = x.db.Apply(u.batch, pebble.NoSync)
	}
	if err = errors.Join(err, u.batch.Close()); err != nil {
		return indexError(err)
	}
	return nil
}

// flush begins to make the index durable, so that Open has less to read
// again after a crash.
func (x *index) flush() {
	if x.failed() == nil {
		_, _ = x.db.AsyncFlush()
	}
}

func objectKey(b []byte, h object.Hash) []byte { return append(append(b, keyObject), h[:]...) }

func refKey(name string) []byte { return append([]byte{keyRef}, name...) }

func parseLocation(b []byte) (location, error) {
	if len(b) != 12 {
		return location{}, indexError(fmt.Errorf("a location has %d bytes, not 12", len(b)))
	}
	l := location{
		pack:   binary.BigEndian.Uint32(b[0:]),
		offset: binary.BigEndian.Uint32(b[4:]),
		size:   binary.BigEndian.Uint32(b[8:]),
	}
	if l.size > object.MaxSize {
		return location{}, indexError(fmt.Errorf("a location has size %d", l.size))
	}
	return l, nil
}

// indexError says what helps against any damage of the index.
func indexError(err error) error {
	return fmt.Errorf("local: index: %w (if this stays, close the store and remove its directory index: it is made anew from the packs)", err)
}
