package local

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"

	"github.com/chumsync/chum/object"
)

// scan reads the records of one pack in order.
type scan struct {
	pack   uint32
	seal   seal
	file   io.ReaderAt
	size   int64
	last   bool // of the store: the one pack whose end a crash can have torn
	window []byte
	start  int64 // offset of window in the pack
}

// windowSize is how much is read at once.
const windowSize = 256 << 10

// run calls visit for each whole record from offset on, to the end of the
// pack or, in the last pack, to where a crash has torn it.
//
// A record of the last pack is whole if its payload matches its hash. In an
// earlier pack, which was durable before the next was begun, objects are not
// read: Get checks them.
func (s *scan) run(offset int64, visit func(offset int64, r record, payload []byte) error) error {
	for offset < s.size {
		r, intact, err := s.record(offset)
		if err != nil {
			return err
		}
		var payload []byte
		if intact && (s.last || r.kind == kindRef) {
			if payload, err = s.read(offset+recordHeaderSize, int(r.size)); err != nil {
				return err
			}
			if object.Sum(payload) != r.hash {
				switch torn, err := s.tornAt(offset); {
				case err != nil:
					return err
				case torn:
					return nil
				case r.kind == kindRef:
					return s.damaged(offset)
				}
				// An object damaged in its place: Get will say so.
				payload = nil
			}
		}
		if !intact {
			switch torn, err := s.tornAt(offset); {
			case err != nil:
				return err
			case torn:
				return nil
			}
			return s.damaged(offset)
		}
		if err := visit(offset, r, payload); err != nil {
			return err
		}
		offset = r.end(offset)
	}
	return nil
}

// record reads the header at offset. It is intact if it is one, and the
// record it announces ends within the pack.
func (s *scan) record(offset int64) (record, bool, error) {
	b, err := s.read(offset, recordHeaderSize)
	if err != nil {
		return record{}, false, err
	}
	r, ok := s.seal.parse(b, offset)
	return r, ok && r.end(offset) <= s.size, nil
}

// tornAt reports whether what is wrong at offset can be from a crash. It
// cannot if the pack is not the last, or if a record stands behind it that
// was begun when offset was durable already.
func (s *scan) tornAt(offset int64) (bool, error) {
	if !s.last {
		return false, nil
	}
	for at := offset + 1; at < s.size; {
		b, err := s.read(at, windowSize)
		if err != nil {
			return false, err
		}
		i := bytes.Index(b, []byte(recordMagic))
		if i < 0 {
			// The magic may begin at the very end of what was read.
			at += int64(max(1, len(b)-len(recordMagic)+1))
			continue
		}
		at += int64(i)
		if b, err = s.read(at, recordHeaderSize); err != nil {
			return false, err
		}
		if r, ok := s.seal.parse(b, at); ok && int64(r.group) > offset {
			return false, nil
		}
		at++
	}
	return true, nil
}

// damaged returns the error for records that cannot be found any more.
func (s *scan) damaged(offset int64) error {
	return fmt.Errorf("%w: pack %s at offset %d: damaged where no crash can have torn it: restore the pack from a copy",
		object.ErrCorrupt, packName(s.pack), offset)
}

// read returns up to n bytes at offset, fewer only at the end of the pack.
// They are valid until the next read.
func (s *scan) read(offset int64, n int) ([]byte, error) {
	n = int(min(int64(n), s.size-offset))
	if offset < s.start || offset+int64(n) > s.start+int64(len(s.window)) {
		want := int(min(max(int64(n), windowSize), s.size-offset))
		if cap(s.window) < want {
			s.window = make([]byte, want)
		}
		s.window, s.start = s.window[:want], offset
		if got, err := s.file.ReadAt(s.window, offset); got < want {
			s.window = s.window[:0]
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("local: read pack %s: %w", packName(s.pack), err)
		}
	}
	return s.window[offset-s.start:][:n], nil
}

// decodeRef reads the payload of a ref record.
func decodeRef(payload []byte) (object.Ref, error) {
	var ref object.Ref
	if err := json.Unmarshal(payload, &ref); err != nil {
		return object.Ref{}, err
	}
	return ref, ref.Validate()
}
