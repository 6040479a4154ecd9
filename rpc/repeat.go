package rpc

import (
	"bytes"
	"container/list"
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/chumsync/chum/wire"
)

// A call whose connection is lost may have been executed or not; asking again may execute it
// twice. Two kinds of methods stand that, and both sides have to say so: pure ones, and keyed
// ones, whose callee knows a repetition by its key.

// Repeatable gives a context whose calls may be executed twice, since their method is [Pure]:
// with Options.Redial they go on when the connection is lost and another found, until their
// time is over. A peer that has not declared the method so refuses.
//
// Calls without it end when the connection does, their error saying whether they were executed
// ([ExecutedOf]); those whose request has not been sent go on, too. Streams always end.
func Repeatable(ctx context.Context) context.Context { return with(ctx, metaRepeat, "") }

// WithKey gives a context for one call of a method that is [Keyed]. The call goes on over
// another connection as one that is [Repeatable] does, and the program may make it again with
// the same key, also after a restart: the handler's effect happens once. A key is 16 to 128
// bytes that nobody can guess: crypto/rand.Text makes one.
func WithKey(ctx context.Context, key string) context.Context {
	ctx = with(ctx, metaKey, key)
	if o := outgoingFrom(ctx); o.err == nil && (len(key) < minKey || len(key) > maxKey) {
		o.err = Errorf(InvalidArgument, "a key has %d to %d bytes, this one %d", minKey, maxKey, len(key))
	}
	return ctx
}

const minKey, maxKey = 16, 128

// Key gives the key of the call that a handler's context belongs to; "" if it has none.
func Key(ctx context.Context) string { return Metadata(ctx, metaKey) }

// Pure states that a method may be executed twice without harm, as reading may.
func Pure(s *service) { s.Pure = true }

// Keyed states that a method knows a repeated call by its [Key]. While the first call with a
// key runs, others wait for its answer; afterwards its result is given again, for a day and as
// far as the Mux keeps it in memory (the last 10,000 and 16 MiB). The same key with other
// arguments is refused. A call that failed is forgotten: it may be tried again.
//
// So far the Mux sees to it. What must hold beyond the life of the process is the handler's
// affair: it stores the key in the transaction that stores the effect, and answers from there
// when the key is known.
func Keyed(s *service) { s.Keyed = true }

// repeatable tells whether what the caller says of repeating fits what the method declares.
func (s *serving) repeatable() bool {
	if findMetadata(s.meta, metaRepeat) != nil && !s.service.Pure {
		return false
	}
	s.key = string(findMetadata(s.meta, metaKey))
	return s.key == "" || s.service.Keyed && len(s.key) >= minKey && len(s.key) <= maxKey
}

// What a Mux remembers of keyed calls.
const (
	keptFor   = 24 * time.Hour
	keptKeys  = 10_000
	keptBytes = 16 << 20
)

// doKeyed is do for a call with a key: the first of them runs the handler, all get its answer.
func (s *serving) doKeyed() {
	name := s.service.Name + "\x00" + s.key
	e, first, err := s.service.keys.begin(name, sha256.Sum256(append([]byte{byte(s.form)}, s.args...)))
	if err != nil {
		s.fail(err)
		return
	}
	if first {
		s.finishKeyed(e)
		return
	}
	select {
	case <-e.done:
	case <-s.ctx.Done():
		s.fail(s.ctx.Err())
		return
	}
	s.ran = true
	if e.err != nil {
		s.fail(e.err)
		return
	}
	s.result(e.form, e.body)
}

// finishKeyed runs the handler of a keyed call and keeps what it gave. That is before the
// answer: who has it may ask again.
func (s *serving) finishKeyed(e *keyed) {
	returned := false
	defer func() {
		if !returned {
			s.service.keys.finish(e, 0, nil, failure(Internal, Yes, "the handler panicked"))
		}
	}()
	var form wire.Form
	var body []byte
	err := s.handle()
	if err == nil {
		var bad error
		if form, body, bad = s.service.result(s, nil, s.p.plain.Load()); bad != nil {
			err = s.unencodable(bad)
		}
	}
	returned = true
	s.service.keys.finish(e, form, body, err)
	if err != nil {
		s.fail(err)
		return
	}
	s.result(form, body)
}

// keys are the keyed calls of a Mux that run, and those that went well.
type keys struct {
	mu    sync.Mutex
	m     map[string]*keyed
	order list.List // those that went well, oldest first
	bytes int
}

// keyed is one call with a key.
type keyed struct {
	name string // method, byte 0, key
	args [sha256.Size]byte
	done chan struct{} // closed when it has ended
	err  error
	form wire.Form // its result
	body []byte
	at   time.Time // when it ended
}

// begin finds the call with this key, or makes it; then it is the caller's to finish.
func (k *keys) begin(name string, args [sha256.Size]byte) (e *keyed, first bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.expire(time.Now())
	if e := k.m[name]; e != nil {
		if e.args != args {
			return nil, false, Errorf(InvalidArgument, "this key was used with other arguments")
		}
		return e, false, nil
	}
	e = &keyed{name: name, args: args, done: make(chan struct{})}
	if k.m == nil {
		k.m = make(map[string]*keyed)
	}
	k.m[name] = e
	return e, true, nil
}

func (k *keys) finish(e *keyed, form wire.Form, body []byte, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e.form, e.body, e.err, e.at = form, bytes.Clone(body), err, time.Now()
	close(e.done)
	if err != nil {
		delete(k.m, e.name)
		return
	}
	k.order.PushBack(e)
	k.bytes += len(e.body)
	k.expire(e.at)
}

// expire forgets what is too old or too much. With k.mu held.
func (k *keys) expire(now time.Time) {
	for f := k.order.Front(); f != nil; f = k.order.Front() {
		e := f.Value.(*keyed)
		if now.Sub(e.at) < keptFor && k.order.Len() <= keptKeys && k.bytes <= keptBytes {
			return
		}
		k.order.Remove(f)
		k.bytes -= len(e.body)
		delete(k.m, e.name)
	}
}
