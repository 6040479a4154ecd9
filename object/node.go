package object

import (
	"context"
	"fmt"
	"slices"
	"strconv"
)

// maxLevel is the highest level of a node. A level multiplies what fits by
// some hundreds, so it is far above what any file or directory needs; it
// bounds the depth that hostile nodes can pretend to.
const maxLevel = 7

// node is a decoded object of kind file or tree. A node of level 0 names the
// contents themselves: the chunks of a file, the entries of a directory. A
// node of level n names nodes of level n-1.
type node struct {
	kind    Kind
	level   int
	entries []Entry // of a tree of level 0
	parts   []part  // of all others
}

// part is what a node names that is not an entry.
type part struct {
	Link
	last string // in a tree, the last name at or beneath the node it points at
}

// The frames of nodes: what stands before and after the items.
func frame(kind Kind, level int) (before, after string) {
	digit := strconv.Itoa(level)
	switch {
	case kind == KindFile:
		return `{"level":` + digit + `,"parts":[`, `],"type":"file"}`
	case level == 0:
		return `{"entries":[`, `],"level":0,"type":"tree"}`
	}
	return `{"level":` + digit + `,"nodes":[`, `],"type":"tree"}`
}

// append appends the canonical JSON of a part of a node of that kind.
func (p part) append(b []byte, kind Kind) []byte {
	if kind == KindFile {
		return appendLink(b, p.Link)
	}
	b = append(b, `{"hash":`...)
	b = appendHash(b, p.Hash)
	b = append(b, ',')
	b = appendBytes(b, "name", p.last)
	b = append(b, `,"size":`...)
	b = strconv.AppendInt(b, p.Size, 10)
	return append(b, '}')
}

// encode returns the canonical JSON of n.
func (n *node) encode() []byte {
	before, after := frame(n.kind, n.level)
	b := []byte(before)
	for i, e := range n.entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = e.append(b)
	}
	for i, p := range n.parts {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.append(b, n.kind)
	}
	return append(b, after...)
}

// decodeNode reads an object of kind file or tree. It takes only what encode
// writes, and of that only what is sound by itself; the error is ErrMalformed.
func decodeNode(kind Kind, data []byte) (*node, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%w: %s of %d bytes, the limit is %d", ErrTooBig, kind, len(data), MaxSize)
	}
	s := &scanner{data: data}
	n := &node{kind: kind}
	if kind == KindFile || !s.next(`{"entries":[`) {
		s.expect(`{"level":`)
		n.level = int(s.integer(maxLevel))
		if kind == KindFile {
			s.expect(`,"parts":[`)
		} else {
			s.expect(`,"nodes":[`)
			if n.level == 0 {
				s.fail("nodes in a tree of level 0, which has entries")
			}
		}
		n.scanParts(s)
	} else {
		n.scanEntries(s)
	}
	_, after := frame(n.kind, n.level)
	s.expect(after)
	if err := s.end(); err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrMalformed, kind, err)
	}
	return n, nil
}

// scanEntries reads the entries of a directory.
func (n *node) scanEntries(s *scanner) {
	total := int64(0)
	for i := 0; s.err == nil && (i > 0 || !s.closes()); i++ {
		e := s.entry()
		if i > 0 && e.Name <= n.entries[i-1].Name {
			s.fail("entry %.64q does not come after %.64q", e.Name, n.entries[i-1].Name)
		}
		total = s.sum(total, e.Size)
		n.entries = append(n.entries, e)
		if !s.next(`,`) {
			return
		}
	}
}

// scanParts reads the parts of any other node, of which there is at least one.
func (n *node) scanParts(s *scanner) {
	total := int64(0)
	for i := 0; s.err == nil; i++ {
		var p part
		if n.kind == KindFile {
			p.Link = s.link()
			if want := partKind(KindFile, n.level); p.Kind != want {
				s.fail("part of kind %s at level %d, which has only kind %s", p.Kind, n.level, want)
			}
			if p.Size == 0 || p.Kind == KindBlob && p.Size > MaxSize {
				s.fail("part of %d bytes", p.Size)
			}
		} else {
			s.expect(`{"hash":`)
			p.Kind, p.Hash = KindTree, s.hash()
			s.expect(`,`)
			p.last = s.bytes("name", MaxEntryName)
			s.checkEntryName(p.last)
			s.expect(`,"size":`)
			p.Size = s.integer(MaxLength)
			s.expect(`}`)
			if i > 0 && p.last <= n.parts[i-1].last {
				s.fail("node %.64q does not come after %.64q", p.last, n.parts[i-1].last)
			}
		}
		total = s.sum(total, p.Size)
		n.parts = append(n.parts, p)
		if !s.next(`,`) {
			return
		}
	}
}

// partKind returns the kind of the parts of a node.
func partKind(kind Kind, level int) Kind {
	if kind == KindFile && level == 0 {
		return KindBlob
	}
	return kind
}

