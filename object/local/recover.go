package local

import (
	"fmt"
	"os"

	"github.com/chumsync/chum/object"
)

// recover brings index and packs together: it checks that the packs are all
// there, reads what the index lacks, and cuts off what a crash has torn. Then
// s.head and s.mark are where the next group goes.
func (s *Store) recover() error {
	now, err := s.index.mark()
	if err != nil {
		return err
	}
	sealed, err := s.index.sealedSizes()
	if err != nil {
		return err
	}
	last, err := s.lastPack(now, sealed)
	if err != nil {
		return err
	}
	// The last pack's name may be in memory only, if the crash came at once.
	if err := s.packs.files.SyncDir(s.packs.dir); err != nil {
		return fmt.Errorf("local: make the names of the packs durable: %w", err)
	}
	for number := max(1, now.pack); number <= last; number++ {
		if number > now.pack {
			now.pack, now.end = number, 0
		}
		if now, err = s.recoverPack(now, number == last); err != nil {
			return err
		}
	}
	s.mark = now
	return nil
}

// lastPack returns the number of the last pack. All packs up to it must be
// there, and be as long as the index has them.
func (s *Store) lastPack(now mark, sealed map[uint32]int64) (uint32, error) {
	names, err := s.packs.files.ReadDir(s.packs.dir)
	if err != nil {
		return 0, fmt.Errorf("local: %w", err)
	}
	there := make(map[uint32]bool)
	last := now.pack
	for _, name := range names {
		if number := parsePackName(name); number > 0 {
			there[number] = true
			last = max(last, number)
		}
	}
	for number := uint32(1); number <= last; number++ {
		if !there[number] {
			return 0, fmt.Errorf("%w: pack %s is missing from %s: restore it from a copy", object.ErrCorrupt, packName(number), s.packs.dir)
		}
		want := sealed[number]
		if number == now.pack {
			want = now.end
		}
		if want == 0 {
			continue // not in the index: recoverPack reads it
		}
		size, err := s.packSize(number)
		if err != nil {
			return 0, err
		}
		if size < want {
			return 0, fmt.Errorf("%w: pack %s has %d bytes and had %d: restore it from a copy", object.ErrCorrupt, packName(number), size, want)
		}
	}
	return last, nil
}

func (s *Store) packSize(number uint32) (int64, error) {
	f, err := s.packs.files.OpenFile(s.packs.path(number), os.O_RDONLY, 0)
	if err != nil {
		return 0, fmt.Errorf("local: %w", err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, fmt.Errorf("local: %w", err)
	}
	return size, nil
}

// recoverPack reads the pack of the mark from there on into the index. The
// last pack becomes the head.
func (s *Store) recoverPack(now mark, last bool) (_ mark, err error) {
	name := packName(now.pack)
	f, err := s.packs.files.OpenFile(s.packs.path(now.pack), os.O_RDWR, 0)
	if err != nil {
		return now, fmt.Errorf("local: %w", err)
	}
	defer func() {
		if !last || err != nil {
			f.Close()
		}
	}()
	size, err := f.Size()
	if err != nil {
		return now, fmt.Errorf("local: %w", err)
	}
	header := make([]byte, min(size, packHeaderSize))
	if _, err := f.ReadAt(header, 0); err != nil && size > 0 {
		return now, fmt.Errorf("local: read pack %s: %w", name, err)
	}
	sealOf, err := parsePackHeader(header, now.pack)
	if err != nil {
		if last && size <= packHeaderSize {
			// The crash was in createPack, before anything was in it.
			f.Close()
			return s.recreate(now)
		}
		return now, fmt.Errorf("%w: pack %s: %w: restore it from a copy", object.ErrCorrupt, name, err)
	}
	now.end = max(now.end, packHeaderSize)
	if size == now.end {
		return now, s.adopt(f, sealOf, now, last, size)
	}
	if last {
		// What is whole here may be so only in memory; it is about to be
		// called durable.
		if err := f.Sync(); err != nil {
			return now, fmt.Errorf("local: make pack %s durable: %w", name, err)
		}
	}
	read := &scan{pack: now.pack, seal: sealOf, file: f, size: size, last: last}
	if now, err = s.enterScanned(read, now); err != nil {
		return now, err
	}
	return now, s.adopt(f, sealOf, now, last, size)
}

// recreate makes the last pack anew whose making was cut short.
func (s *Store) recreate(now mark) (mark, error) {
	f, sealOf, _, err := s.createPack(now.pack)
	if err != nil {
		return now, fmt.Errorf("local: begin pack %s: %w", packName(now.pack), err)
	}
	now.end = packHeaderSize
	s.head, s.headSeal = f, sealOf
	return now, nil
}

// adopt ends the recovery of a pack: a full one is entered as such, the last
// one is cut behind its last whole record and becomes the head.
func (s *Store) adopt(f file, sealOf seal, now mark, last bool, size int64) error {
	if !last {
		u := s.index.newUpdate()
		u.sealed(now.pack, now.end)
		return s.index.apply(u, now)
	}
	if size > now.end {
		s.log.Warn("store was not closed: cut off what was half written",
			"dir", s.dir, "pack", packName(now.pack), "offset", now.end, "bytes", size-now.end)
		err := f.Truncate(now.end)
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			return fmt.Errorf("local: cut off the torn end of pack %s: %w", packName(now.pack), err)
		}
	}
	s.head, s.headSeal = f, sealOf
	return nil
}

// enterScanned enters the records that read finds behind the mark.
func (s *Store) enterScanned(read *scan, now mark) (mark, error) {
	const most = 4 << 10 // records in one update
	u, n := s.index.newUpdate(), 0
	isNew := make(map[string]bool) // names in u
	flush := func() error {
		err := s.index.apply(u, now)
		u, n = s.index.newUpdate(), 0
		clear(isNew)
		return err
	}
	err := read.run(now.end, func(offset int64, r record, payload []byte) error {
		switch r.kind {
		case kindRef:
			ref, err := decodeRef(payload)
			if err != nil {
				return fmt.Errorf("%w: pack %s at offset %d: ref: %w", object.ErrCorrupt, packName(now.pack), offset, err)
			}
			_, found, err := s.index.ref(ref.Name)
			if err != nil {
				return err
			}
			if !found && !isNew[ref.Name] {
				isNew[ref.Name] = true
				now.refs++
			}
			u.ref(ref.Name, payload)
		case kindObject:
			now.objects++
			now.bytes += int64(r.size)
			fallthrough
		case kindReplacement:
			u.object(r.hash, location{pack: now.pack, offset: uint32(offset), size: r.size})
		}
		now.end = r.end(offset)
		if n++; n < most {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	_ = u.batch.Close()
	return now, err
}
