package local

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/chumsync/chum/object"
)

// commitAll is the committer: one group after the other, until Close.
func (s *Store) commitAll() {
	defer close(s.done)
	for {
		select {
		case <-s.wake:
		case <-s.quit:
			for s.commitOpen() {
			}
			return
		}
		for s.commitOpen() {
		}
	}
}

// commitOpen commits the open group and reports whether it had anything.
func (s *Store) commitOpen() bool {
	s.mu.Lock()
	g := s.open
	if g.empty() {
		s.mu.Unlock()
		return false
	}
	s.open, s.committing = s.successor(), g
	close(g.taken)
	now, err := s.mark, s.broken
	s.mu.Unlock()

	var broken bool
	if err == nil {
		now, broken, err = s.write(g, now)
	}

	s.mu.Lock()
	s.committing = nil
	s.mark = now
	if err == nil {
		s.commits.Add(1)
		s.recent = append(s.recent, g)
		for _, r := range g.records {
			if r.kind == kindReplacement {
				delete(s.damaged, r.hash)
			}
		}
	} else if broken && s.broken == nil {
		s.broken = err
		s.log.Error("store takes nothing more", "dir", s.dir, "error", err)
	}
	s.spareBuf, s.spareRecords = g.buf[:0], g.records[:0]
	g.buf, g.records = nil, nil
	s.mu.Unlock()
	g.err = err
	close(g.done)
	return true
}

// successor returns an empty group, made of what earlier ones need no more.
// s.mu is held.
func (s *Store) successor() *group {
	g := newGroup()
	g.buf, g.records = s.spareBuf, s.spareRecords
	s.spareBuf, s.spareRecords = nil, nil
	if len(s.recent) > keptGroups {
		old := s.recent[0]
		s.recent = append(s.recent[:0], s.recent[1:]...)
		clear(old.members)
		g.members, old.members = old.members, nil
	}
	return g
}

// write makes g durable and enters it in the index. It returns the mark after
// it, also if it fails: a new pack may have been begun. If broken, nothing
// more may be written.
func (s *Store) write(g *group, now mark) (after mark, broken bool, err error) {
	if err := s.index.failed(); err != nil {
		return now, true, err
	}
	buf := g.buf
	var refs []*refChange
	if len(g.refs) > 0 {
		refs = s.settle(g.refs)
		for _, c := range refs {
			var header [recordHeaderSize]byte
			buf = append(append(buf, header[:]...), c.payload...)
		}
	}
	if len(buf) == 0 {
		return now, false, nil
	}
	if now.pack == 0 || now.end > packHeaderSize && now.end+int64(len(buf)) > packLimit {
		s.headFull = true
	}
	if s.headFull {
		if now, broken, err = s.roll(now); err != nil {
			return now, broken, err
		}
	}

	// Objects first, then refs: a ref never stands before what it points at.
	offset := now.end
	header := func(r record) location {
		r.group = uint32(now.end)
		s.headSeal.put(buf[offset-now.end:], offset, r)
		at := location{pack: now.pack, offset: uint32(offset), size: r.size}
		offset = r.end(offset)
		return at
	}
	after = now
	u := s.index.newUpdate()
	for _, r := range g.records {
		u.object(r.hash, header(r))
		if r.kind == kindObject {
			after.objects++
			after.bytes += int64(r.size)
		}
	}
	for _, c := range refs {
		header(record{kind: kindRef, size: uint32(len(c.payload)), hash: object.Sum(c.payload)})
		u.ref(c.ref.Name, c.payload)
		if c.isNew {
			after.refs++
		}
	}
	after.end = offset

	if broken, err := s.append(buf, now); err != nil {
		_ = u.batch.Close()
		return now, broken, err
	}
	g.buf = buf // perhaps grown: kept for the next
	// From here on it is durable. If the index does not take it, the next
	// Open finds it in the pack.
	if err := s.index.apply(u, after); err != nil {
		return now, true, err
	}
	return after, false, nil
}

// append writes buf at the end of the head and makes it durable, or leaves
// the head as it was. If that cannot be done either, the store is broken.
func (s *Store) append(buf []byte, now mark) (broken bool, err error) {
	name := packName(now.pack)
	if _, err := s.head.WriteAt(buf, now.end); err != nil {
		err = fmt.Errorf("local: write pack %s: %w", name, err)
		if cut := s.head.Truncate(now.end); cut != nil {
			return true, fmt.Errorf("%w; and its end cannot be cut off again: %w", err, cut)
		}
		return false, err
	}
	if err := s.head.Sync(); err != nil {
		// What the kernel could not write it may have dropped, and a second
		// try would succeed on nothing. The file is cut so that a later Open
		// does not take for durable what is only in memory.
		_ = s.head.Truncate(now.end)
		return true, fmt.Errorf("local: make pack %s durable: %w (the store takes nothing more: check the disk, then open the store again)", name, err)
	}
	return false, nil
}

// roll begins the next pack. It returns the mark at its beginning. If it
// fails, the next group tries again and nothing is added to the head: the
// file of the next pack may be there, and that says that the head is complete.
func (s *Store) roll(now mark) (_ mark, broken bool, err error) {
	next := now
	next.pack, next.end = now.pack+1, packHeaderSize
	f, sealOf, broken, err := s.createPack(next.pack)
	if err != nil {
		return now, broken, fmt.Errorf("local: begin pack %s: %w", packName(next.pack), err)
	}
	u := s.index.newUpdate()
	if s.head != nil {
		s.head.Close() // all of it is durable
		u.sealed(now.pack, now.end)
	}
	s.head, s.headSeal, s.headFull = f, sealOf, false
	if err := s.index.apply(u, next); err != nil {
		return next, true, err
	}
	s.index.flush()
	return next, false, nil
}

// createPack makes an empty pack, durable with its name. It takes over what
// an attempt that failed has left; anything longer is not touched.
func (s *Store) createPack(number uint32) (_ file, _ seal, broken bool, err error) {
	f, err := s.packs.files.OpenFile(s.packs.path(number), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, false, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	size, err := f.Size()
	if err != nil {
		return nil, 0, false, err
	}
	if size > packHeaderSize {
		return nil, 0, true, fmt.Errorf("%w: it has %d bytes already", fs.ErrExist, size)
	}
	header, sealOf := newPackHeader(number)
	if _, err := f.WriteAt(header, 0); err != nil {
		return nil, 0, false, err
	}
	if err := f.Sync(); err != nil {
		return nil, 0, true, err
	}
	if err := s.packs.files.SyncDir(s.packs.dir); err != nil {
		return nil, 0, true, err
	}
	return f, sealOf, false, nil
}
