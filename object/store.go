package object

import (
	"context"
	"errors"
	"iter"
)

// Errors that are told apart with errors.Is. What is returned wraps them with
// the hash, name or path concerned.
var (
	ErrNotFound  = errors.New("object: not found")                            // no such object, ref or path
	ErrCorrupt   = errors.New("object: stored bytes do not match their hash") // a store's medium has changed them
	ErrTooBig    = errors.New("object: too big")                              // more than MaxSize bytes
	ErrConflict  = errors.New("object: ref has another version")              // SetRef on a version it does not follow
	ErrMalformed = errors.New("object: malformed")                            // bytes that are not what their link says
	ErrBadName   = errors.New("object: bad name")                             // a name CheckName or a tree refuses
)

// Store keeps immutable objects, each named by the hash of its bytes. All
// methods may be called by many goroutines at the same time. When ctx ends
// first, the error wraps ctx.Err().
type Store interface {
	// Get returns the bytes of h. They always match h: a store whose medium
	// has changed them returns ErrCorrupt instead. An absent object is
	// ErrNotFound. The slice is the caller's to keep and change.
	Get(ctx context.Context, h Hash) ([]byte, error)

	// Has reports for each of hs, in order, whether the store holds it.
	Has(ctx context.Context, hs ...Hash) ([]bool, error)

	// Put stores objects and returns their hashes, in order. They are durable
	// when it returns nil; one Put of many objects costs about as much as a
	// Put of one. Objects that are there already, or come twice, are fine.
	// If one is longer than MaxSize the error is ErrTooBig and none is
	// stored; after any other error some may be. The slices are not kept and
	// may be reused as soon as Put returns.
	Put(ctx context.Context, objects ...[]byte) ([]Hash, error)
}

// Refs keeps names that point at roots. All methods may be called by many
// goroutines at the same time.
type Refs interface {
	// Ref returns the ref of that name; an absent one is ErrNotFound, a name
	// that CheckName refuses is ErrBadName.
	Ref(ctx context.Context, name string) (Ref, error)

	// SetRef stores ref by compare-and-set: it takes effect if there is no
	// ref of that name yet, or if ref follows the one that is there (see
	// Ref.Follows). The same version again changes nothing and succeeds.
	// Otherwise the error is ErrConflict and nothing changes. It is durable
	// when it returns nil. A ref that Ref.Validate refuses is refused.
	SetRef(ctx context.Context, ref Ref) error

	// Refs yields all refs in the byte order of their names, as they stood at
	// some moment since the loop began. After an error the sequence ends.
	Refs(ctx context.Context) iter.Seq2[Ref, error]
}
