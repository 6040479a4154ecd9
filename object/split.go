package object

import (
	"encoding/binary"
	"fmt"
)

// splitting gives where the list of a long file or large directory is cut
// into nodes. The rule, per level: while the list does not fit into one node
// of at most max bytes, cut off the shortest beginning that makes a node of
// at least min bytes and ends with a boundary; if there is none within max
// bytes, the longest that fits. What is left is the last node. The nodes are
// the list of the next level, until there is only one.
//
// An item is a boundary at level n if the bytes 4n to 4n+3 of its key, as a
// big-endian number, are 0 under mask. The key of a part of a file is its
// hash; that of an entry or node of a directory the SHA-256 of its name. So
// boundaries depend on what stands there, not on where: an entry more or
// less changes its node, rarely the next, and the nodes above.
type splitting struct {
	min, max int
	mask     uint32
}

// These numbers are part of the format: see spec/objects.md.
var (
	splitFile = splitting{min: 256 << 10, max: 1 << 20, mask: 1<<11 - 1}
	splitTree = splitting{min: 32 << 10, max: 256 << 10, mask: 1<<8 - 1}
)

// item is what a list to be split consists of.
type item struct {
	json []byte // as it will stand in the node
	key  Hash
	part
}

// splitter makes nodes of a list that it is given item by item, holding no
// more than one node's worth at each level. It gives them to a writer.
type splitter struct {
	splitting
	w      *writer
	kind   Kind
	height int // that of the nodes of level 0
	levels []pendingLevel
}

// pendingLevel is the part of a level's list that is not yet in a node.
type pendingLevel struct {
	items []item
	bytes int // of the items with a comma after each
}

func newSplitter(w *writer, kind Kind, height int) *splitter {
	s := &splitter{splitting: splitFile, w: w, kind: kind, height: height, levels: make([]pendingLevel, 1)}
	if kind == KindTree {
		s.splitting = splitTree
	}
	return s
}

// addChunk adds a chunk of a file to level 0.
func (s *splitter) addChunk(l Link) error { return s.add(0, part{Link: l}) }

// addEntry adds an entry of a directory to level 0.
func (s *splitter) addEntry(e Entry) error {
	return s.addItem(0, item{
		json: e.append(nil),
		key:  Sum([]byte(e.Name)),
		part: part{Link: Link{Size: e.Size}, last: e.Name},
	})
}

// add adds a part to a level.
func (s *splitter) add(level int, p part) error {
	it := item{json: p.append(nil, s.kind), key: p.Hash, part: p}
	if s.kind == KindTree {
		it.key = Sum([]byte(p.last))
	}
	return s.addItem(level, it)
}

func (s *splitter) addItem(level int, it item) error {
	if level > maxLevel {
		return fmt.Errorf("%w: a %s with so many parts", ErrTooBig, s.kind)
	}
	if level == len(s.levels) {
		s.levels = append(s.levels, pendingLevel{})
	}
	p := &s.levels[level]
	p.items = append(p.items, it)
	p.bytes += len(it.json) + 1
	for s.nodeSize(level, p.bytes) > s.max {
		if err := s.cut(level, s.prefix(level)); err != nil {
			return err
		}
		p = &s.levels[level] // cut may have added a level
	}
	return nil
}

// nodeSize returns the size of a node whose items take so many bytes, each
// with a comma after it.
func (s *splitter) nodeSize(level, bytes int) int {
	before, after := frame(s.kind, level)
	return len(before) + max(bytes-1, 0) + len(after)
}

// prefix returns how many items the next node of level takes, when they do
// not all fit.
func (s *splitter) prefix(level int) int {
	bytes := 0
	for i := 0; ; i++ {
		it := s.levels[level].items[i]
		bytes += len(it.json) + 1
		size := s.nodeSize(level, bytes)
		if size > s.max {
			return i
		}
		if size >= s.min && binary.BigEndian.Uint32(it.key[4*level:])&s.mask == 0 {
			return i + 1
		}
	}
}

// cut makes a node of the first n items of level and adds it to the level
// above.
func (s *splitter) cut(level, n int) error {
	p, err := s.node(level, n)
	if err != nil {
		return err
	}
	return s.add(level+1, p)
}

// node gives the writer a node of the first n items of level.
func (s *splitter) node(level, n int) (part, error) {
	pending := &s.levels[level]
	before, after := frame(s.kind, level)
	out := part{Link: Link{Kind: s.kind}}
	json := []byte(before)
	for i, it := range pending.items[:n] {
		if i > 0 {
			json = append(json, ',')
		}
		json = append(json, it.json...)
		pending.bytes -= len(it.json) + 1
		out.Size += it.Size
		out.last = it.last
	}
	if out.Size > MaxLength {
		return part{}, fmt.Errorf("%w: a %s of more than 2^53-1 bytes", ErrTooBig, s.kind)
	}
	pending.items = append(pending.items[:0:0], pending.items[n:]...)
	var err error
	out.Hash, err = s.w.add(s.height+level, append(json, after...))
	return out, err
}

// finish makes the last nodes and returns the link to the root and its
// height. A file of one chunk is that chunk.
func (s *splitter) finish() (Link, int, error) {
	for level := 0; ; level++ {
		items := s.levels[level].items
		if level == len(s.levels)-1 {
			if s.kind == KindFile && len(items) == 1 {
				return items[0].Link, s.height - 1, nil
			}
			root, err := s.node(level, len(items))
			return root.Link, s.height + level, err
		}
		if err := s.cut(level, len(items)); err != nil {
			return Link{}, 0, err
		}
	}
}
