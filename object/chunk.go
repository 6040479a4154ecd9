package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	chunkers "github.com/PlakarKorp/go-cdc-chunkers"
	_ "github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc" // registers the algorithm
)

// Chunking names the rule by which long files are cut: FastCDC (Xia et al.,
// USENIX ATC 2016) in the variant that go-cdc-chunkers calls fastcdc-v1.0.0,
// without key, with these sizes. It is part of the format: other parameters
// would be another name. spec/objects.md gives it in full.
const Chunking = "fastcdc-v1.0.0/256KiB-1MiB-4MiB"

const (
	chunkAlgorithm = "fastcdc-v1.0.0"
	minChunk       = 256 << 10
	normalChunk    = 1 << 20
	maxChunk       = MaxSize

	// A file of at most so many bytes is one blob and not chunked.
	maxWhole = 1 << 20
)

// PutFile stores what r yields, to its end, and returns the link to it: a
// blob if it has at most 1 MiB or is one chunk, else a file, cut into chunks
// by Chunking. The same bytes always give the same link. Memory stays bounded
// whatever the length. All is durable when it returns nil; after an error
// some chunks may have been stored, which is harmless.
func PutFile(ctx context.Context, s Store, r io.Reader) (Link, error) {
	w := newWriter(ctx, s)
	l, _, err := new(chunker).put(w, r, 0)
	if err := w.close(err); err != nil {
		return Link{}, err
	}
	return l, nil
}

// chunker cuts files. It keeps its buffer from one file to the next; one
// goroutine uses it at a time.
type chunker struct {
	buffer []byte
	chunk  func(size int) // called for each chunk or blob, if not nil
}

// put gives w the objects of the file that r yields, expected to have about
// size bytes. It returns the link and the height of its root.
func (c *chunker) put(w *writer, r io.Reader, size int64) (Link, int, error) {
	r = contextReader{w.ctx, r}
	// One byte more than fits, to see whether there is more.
	start := bytes.NewBuffer(make([]byte, 0, max(512, min(size+bytes.MinRead, maxWhole+bytes.MinRead))))
	if _, err := io.CopyN(start, r, maxWhole+1); err == io.EOF {
		l, err := c.leaf(w, start.Bytes())
		return l, 0, err
	} else if err != nil {
		return Link{}, 0, err
	}

	if c.buffer == nil {
		c.buffer = make([]byte, 2*maxChunk)
	}
	cut, err := chunkers.NewChunkerBuffer(chunkAlgorithm, io.MultiReader(start, r), &chunkers.ChunkerOpts{
		MinSize: minChunk, NormalSize: normalChunk, MaxSize: maxChunk,
	}, c.buffer)
	if err != nil {
		return Link{}, 0, fmt.Errorf("object: %w", err)
	}
	split := newSplitter(w, KindFile, 1)
	for {
		chunk, end := cut.Next()
		if end != nil && !errors.Is(end, io.EOF) {
			return Link{}, 0, end
		}
		if len(chunk) > 0 {
			l, err := c.leaf(w, bytes.Clone(chunk))
			if err == nil {
				err = split.addChunk(l)
			}
			if err != nil {
				return Link{}, 0, err
			}
		}
		if end != nil {
			return split.finish()
		}
	}
}

// leaf gives w one blob.
func (c *chunker) leaf(w *writer, data []byte) (Link, error) {
	h, err := w.add(0, data)
	if err != nil {
		return Link{}, err
	}
	if c.chunk != nil {
		c.chunk(len(data))
	}
	return Link{Kind: KindBlob, Hash: h, Size: int64(len(data))}, nil
}

// contextReader reads until its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, fmt.Errorf("object: %w", context.Cause(r.ctx))
	}
	return r.r.Read(p)
}
