package chum_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"syscall"
	"testing"
	"time"

	"github.com/chumsync/chum"
	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/object/storetest"
	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

// connect makes a client whose other side serves from mux.
func connect(t *testing.T, mux *rpc.Mux) *chum.Client {
	t.Helper()
	ca, cb := wire.Pipe()
	server, client := rpc.NewPeer(cb, mux, nil), rpc.NewPeer(ca, nil, nil)
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return chum.NewClient(client)
}

func serve(t *testing.T, repo chum.Repository) *chum.Client {
	return connect(t, chum.NewSync(repo).Services(rpc.Public, rpc.Public))
}

// rooted stores the roots of the suite's refs, which are decimal numbers: a server refuses a
// ref whose root it has not.
type rooted struct{ *chum.Client }

func (r rooted) SetRef(ctx context.Context, ref object.Ref) error {
	if _, err := r.Put(ctx, fmt.Append(nil, ref.Root.Size)); err != nil {
		return err
	}
	return r.Client.SetRef(ctx, ref)
}

// TestClientIsAStore holds the far store to what every store promises.
func TestClientIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) interface {
		object.Store
		object.Refs
	} {
		return rooted{serve(t, object.NewMemory())}
	})
}

func TestBlob(t *testing.T) {
	repo := object.NewMemory()
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB: several chunks
	link, err := object.PutFile(t.Context(), repo, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	c := serve(t, repo)
	for _, r := range []struct{ offset, length, end int64 }{
		{0, 0, 4 << 20}, {5, 10, 15}, {1<<20 - 3, 6, 1<<20 + 3}, {4<<20 - 1, 100, 4 << 20}, {4 << 20, 0, 4 << 20},
	} {
		got, err := io.ReadAll(c.Blob(t.Context(), chum.BlobRange{Link: link, Offset: r.offset, Length: r.length}))
		if err != nil || !bytes.Equal(got, content[r.offset:r.end]) {
			t.Errorf("%+v: %d bytes, %v", r, len(got), err)
		}
	}
	for _, r := range []chum.BlobRange{{Link: link, Offset: 4<<20 + 1}, {Link: link, Offset: -1}, {}} {
		if _, err := io.ReadAll(c.Blob(t.Context(), r)); err == nil {
			t.Errorf("%+v: no error", r)
		}
	}
	f, err := object.Open(t.Context(), c, link) // chunk by chunk, each checked
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A liar answers every request with something that cannot be true.
func liar() *rpc.Mux {
	mux := rpc.NewMux(rpc.Public)
	chum.GetObject.Handle(mux, func(context.Context, object.Hash) ([]byte, error) { return []byte("something else"), nil }, rpc.Pure)
	chum.HasObjects.Handle(mux, func(context.Context, []object.Hash) ([]bool, error) { return []bool{true, true}, nil }, rpc.Pure)
	chum.PutObjects.Handle(mux, func(_ context.Context, b chum.Batch) ([]object.Hash, error) {
		return make([]object.Hash, len(b.Sizes)), nil
	}, rpc.Pure)
	chum.GetRef.Handle(mux, func(context.Context, string) (object.Ref, error) { return someRef("other"), nil }, rpc.Pure)
	chum.ListRefs.Handle(mux, func(context.Context, struct{}) iter.Seq2[object.Ref, error] {
		return func(yield func(object.Ref, error) bool) {
			_ = yield(someRef("b"), nil) && yield(someRef("a"), nil)
		}
	})
	return mux
}

func someRef(name string) object.Ref {
	return object.Ref{Name: name, Root: object.Link{Kind: object.KindBlob, Hash: object.Sum(nil)}, Changed: time.Unix(1, 0)}
}

func TestClientBelievesNothing(t *testing.T) {
	c := connect(t, liar())
	ctx := t.Context()
	for what, call := range map[string]func() error{
		"get": func() error { _, err := c.Get(ctx, object.Sum(nil)); return err },
		"has": func() error { _, err := c.Has(ctx, object.Sum(nil)); return err },
		"put": func() error { _, err := c.Put(ctx, []byte("x")); return err },
		"ref": func() error { _, err := c.Ref(ctx, "x"); return err },
		"refs": func() error {
			for _, err := range c.Refs(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		},
	} {
		if err := call(); rpc.CodeOf(err) != rpc.DataLoss {
			t.Errorf("%s: got %v, want data_loss", what, err)
		}
	}
}

// A sender brings what it should not, or not what it should: nothing of it is believed, and
// the name stays as it was.
func TestReceiverBelievesNothing(t *testing.T) {
	blob := []byte("a blob")
	full := object.NewMemory()
	link, err := object.PutTree(t.Context(), full, []object.Entry{
		{Name: "x", Kind: object.KindBlob, Mode: 0o600, Hash: object.Sum(blob), Size: int64(len(blob))},
	})
	if err != nil {
		t.Fatal(err)
	}
	node, err := full.Get(t.Context(), link.Hash)
	if err != nil {
		t.Fatal(err)
	}
	batch := func(objects ...[]byte) (b chum.Batch) {
		for _, o := range objects {
			b.Sizes = append(b.Sizes, len(o))
			b.Data = append(b.Data, o...)
		}
		return b
	}
	for what, c := range map[string]struct {
		in   []chum.Batch
		code rpc.Code
	}{
		"nothing":             {nil, rpc.NotFound},
		"a child is missing":  {[]chum.Batch{batch(node)}, rpc.NotFound},
		"unasked":             {[]chum.Batch{batch(node, blob, []byte("more"))}, rpc.InvalidArgument},
		"child before parent": {[]chum.Batch{batch(blob, node)}, rpc.InvalidArgument},
		"twice":               {[]chum.Batch{batch(node, blob), batch(blob)}, rpc.InvalidArgument},
		"a byte is wrong":     {[]chum.Batch{batch(node, []byte("a bloB"))}, rpc.InvalidArgument},
		"cut short":           {[]chum.Batch{batch(node, blob[:3])}, rpc.InvalidArgument},
		"sizes and data":      {[]chum.Batch{{Sizes: []int{3}, Data: node}}, rpc.InvalidArgument},
		"negative size":       {[]chum.Batch{{Sizes: []int{-1, len(node) + 1}, Data: node}}, rpc.InvalidArgument},
	} {
		t.Run(what, func(t *testing.T) {
			repo := object.NewMemory()
			ref := object.Ref{Name: "x", Root: link, Changed: time.Unix(1, 0)}
			seq := func(yield func(chum.Batch, error) bool) {
				for _, b := range c.in {
					if !yield(b, nil) {
						return
					}
				}
			}
			_, err := serve(t, repo).PutClosure(t.Context(), ref, seq)
			// A batch that is malformed by itself does not even reach the function.
			if code := rpc.CodeOf(err); code != c.code && code != rpc.DataLoss {
				t.Errorf("got %v, want %s", err, c.code)
			}
			if _, err := repo.Ref(t.Context(), "x"); !errors.Is(err, object.ErrNotFound) {
				t.Errorf("the name is set: %v", err)
			}
			if _, err := repo.Get(t.Context(), object.Sum([]byte("more"))); err == nil {
				t.Error("what nobody asked for was stored")
			}
		})
	}
	t.Run("all", func(t *testing.T) {
		repo := object.NewMemory()
		seq := func(yield func(chum.Batch, error) bool) { yield(batch(node, blob), nil) }
		got, err := serve(t, repo).PutClosure(t.Context(), object.Ref{Name: "x", Root: link, Changed: time.Unix(1, 0)}, seq)
		if err != nil || got.Objects != 2 {
			t.Error(got, err)
		}
	})
}

// What one hash names as two kinds is brought over too: a file whose content is a tree's node.
func TestOneHashTwoKinds(t *testing.T) {
	a, b := sides(t)
	inner, err := object.PutTree(t.Context(), a, []object.Entry{{Name: "l", Kind: object.KindSymlink, Target: "t"}})
	if err != nil {
		t.Fatal(err)
	}
	node, err := a.Get(t.Context(), inner.Hash)
	if err != nil {
		t.Fatal(err)
	}
	root, err := object.PutTree(t.Context(), a, []object.Entry{
		{Name: "as-file", Kind: object.KindBlob, Mode: 0o600, Hash: inner.Hash, Size: int64(len(node))},
		{Name: "as-tree", Kind: object.KindTree, Mode: 0o700, Hash: inner.Hash, Size: inner.Size},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.SetRef(t.Context(), object.Ref{Name: "x", Root: root, Changed: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
	b.run(t, chum.Plan{})
	if _, err := b.Ref(t.Context(), "x"); err != nil {
		t.Error(err)
	}
}

func TestSetRefNeedsItsClosure(t *testing.T) {
	c := serve(t, object.NewMemory())
	if err := c.SetRef(t.Context(), someRef("x")); !errors.Is(err, object.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
	if _, err := c.Put(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := c.SetRef(t.Context(), someRef("x")); err != nil {
		t.Error(err)
	}
}

func TestWritingMayBeClosed(t *testing.T) {
	repo := object.NewMemory()
	c := connect(t, chum.NewSync(repo).Services(rpc.Public, chum.Closed))
	for what, err := range map[string]error{
		"put":    func() error { _, err := c.Put(t.Context(), []byte("x")); return err }(),
		"setRef": c.SetRef(t.Context(), someRef("x")),
		"putClosure": func() error {
			_, err := c.PutClosure(t.Context(), someRef("x"), rpc.None[chum.Batch]())
			return err
		}(),
	} {
		if rpc.CodeOf(err) != rpc.PermissionDenied || rpc.ExecutedOf(err) != rpc.No {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := c.Get(t.Context(), object.Sum(nil)); !errors.Is(err, object.ErrNotFound) {
		t.Errorf("reading: %v", err)
	}
}

// fullDisk takes nothing more.
type fullDisk struct{ *object.Memory }

func (fullDisk) Put(context.Context, ...[]byte) ([]object.Hash, error) {
	return nil, &syscallError{syscall.ENOSPC}
}

type syscallError struct{ err error }

func (e *syscallError) Error() string { return "write pack: " + e.err.Error() }
func (e *syscallError) Unwrap() error { return e.err }

func TestFullDiskIsSaid(t *testing.T) {
	_, err := serve(t, fullDisk{object.NewMemory()}).Put(t.Context(), []byte("x"))
	if rpc.CodeOf(err) != rpc.ResourceExhausted {
		t.Error(err)
	}
}
