package object

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
)

// Memory is a Store and Refs in memory, for tests and for what need not last.
// What it acknowledges is as durable as the process.
type Memory struct {
	mu      sync.RWMutex
	objects map[Hash][]byte
	refs    map[string]Ref
}

var (
	_ Store = (*Memory)(nil)
	_ Refs  = (*Memory)(nil)
)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{objects: make(map[Hash][]byte), refs: make(map[string]Ref)}
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, h Hash) ([]byte, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	m.mu.RLock()
	data, found := m.objects[h]
	m.mu.RUnlock()
	if !found {
		return nil, fmt.Errorf("%w: object %s", ErrNotFound, h)
	}
	return append([]byte{}, data...), nil
}

// Has implements Store.
func (m *Memory) Has(ctx context.Context, hs ...Hash) ([]bool, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	has := make([]bool, len(hs))
	for i, h := range hs {
		_, has[i] = m.objects[h]
	}
	return has, nil
}

// Put implements Store.
func (m *Memory) Put(ctx context.Context, objects ...[]byte) ([]Hash, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	hashes := make([]Hash, len(objects))
	for i, data := range objects {
		if len(data) > MaxSize {
			return nil, fmt.Errorf("%w: object of %d bytes, the limit is %d", ErrTooBig, len(data), MaxSize)
		}
		hashes[i] = Sum(data)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, h := range hashes {
		if _, found := m.objects[h]; !found {
			m.objects[h] = bytes.Clone(objects[i])
		}
	}
	return hashes, nil
}

// Ref implements Refs.
func (m *Memory) Ref(ctx context.Context, name string) (Ref, error) {
	if err := ended(ctx); err != nil {
		return Ref{}, err
	}
	if err := CheckName(name); err != nil {
		return Ref{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	ref, found := m.refs[name]
	if !found {
		return Ref{}, fmt.Errorf("%w: ref %q", ErrNotFound, name)
	}
	return ref.clone(), nil
}

// SetRef implements Refs.
func (m *Memory) SetRef(ctx context.Context, ref Ref) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if err := ref.Validate(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if stored, found := m.refs[ref.Name]; found && !ref.Follows(stored) {
		return fmt.Errorf("%w: %q", ErrConflict, ref.Name)
	} else if found && stored.Version() == ref.Version() {
		return nil
	}
	m.refs[ref.Name] = ref.clone()
	return nil
}

// Refs implements Refs.
func (m *Memory) Refs(ctx context.Context) iter.Seq2[Ref, error] {
	return func(yield func(Ref, error) bool) {
		m.mu.RLock()
		refs := maps.Clone(m.refs)
		m.mu.RUnlock()
		for _, name := range slices.Sorted(maps.Keys(refs)) {
			if err := ended(ctx); err != nil {
				yield(Ref{}, err)
				return
			}
			if !yield(refs[name].clone(), nil) {
				return
			}
		}
	}
}

// clone returns a ref that shares no memory with r.
func (r Ref) clone() Ref {
	r.Past = slices.Clone(r.Past)
	return r
}

// ended returns an error when ctx has ended.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("object: %w", err)
	}
	return nil
}
