package object

import (
	"context"
	"fmt"
	"iter"
	"slices"
)

// Node is an object met by Walk: a link and the bytes it points at.
type Node struct {
	Link
	Data []byte
}

// Walk yields root and all that is beneath it, depth first, parents before
// children, in the order in which objects name their children. An object that
// is named more than once is met once per kind.
//
// A link that skip returns true for is neither read nor yielded, and what is
// beneath it only if it is met elsewhere; skip is called at most once for each
// object and may be nil. An object that cannot be read or is malformed
// yields an error with the Link concerned; a loop that goes on then meets the
// rest. When ctx ends the walk ends with an error.
//
// Every Node has its Size, even where root's was not known. Memory is
// proportional to the number of objects met (about 100 bytes each) and the
// children of those on the way down.
func Walk(ctx context.Context, s Store, root Link, skip func(Link) bool) iter.Seq2[Node, error] {
	return func(yield func(Node, error) bool) {
		if err := root.Validate(); err != nil {
			yield(Node{Link: root}, err)
			return
		}
		w := walk{ctx: ctx, store: s, met: make(map[met]extent)}
		todo := []step{{root, anyLevel}}
		for len(todo) > 0 {
			next := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if err := ended(ctx); err != nil {
				yield(Node{Link: next.Link}, err)
				return
			}
			if known, again := w.met[met{next.Kind, next.Hash}]; again {
				if err := known.check(next); err != nil && !yield(Node{Link: next.Link}, err) {
					return
				}
				continue
			}
			if skip != nil && skip(next.Link) {
				w.met[met{next.Kind, next.Hash}] = extent{UnknownSize, anyLevel}
				continue
			}
			found, children, err := w.read(next)
			if !yield(found, err) {
				return
			}
			slices.Reverse(children)
			todo = append(todo, children...)
		}
	}
}

// walk is one Walk under way.
type walk struct {
	ctx   context.Context
	store Store
	met   map[met]extent
}

// met is what an object is known by, and extent what it was found to be.
type (
	met struct {
		Kind
		Hash
	}
	extent struct {
		size  int64
		level int
	}
)

// step is a link to be followed, and the level it must lead to.
type step struct {
	Link
	level int
}

// check reports whether another link to the same object promises the same.
func (e extent) check(l step) error {
	if e.level != anyLevel && l.level != anyLevel && e.level != l.level {
		return fmt.Errorf("reading %s: %w %s: node of level %d where level %d belongs", l, ErrMalformed, l.Kind, e.level, l.level)
	}
	if e.size != UnknownSize {
		if err := checkSize(l.Kind, e.size, l.Size); err != nil {
			return fmt.Errorf("reading %s: %w", l, err)
		}
	}
	return nil
}

// read gets the object that l points at and finds its children.
func (w *walk) read(l step) (found Node, children []step, err error) {
	found.Link = l.Link
	known := extent{UnknownSize, anyLevel}
	defer func() { w.met[met{l.Kind, l.Hash}] = known }()
	if l.Kind == KindBlob {
		data, err := readBlob(w.ctx, w.store, l.Link)
		if err != nil {
			return found, nil, err
		}
		found.Data, found.Size = data, int64(len(data))
		known.size = found.Size
		return found, nil, nil
	}
	data, n, err := readNodeData(w.ctx, w.store, l.Link, l.level)
	if err != nil {
		return found, nil, err
	}
	found.Data, found.Size = data, n.size()
	known = extent{found.Size, n.level}
	for _, child := range n.links() {
		// The entries of a directory begin anew; all else names its own parts.
		children = append(children, step{child, n.childLevel()})
	}
	return found, children, nil
}
