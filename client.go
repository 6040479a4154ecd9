package chum

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/rpc"
)

// A Client asks the other side: one function per request, with exactly the right result, and
// each checks what arrived. It is an object.Store and an object.Refs that happen to be far
// away, so whatever works on a store works across the net. All methods may be called at the
// same time.
//
// Errors are those of package object where the other side answered with one (errors.Is with
// object.ErrNotFound, object.ErrConflict), and contain the [rpc.Error].
type Client struct {
	peer *rpc.Peer
}

var _ Repository = (*Client)(nil)

// NewClient makes a client of the peer at the other end of a connection.
func NewClient(peer *rpc.Peer) *Client { return &Client{peer: peer} }

// Get returns the bytes of an object, whose hash it has checked.
func (c *Client) Get(ctx context.Context, h object.Hash) ([]byte, error) {
	if h.IsZero() {
		return nil, fmt.Errorf("%w: the zero hash names no object", object.ErrNotFound)
	}
	data, err := GetObject.Call(rpc.Repeatable(ctx), c.peer, h)
	if err == nil && object.Sum(data) != h {
		err = wrong("the bytes that came are not those of the object")
	}
	if err != nil {
		return nil, fromWire("object "+h.String(), err)
	}
	return data, nil
}

// Has tells for each hash whether the other side has the object.
func (c *Client) Has(ctx context.Context, hs ...object.Hash) ([]bool, error) {
	here := make([]bool, 0, len(hs))
	for len(hs) > 0 {
		n := min(len(hs), maxHashes)
		part, err := HasObjects.Call(rpc.Repeatable(ctx), c.peer, hs[:n])
		if err == nil && len(part) != n {
			err = wrong("%d hashes were asked for, %d answers came", n, len(part))
		}
		if err != nil {
			return nil, fromWire("asking for objects", err)
		}
		here, hs = append(here, part...), hs[n:]
	}
	return here, nil
}

// Put stores objects at the other side. They are durable there when it returns nil.
func (c *Client) Put(ctx context.Context, objects ...[]byte) ([]object.Hash, error) {
	hashes := make([]object.Hash, 0, len(objects))
	var b Batch
	send := func() error {
		got, err := PutObjects.Call(rpc.Repeatable(ctx), c.peer, b)
		if err != nil {
			return fromWire("storing objects", err)
		}
		sent := b.Objects()
		if len(got) != len(sent) {
			return fromWire("storing objects", wrong("%d objects were sent, %d hashes came back", len(sent), len(got)))
		}
		for i, data := range sent {
			if object.Sum(data) != got[i] {
				return fromWire("storing objects", wrong("the other side claims another hash for what was sent: %s", got[i]))
			}
		}
		hashes = append(hashes, got...)
		b = Batch{}
		return nil
	}
	for _, data := range objects {
		if len(data) > object.MaxSize {
			return nil, fmt.Errorf("%w: %d bytes, %d are possible", object.ErrTooBig, len(data), object.MaxSize)
		}
		if len(b.Sizes) > 0 && (len(b.Data)+len(data) > batchBytes || len(b.Sizes) == batchObjects) {
			if err := send(); err != nil {
				return nil, err
			}
		}
		b.add(data)
	}
	if len(b.Sizes) > 0 {
		if err := send(); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

// Ref returns a ref of the other side by its name.
func (c *Client) Ref(ctx context.Context, name string) (object.Ref, error) {
	if err := object.CheckName(name); err != nil {
		return object.Ref{}, err
	}
	ref, err := GetRef.Call(rpc.Repeatable(ctx), c.peer, name)
	if err == nil && ref.Name != name {
		err = wrong("the ref that came is named %q", ref.Name)
	}
	if err != nil {
		return object.Ref{}, fromWire("ref "+name, err)
	}
	return ref, nil
}

// Refs yields all refs of the other side, ordered by name.
func (c *Client) Refs(ctx context.Context) iter.Seq2[object.Ref, error] {
	return func(yield func(object.Ref, error) bool) {
		last := ""
		for ref, err := range ListRefs.Call(ctx, c.peer, struct{}{}) {
			if err == nil && ref.Name <= last {
				err = wrong("%q came after %q: refs are ordered", ref.Name, last)
			}
			if err != nil {
				yield(object.Ref{}, fromWire("listing refs", err))
				return
			}
			last = ref.Name
			if !yield(ref, nil) {
				return
			}
		}
	}
}

// SetRef sets a ref at the other side, if it follows the version that is there and everything
// beneath its root is there.
func (c *Client) SetRef(ctx context.Context, ref object.Ref) error {
	if err := ref.Validate(); err != nil {
		return err
	}
	_, err := SetRef.Call(rpc.Repeatable(ctx), c.peer, ref)
	return fromWire("setting ref "+ref.Name, err)
}

// Blob reads a part of a file's content as it comes. Unlike object.Open on this Client, which
// fetches and checks chunk by chunk, it is one stream whose bytes are not verified: use it for
// what you trust the other side with.
func (c *Client) Blob(ctx context.Context, r BlobRange) io.ReadCloser {
	return rpc.Reader(ctx, c.peer, GetBlob, r)
}

// Closure yields what is beneath the roots, as [Server.GetClosure] does on the other side. The
// objects are not checked yet.
func (c *Client) Closure(ctx context.Context, r ClosureRequest) iter.Seq2[Batch, error] {
	return GetClosure.Call(ctx, c.peer, r)
}

// PutClosure brings the closure of a ref's root and sets the ref, as [Server.PutClosure] does
// on the other side.
func (c *Client) PutClosure(ctx context.Context, ref object.Ref, in iter.Seq2[Batch, error]) (Received, error) {
	got, err := PutClosure.Call(ctx, c.peer, ref, in)
	return got, fromWire("bringing "+ref.Name, err)
}

// Status asks the other side how it is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	s, err := GetStatus.Call(rpc.Repeatable(ctx), c.peer, struct{}{})
	return s, fromWire("status", err)
}