// closes reports whether the list ends here.
func (s *scanner) closes() bool { return s.at < len(s.data) && s.data[s.at] == ']' }

// sum adds sizes that stand in the input.
func (s *scanner) sum(total, size int64) int64 {
	if size > MaxLength-total {
		s.fail("the sizes add up to more than 2^53-1")
		return 0
	}
	return total + size
}

// size returns the number of content bytes beneath n.
func (n *node) size() (total int64) {
	for _, e := range n.entries {
		total += e.Size
	}
	for _, p := range n.parts {
		total += p.Size
	}
	return total
}

// last returns the last name of a tree, "" if it has none.
func (n *node) last() string {
	switch {
	case len(n.parts) > 0:
		return n.parts[len(n.parts)-1].last
	case len(n.entries) > 0:
		return n.entries[len(n.entries)-1].Name
	}
	return ""
}

// links returns the links to the children of n, in order.
func (n *node) links() []Link {
	links := make([]Link, 0, len(n.entries)+len(n.parts))
	for _, e := range n.entries {
		if e.Kind != KindSymlink {
			links = append(links, e.Link())
		}
	}
	for _, p := range n.parts {
		links = append(links, p.Link)
	}
	return links
}

// childLevel returns the level that the nodes named by n must have, or
// anyLevel where n does not name nodes of its own kind.
func (n *node) childLevel() int {
	if n.level == 0 {
		return anyLevel
	}
	return n.level - 1
}

// anyLevel stands for a link that begins something: it may point at a node of
// any level.
const anyLevel = -1

// check reports whether n is what a link of that size and level promised.
func (n *node) check(size int64, level int) error {
	if level != anyLevel && n.level != level {
		return fmt.Errorf("%w %s: node of level %d where level %d belongs", ErrMalformed, n.kind, n.level, level)
	}
	return checkSize(n.kind, n.size(), size)
}

// checkSize reports whether the size found is the one that a link gave.
func checkSize(kind Kind, found, given int64) error {
	if given != UnknownSize && found != given {
		return fmt.Errorf("%w %s: it has %d bytes where its link says %d", ErrMalformed, kind, found, given)
	}
	return nil
}

// readNode gets and decodes the node that l points at and checks that it is
// what l and level promise.
func readNode(ctx context.Context, s Store, l Link, level int) (*node, error) {
	_, n, err := readNodeData(ctx, s, l, level)
	return n, err
}

// readNodeData does what readNode does and returns the bytes as well.
func readNodeData(ctx context.Context, s Store, l Link, level int) ([]byte, *node, error) {
	data, err := s.Get(ctx, l.Hash)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", l, err)
	}
	n, err := decodeNode(l.Kind, data)
	if err == nil {
		err = n.check(l.Size, level)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", l, err)
	}
	return data, n, nil
}

// readBlob gets the blob that l points at and checks its size.
func readBlob(ctx context.Context, s Store, l Link) ([]byte, error) {
	data, err := s.Get(ctx, l.Hash)
	if err == nil {
		err = checkSize(KindBlob, int64(len(data)), l.Size)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", l, err)
	}
	return data, nil
}

// Links returns the links to the children that an object names, in order: a
// blob has none. It needs nothing but the object's bytes. Bytes that are not
// an object of that kind in canonical form are ErrMalformed or ErrTooBig.
func Links(kind Kind, data []byte) ([]Link, error) {
	switch kind {
	case KindFile, KindTree:
		n, err := decodeNode(kind, data)
		if err != nil {
			return nil, err
		}
		return n.links(), nil
	case KindBlob:
		if len(data) > MaxSize {
			return nil, fmt.Errorf("%w: blob of %d bytes, the limit is %d", ErrTooBig, len(data), MaxSize)
		}
		return nil, nil
	}
	return nil, fmt.Errorf("object: unknown kind of object %q: want blob, file or tree", kind)
}

// Sized returns l with its Size filled in if it was not known, by reading the
// object it points at.
func Sized(ctx context.Context, s Store, l Link) (Link, error) {
	if err := l.Validate(); err != nil || l.Size != UnknownSize {
		return l, err
	}
	if l.Kind == KindBlob {
		data, err := readBlob(ctx, s, l)
		l.Size = int64(len(data))
		return l, err
	}
	n, err := readNode(ctx, s, l, anyLevel)
	if err != nil {
		return l, err
	}
	l.Size = n.size()
	return l, nil
}

// wantKind reports whether l is sound and of one of kinds.
func wantKind(l Link, kinds ...Kind) error {
	if err := l.Validate(); err != nil {
		return err
	}
	if !slices.Contains(kinds, l.Kind) {
		return fmt.Errorf("object: %s where one of the kinds %s belongs", l, kinds)
	}
	return nil
}
