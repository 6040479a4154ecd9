package local

import (
	"context"
	"fmt"
	"iter"

	"github.com/go-json-experiment/json"

	"github.com/chumsync/chum/object"
)

// refChange is a SetRef on its way. The committer decides it, one after the
// other, so that compare and set are one act.
type refChange struct {
	ref     object.Ref
	payload []byte
	isNew   bool  // there was none of that name
	err     error // after the group is done
}

// Ref implements object.Refs.
func (s *Store) Ref(ctx context.Context, name string) (object.Ref, error) {
	if err := object.CheckName(name); err != nil {
		return object.Ref{}, err
	}
	if err := s.enter(ctx); err != nil {
		return object.Ref{}, err
	}
	defer s.leave()
	ref, found, err := s.index.ref(name)
	if err != nil {
		return object.Ref{}, err
	}
	if !found {
		return object.Ref{}, fmt.Errorf("%w: ref %q", object.ErrNotFound, name)
	}
	return ref, nil
}

// SetRef implements object.Refs. Refs are committed with the objects, by the
// same fdatasync. If ctx ends first, the ref may still be set.
func (s *Store) SetRef(ctx context.Context, ref object.Ref) error {
	if err := ref.Validate(); err != nil {
		return err
	}
	payload, err := json.Marshal(ref)
	if err != nil {
		return fmt.Errorf("local: ref %q: %w", ref.Name, err)
	}
	// The copy shares nothing with the caller's, and is what a reader gets.
	if ref, err = decodeRef(payload); err != nil {
		return fmt.Errorf("local: ref %q: %w", ref.Name, err)
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	c := &refChange{ref: ref, payload: payload}
	s.mu.Lock()
	if s.broken != nil {
		s.mu.Unlock()
		return s.broken
	}
	g := s.open
	g.refs = append(g.refs, c)
	s.wakeCommitter()
	s.mu.Unlock()
	if err := g.wait(ctx); err != nil {
		return err
	}
	return c.err
}

// settle decides changes in order, against the index and each other, and
// returns those to be stored.
func (s *Store) settle(changes []*refChange) []*refChange {
	var stored []*refChange
	latest := make(map[string]object.Ref)
	for _, c := range changes {
		old, found := latest[c.ref.Name]
		if !found {
			if old, found, c.err = s.index.ref(c.ref.Name); c.err != nil {
				continue
			}
		}
		switch {
		case found && old.Version() == c.ref.Version():
			continue
		case found && !c.ref.Follows(old):
			c.err = fmt.Errorf("%w: %q", object.ErrConflict, c.ref.Name)
			continue
		}
		c.isNew = !found
		latest[c.ref.Name] = c.ref
		stored = append(stored, c)
	}
	return stored
}

// Refs implements object.Refs. It reads in pages, each as it stands at that
// moment: a ref set meanwhile is yielded if its name is still to come. The
// store may be used, also changed, within the loop.
func (s *Store) Refs(ctx context.Context) iter.Seq2[object.Ref, error] {
	const page = 128
	return func(yield func(object.Ref, error) bool) {
		after := ""
		for {
			refs, err := s.refs(ctx, after, page)
			if err != nil {
				yield(object.Ref{}, err)
				return
			}
			for _, ref := range refs {
				if !yield(ref, nil) {
					return
				}
			}
			if len(refs) < page {
				return
			}
			after = refs[page-1].Name
		}
	}
}

func (s *Store) refs(ctx context.Context, after string, n int) ([]object.Ref, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	return s.index.refs(after, n)
}
