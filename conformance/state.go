package conformance

import (
	"context"
	"sync"
)

// remembered is how many names of each kind a server keeps.
const remembered = 10_000

// recent maps names to states, the last ones.
type recent[T any] struct {
	mu    sync.Mutex
	m     map[string]T
	order []string
}

// of gives the state of a name, made if it is not there. With mu held.
func (r *recent[T]) of(name string, newState func() T) T {
	if r.m == nil {
		r.m = make(map[string]T)
	}
	v, ok := r.m[name]
	if !ok {
		v = newState()
		r.m[name] = v
		if r.order = append(r.order, name); len(r.order) > remembered {
			delete(r.m, r.order[0])
			r.order = r.order[1:]
		}
	}
	return v
}

// marks are events, by name, each of which happens once.
type marks struct{ recent[*mark] }

type mark struct {
	done chan struct{}
	once sync.Once
}

func newMarks() *marks { return &marks{} }

func (m *marks) of(name string) *mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.recent.of(name, func() *mark { return &mark{done: make(chan struct{})} })
}

func (m *marks) set(name string) {
	e := m.of(name)
	e.once.Do(func() { close(e.done) })
}

// await is the handler of a method that answers when it has happened.
func (m *marks) await(ctx context.Context, name string) (bool, error) {
	select {
	case <-m.of(name).done:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// tallies are counts, by name.
type tallies struct{ recent[*int] }

func newTallies() *tallies { return &tallies{} }

func (t *tallies) add(name string, n int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.of(name, func() *int { return new(int) })
	*v += n
	return *v
}
