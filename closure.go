package chum

import (
	"context"
	"fmt"
	"iter"

	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/rpc"
)

// closure yields what is beneath the roots and not beneath those that the other side has. The
// sending side walks the graph, so nothing has to be asked for object by object. What the same
// hash names as two kinds comes twice.
func closure(ctx context.Context, repo object.Store, r ClosureRequest) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		done, err := beneath(ctx, repo, r.Have)
		if err != nil {
			yield(Batch{}, err)
			return
		}
		var b Batch
		for _, root := range r.Roots {
			for node, err := range object.Walk(ctx, repo, root, done.visit) {
				if err != nil {
					yield(Batch{}, fmt.Errorf("chum: sending what is beneath %s: %w", root, err))
					return
				}
				if len(b.Sizes) > 0 && (len(b.Data)+len(node.Data) > batchBytes || len(b.Sizes) == batchObjects) {
					if !yield(b, nil) {
						return
					}
					b = Batch{Data: make([]byte, 0, batchBytes)} // the last one is the receiver's
				}
				b.add(node.Data)
			}
		}
		if len(b.Sizes) > 0 {
			yield(b, nil)
		}
	}
}

// visited is a set of objects, told apart by hash and kind.
type visited map[visit]struct{}

type visit struct {
	hash object.Hash
	kind object.Kind
}

// visit tells whether l was visited before, and notes that it is now.
func (v visited) visit(l object.Link) bool {
	k := visit{l.Hash, l.Kind}
	_, before := v[k]
	v[k] = struct{}{}
	return before
}

// beneath lists what is beneath the roots that the other side has, as far as it is here. Only
// trees and manifests are read.
func beneath(ctx context.Context, repo object.Store, roots []object.Link) (visited, error) {
	all := make(visited)
	for _, root := range roots {
		here, err := repo.Has(ctx, root.Hash)
		if err != nil {
			return nil, err
		}
		if !here[0] {
			continue
		}
		err = eachBranch(ctx, repo, root, func(l object.Link) (bool, error) { return !all.visit(l), nil })
		if err != nil {
			return nil, fmt.Errorf("chum: reading what is beneath %s: %w", root, err)
		}
	}
	return all, nil
}

// eachBranch visits root and all links beneath it, reading trees and manifests only. The
// visitor says whether to go on beneath a link.
func eachBranch(ctx context.Context, repo object.Store, root object.Link, visit func(object.Link) (bool, error)) error {
	stack := []object.Link{root}
	for len(stack) > 0 {
		l := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		on, err := visit(l)
		if err != nil {
			return err
		}
		if !on || l.Kind == object.KindBlob {
			continue
		}
		data, err := repo.Get(ctx, l.Hash)
		if err != nil {
			return err
		}
		children, err := object.Links(l.Kind, data)
		if err != nil {
			return err
		}
		stack = append(stack, children...)
	}
	return nil
}

// complete checks that everything beneath root is in the repository.
func complete(ctx context.Context, repo object.Store, root object.Link) error {
	seen := make(visited)
	var blobs []object.Hash
	check := func() error {
		here, err := repo.Has(ctx, blobs...)
		if err != nil {
			return err
		}
		for i, ok := range here {
			if !ok {
				return fmt.Errorf("%w: %s, which lies beneath %s", object.ErrNotFound, blobs[i], root)
			}
		}
		blobs = blobs[:0]
		return nil
	}
	err := eachBranch(ctx, repo, root, func(l object.Link) (bool, error) {
		if seen.visit(l) {
			return false, nil
		}
		if l.Kind != object.KindBlob {
			return true, nil
		}
		if blobs = append(blobs, l.Hash); len(blobs) == maxHashes {
			return false, check()
		}
		return false, nil
	})
	if err == nil {
		err = check()
	}
	if err != nil {
		return fmt.Errorf("chum: not everything beneath %s is here: %w", root, err)
	}
	return nil
}

// receiver takes a closure in.
type receiver struct {
	repo     object.Store
	progress func(Received) // may be nil; told when more is durable

	got      Received
	expected map[object.Hash]kinds // named by an object that came, not yet come
}

// kinds is a set of kinds under which an object is expected.
type kinds uint8

// noted marks that the object came once and what it names is expected already; it comes again
// for each further kind.
const noted kinds = 1 << 7

var kindBits = [...]object.Kind{object.KindBlob, object.KindFile, object.KindTree}

func (r *receiver) expect(l object.Link) {
	for i, k := range kindBits {
		if k == l.Kind {
			r.expected[l.Hash] |= 1 << i
		}
	}
}

// take stores what the batches hold. It takes only what the roots, or what came beneath them,
// name; in the end everything beneath the roots must be here. It keeps each batch until it is
// durable.
func (r *receiver) take(ctx context.Context, roots []object.Link, in iter.Seq2[Batch, error]) error {
	r.expected = make(map[object.Hash]kinds)
	for _, l := range roots {
		r.expect(l)
	}
	// While one batch is being made durable, the next is on its way in and checked.
	storing := make(chan error, 1)
	storing <- nil
	for b, err := range in {
		if err == nil {
			err = r.check(b)
		}
		if failed := <-storing; failed != nil {
			return failed
		}
		if err != nil {
			return err
		}
		if r.progress != nil {
			r.progress(r.got)
		}
		r.got.Objects += int64(len(b.Sizes))
		r.got.Bytes += int64(len(b.Data))
		go func() {
			_, err := r.repo.Put(ctx, b.Objects()...)
			storing <- err
		}()
	}
	if err := <-storing; err != nil {
		return err
	}
	if r.progress != nil {
		r.progress(r.got)
	}
	for _, l := range roots {
		if err := complete(ctx, r.repo, l); err != nil {
			return err
		}
	}
	return nil
}

// check hashes the objects of a batch and notes what they name in turn.
func (r *receiver) check(b Batch) error {
	for _, data := range b.Objects() {
		h := object.Sum(data)
		set, ok := r.expected[h]
		if !ok {
			return rpc.Errorf(rpc.InvalidArgument, "chum: an object came that nothing asked for: %s, %d bytes", h, len(data))
		}
		if left := set & (set - 1) &^ noted; left != 0 { // without its lowest kind
			r.expected[h] = left | noted
		} else {
			delete(r.expected, h)
		}
		for i, kind := range kindBits {
			if set&noted != 0 || set&(1<<i) == 0 {
				continue
			}
			links, err := object.Links(kind, data)
			if err != nil {
				return rpc.Errorf(rpc.InvalidArgument, "chum: object %s is no %s: %w", h, kind, err)
			}
			for _, l := range links {
				r.expect(l)
			}
		}
	}
	return nil
}
