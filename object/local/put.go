package local

import (
	"context"
	"fmt"

	"github.com/chumsync/chum/object"
)

// A group takes records until it has groupBytes or groupRecords; it may pass
// the former by one object. More makes fdatasync cheaper for each object, and
// costs memory: two groups are in memory at a time.
const (
	groupBytes   = 8 << 20
	groupRecords = 16 << 10
)

// A Put works in portions, so that hashing and looking up one goes on while
// another is being written.
const (
	portionBytes   = 2 << 20
	portionObjects = 2 << 10
)

// keptGroups is how many groups are remembered after they are in the index.
const keptGroups = 4

// group is what is committed together.
type group struct {
	buf     []byte // the object records, with room where their headers will be
	records []record
	members map[object.Hash]struct{}
	refs    []*refChange

	taken chan struct{} // closed when the committer has it: it takes no more
	done  chan struct{} // closed when it is durable and in the index, or failed
	err   error         // after done
}

func newGroup() *group {
	return &group{
		members: make(map[object.Hash]struct{}),
		taken:   make(chan struct{}),
		done:    make(chan struct{}),
	}
}

// add appends the record of one object; the committer fills in the header.
func (g *group) add(k kind, h object.Hash, data []byte) {
	var header [recordHeaderSize]byte
	g.buf = append(append(g.buf, header[:]...), data...)
	g.records = append(g.records, record{kind: k, size: uint32(len(data)), hash: h})
	g.members[h] = struct{}{}
}

func (g *group) empty() bool { return len(g.records)+len(g.refs) == 0 }

func (g *group) full() bool { return len(g.buf) >= groupBytes || len(g.records) >= groupRecords }

// wait waits for the outcome of g.
func (g *group) wait(ctx context.Context) error {
	select {
	case <-g.done:
		return g.err
	default:
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return fmt.Errorf("local: %w", ctx.Err())
	}
}

// Put implements object.Store. It returns when all objects are durable, also
// those that another Put is just storing. If ctx ends first, what was not yet
// durable may still become so.
//
// Puts that run at the same time are made durable together. A Put of many
// megabytes is done in several steps; memory stays bounded.
func (s *Store) Put(ctx context.Context, objects ...[]byte) ([]object.Hash, error) {
	for _, data := range objects {
		if len(data) > object.MaxSize {
			return nil, fmt.Errorf("%w: object of %d bytes, the limit is %d", object.ErrTooBig, len(data), object.MaxSize)
		}
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()

	hashes := make([]object.Hash, len(objects))
	var waits []*group // distinct, in the order of their commits but for those before
	for from := 0; from < len(objects); {
		to, size := from, 0
		for ; to < len(objects) && to-from < portionObjects && size < portionBytes; to++ {
			hashes[to] = object.Sum(objects[to])
			size += len(objects[to])
		}
		var err error
		if waits, err = s.add(ctx, objects[from:to], hashes[from:to], waits); err != nil {
			return nil, err
		}
		from = to
	}
	for _, g := range waits {
		if err := g.wait(ctx); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

// add brings a portion of objects into groups, those that are not stored yet,
// and returns waits with the groups to wait for added.
func (s *Store) add(ctx context.Context, objects [][]byte, hashes []object.Hash, waits []*group) ([]*group, error) {
	// The look-up is done without a lock. Groups that are committed meanwhile
	// are remembered for long enough to be looked into below.
	before := s.commits.Load()
	has, err := s.index.has(hashes)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, s.broken
	}
	for i, h := range hashes {
		k := kindObject
		if _, bad := s.damaged[h]; bad {
			k = kindReplacement
		} else if has[i] {
			continue
		}
		for s.broken == nil && s.open.full() {
			full := s.open
			s.mu.Unlock()
			select {
			case <-full.taken:
			case <-ctx.Done():
			}
			s.mu.Lock()
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("local: %w", err)
			}
		}
		if s.broken != nil {
			return nil, s.broken
		}
		g, err := s.find(h, before)
		if err != nil {
			return nil, err
		}
		if g == nil {
			g = s.open
			g.add(k, h, objects[i])
			s.wakeCommitter()
		}
		if n := len(waits); g != nothing && (n == 0 || waits[n-1] != g) {
			waits = append(waits, g)
		}
	}
	return waits, nil
}

// nothing is find's answer for what is stored already.
var nothing = &group{}

// find returns the group that has h, or nothing if it is stored already, or
// nil if it is new. The index did not have h when the number of commits was
// before, or its copy there is damaged. s.mu is held.
func (s *Store) find(h object.Hash, before int64) (*group, error) {
	if _, in := s.open.members[h]; in {
		return s.open, nil
	}
	if s.committing != nil {
		if _, in := s.committing.members[h]; in {
			return s.committing, nil
		}
	}
	missed := s.commits.Load() - before
	if missed == 0 {
		return nil, nil
	}
	_, bad := s.damaged[h]
	for _, g := range s.recent {
		if _, in := g.members[h]; in && !bad {
			return nothing, nil
		}
	}
	if missed > int64(len(s.recent)) && !bad {
		// It took so long that not all groups since are remembered.
		if _, found, err := s.index.locate(h); err != nil || found {
			return nothing, err
		}
	}
	return nil, nil
}

// wakeCommitter tells the committer that there is something to do.
func (s *Store) wakeCommitter() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
