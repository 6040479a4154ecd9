package chum

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/rpc"
)

// A Repository is what a chum keeps: objects, and names for them.
type Repository interface {
	object.Store
	object.Refs
}

// A Server delivers what another side asks for, from a repository, and takes what it brings.
// Its methods are plain functions that know nothing of connections; all may be called at the
// same time.
type Server struct {
	repo Repository
}

// NewServer makes a server of a repository.
func NewServer(repo Repository) *Server { return &Server{repo: repo} }

// GetObject returns the bytes of an object.
func (s *Server) GetObject(ctx context.Context, h object.Hash) ([]byte, error) {
	return s.repo.Get(ctx, h)
}

// HasObjects tells for each hash whether the object is here.
func (s *Server) HasObjects(ctx context.Context, hs []object.Hash) ([]bool, error) {
	if len(hs) > maxHashes {
		return nil, rpc.Errorf(rpc.InvalidArgument, "%d hashes in one call; ask for at most %d", len(hs), maxHashes)
	}
	return s.repo.Has(ctx, hs...)
}

// PutObjects stores objects and returns their hashes once they are durable.
func (s *Server) PutObjects(ctx context.Context, b Batch) ([]object.Hash, error) {
	return s.repo.Put(ctx, b.Objects()...)
}

// GetBlob writes a part of a file's content to w.
func (s *Server) GetBlob(ctx context.Context, r BlobRange, w io.Writer) error {
	f, err := object.Open(ctx, s.repo, r.Link)
	if err != nil {
		return err
	}
	if r.Offset > f.Size() {
		return rpc.Errorf(rpc.OutOfRange, "offset %d is behind the end at %d", r.Offset, f.Size())
	}
	if _, err := f.Seek(r.Offset, io.SeekStart); err != nil {
		return err
	}
	if r.Length == 0 {
		_, err = f.WriteTo(w)
	} else {
		_, err = io.Copy(w, io.LimitReader(f, r.Length))
	}
	return err
}

// GetRef returns a ref by its name.
func (s *Server) GetRef(ctx context.Context, name string) (object.Ref, error) {
	return s.repo.Ref(ctx, name)
}

// ListRefs yields all refs, ordered by name.
func (s *Server) ListRefs(ctx context.Context) iter.Seq2[object.Ref, error] {
	return s.repo.Refs(ctx)
}

// SetRef stores a ref, if it follows the version that is here and everything beneath its root
// is here too.
func (s *Server) SetRef(ctx context.Context, ref object.Ref) error {
	if err := complete(ctx, s.repo, ref.Root); err != nil {
		return err
	}
	return s.repo.SetRef(ctx, ref)
}

// GetClosure yields everything beneath the roots in batches, parents before children, each
// object once, without what is beneath the roots that the caller has.
func (s *Server) GetClosure(ctx context.Context, r ClosureRequest) iter.Seq2[Batch, error] {
	return closure(ctx, s.repo, r)
}

// PutClosure takes the closure of a ref's root in, as GetClosure yields it, and then sets the
// ref. When it returns without an error, all of that is durable.
func (s *Server) PutClosure(ctx context.Context, ref object.Ref, in iter.Seq2[Batch, error]) (Received, error) {
	if old, err := s.repo.Ref(ctx, ref.Name); err == nil && !ref.Follows(old) {
		return Received{}, fmt.Errorf("%w: %q has changed here; sync again", object.ErrConflict, ref.Name)
	}
	r := receiver{repo: s.repo}
	if err := r.take(ctx, []object.Link{ref.Root}, in); err != nil {
		return r.got, err
	}
	return r.got, s.repo.SetRef(ctx, ref)
}

// register puts the functions on a mux, under their names. Who may read and who may also
// write is up to the two rules.
func (s *Server) register(mux *rpc.Mux, read, write rpc.Rule) {
	reads := []rpc.HandleOption{rpc.Allow(read, "read"), rpc.Pure}
	// Storing by hash changes nothing the second time; nor does a ref, which knows its version.
	writes := []rpc.HandleOption{rpc.Allow(write, "write"), rpc.Pure}

	GetObject.Handle(mux, coded(s.GetObject), reads...)
	HasObjects.Handle(mux, coded(s.HasObjects), reads...)
	GetRef.Handle(mux, coded(s.GetRef), reads...)
	ListRefs.Handle(mux, func(ctx context.Context, _ struct{}) iter.Seq2[object.Ref, error] {
		return codedSeq(s.ListRefs(ctx))
	}, reads...)
	GetClosure.Handle(mux, func(ctx context.Context, r ClosureRequest) iter.Seq2[Batch, error] {
		return codedSeq(s.GetClosure(ctx, r))
	}, reads...)
	rpc.HandleWriter(mux, GetBlob, func(ctx context.Context, r BlobRange, w io.Writer) error {
		return toWire(s.GetBlob(ctx, r, w))
	}, reads...)

	PutObjects.Handle(mux, coded(s.PutObjects), writes...)
	SetRef.Handle(mux, func(ctx context.Context, ref object.Ref) (struct{}, error) {
		return struct{}{}, toWire(s.SetRef(ctx, ref))
	}, writes...)
	PutClosure.Handle(mux, func(ctx context.Context, ref object.Ref, in iter.Seq2[Batch, error]) (Received, error) {
		r, err := s.PutClosure(ctx, ref, in)
		return r, toWire(err)
	}, writes...)
}

// coded gives the errors of a function their codes.
func coded[A, R any](fn func(context.Context, A) (R, error)) func(context.Context, A) (R, error) {
	return func(ctx context.Context, a A) (R, error) {
		r, err := fn(ctx, a)
		return r, toWire(err)
	}
}

func codedSeq[T any](seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range seq {
			if !yield(v, toWire(err)) {
				return
			}
		}
	}
}
