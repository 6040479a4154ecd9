package object

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// A batch, one Put, has at most so many bytes and objects.
const (
	batchBytes   = 4 << 20
	batchObjects = 1000
)

// writer gives a store many objects in few Puts, and no object before all it
// names are durable. To that end each object has a height, above those of its
// children; children are added before their parents, and at most one Put runs
// at a time, in ascending order of height. add may be called by many
// goroutines at the same time.
//
// Memory is bounded by three batches of leaves and one of parents.
type writer struct {
	ctx     context.Context // ends when a Put has failed, with its error as cause
	cancel  context.CancelCauseFunc
	store   Store
	objects atomic.Int64 // added so far

	mu      sync.Mutex
	heights []batch // pending objects by height
	parents batch   // the sums over the heights above 0, without objects

	queue chan [][]byte // to the goroutine that puts
	done  chan struct{} // closed when that goroutine has returned
}

type batch struct {
	objects [][]byte
	count   int
	bytes   int
}

func (b *batch) add(data []byte) {
	b.count++
	b.bytes += len(data)
}

// fits reports whether one Put may take data as well.
func (b *batch) fits(data []byte) bool {
	return b.count < batchObjects && b.bytes+len(data) <= batchBytes
}

// newWriter returns a writer, which must be closed.
func newWriter(ctx context.Context, s Store) *writer {
	w := &writer{store: s, queue: make(chan [][]byte), done: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	go w.run()
	return w
}

// run puts what is queued, until the queue is closed. After an error it puts
// nothing more.
func (w *writer) run() {
	defer close(w.done)
	for objects := range w.queue {
		if w.ctx.Err() != nil {
			continue
		}
		if _, err := w.store.Put(w.ctx, objects...); err != nil {
			w.cancel(err)
		}
	}
}

// add hands over an object, which must not be changed any more, and returns
// its hash. It waits while the store is behind. The object is durable once
// close has returned nil, or before.
func (w *writer) add(height int, data []byte) (Hash, error) {
	if len(data) > MaxSize {
		return Hash{}, fmt.Errorf("%w: object of %d bytes, the limit is %d", ErrTooBig, len(data), MaxSize)
	}
	h := Sum(data)
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.heights) <= height {
		w.heights = append(w.heights, batch{})
	}
	if height > 0 && !w.parents.fits(data) {
		// All of them: each names some of those below it.
		if err := w.flush(len(w.heights)); err != nil {
			return Hash{}, err
		}
	} else if height == 0 && !w.heights[0].fits(data) {
		if err := w.flush(1); err != nil {
			return Hash{}, err
		}
	}
	b := &w.heights[height]
	b.objects = append(b.objects, data)
	b.add(data)
	if height > 0 {
		w.parents.add(data)
	}
	w.objects.Add(1)
	return h, w.err()
}

// flush queues what is pending below height, from the leaves up.
func (w *writer) flush(height int) error {
	for i := range height {
		if len(w.heights[i].objects) == 0 {
			continue
		}
		select {
		case w.queue <- w.heights[i].objects:
		case <-w.ctx.Done():
			return w.err()
		}
		w.heights[i] = batch{}
	}
	if height > 1 {
		w.parents = batch{}
	}
	return nil
}

// err returns why the writer has stopped, or nil.
func (w *writer) err() error {
	if w.ctx.Err() != nil {
		return fmt.Errorf("object: storing: %w", context.Cause(w.ctx))
	}
	return nil
}

// close ends the writer, once the last add has returned. If err is nil it
// puts what is pending and waits until all is durable; otherwise it gives up
// what is pending and returns err.
func (w *writer) close(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.cancel(err)
	} else {
		err = w.flush(len(w.heights))
	}
	close(w.queue)
	<-w.done
	if err == nil {
		err = w.err()
	}
	w.cancel(nil)
	return err
}
