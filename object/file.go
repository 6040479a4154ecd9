package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// File reads a file: a blob, or the chunks beneath a manifest one after
// the other. It gets only the manifests and chunks it needs, and checks each
// against its hash and size. It holds a manifest per level and one chunk; there is
// nothing to close.
//
// ReadAt may be called by many goroutines at the same time; Read, Seek and
// WriteTo share a position and are for one goroutine at a time.
type File struct {
	ctx   context.Context
	store Store
	size  int64
	pos   int64

	mu     sync.Mutex
	path   []span // the manifests that lead to the last chunk, from the root down; nil for a blob
	latest chunk
}

// span is a manifest and where its content begins in the file.
type span struct {
	*node
	start int64
}

// chunk is a piece of content and where it begins in the file.
type chunk struct {
	data  []byte
	start int64
}

// holds reports whether the byte at offset is in c.
func (c chunk) holds(offset int64) bool {
	return c.start <= offset && offset < c.start+int64(len(c.data))
}

var (
	_ io.ReadSeeker = (*File)(nil)
	_ io.ReaderAt   = (*File)(nil)
	_ io.WriterTo   = (*File)(nil)
)

// Open returns the content of the blob or file that l points at, having read
// the object itself. Its methods read from s as long as ctx lasts.
func Open(ctx context.Context, s Store, l Link) (*File, error) {
	if err := wantKind(l, KindBlob, KindFile); err != nil {
		return nil, err
	}
	if l.Kind == KindBlob {
		data, err := readBlob(ctx, s, l)
		if err != nil {
			return nil, err
		}
		return &File{ctx: ctx, store: s, size: int64(len(data)), latest: chunk{data: data}}, nil
	}
	n, err := readNode(ctx, s, l, anyLevel)
	if err != nil {
		return nil, err
	}
	size := n.size()
	return &File{ctx: ctx, store: s, size: size, path: []span{{n, 0}}}, nil
}

// Size returns the length in bytes.
func (f *File) Size() int64 { return f.size }

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	found, err := f.at(f.pos)
	if err != nil {
		return 0, err
	}
	n := copy(p, found.data[f.pos-found.start:])
	f.pos += int64(n)
	return n, nil
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, fmt.Errorf("object: reading at the negative offset %d", offset)
	}
	for n < len(p) {
		found, err := f.at(offset + int64(n))
		if err != nil {
			return n, err
		}
		n += copy(p[n:], found.data[offset+int64(n)-found.start:])
	}
	return n, nil
}

// Seek implements io.Seeker.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += f.pos
	case io.SeekEnd:
		offset += f.size
	default:
		return 0, fmt.Errorf("object: seeking from the unknown place %d", whence)
	}
	if offset < 0 {
		return 0, fmt.Errorf("object: seeking to the negative offset %d", offset)
	}
	f.pos = offset
	return offset, nil
}

// WriteTo implements io.WriterTo: it writes what is left, chunk by chunk.
func (f *File) WriteTo(w io.Writer) (written int64, err error) {
	for {
		found, err := f.at(f.pos)
		if errors.Is(err, io.EOF) {
			return written, nil
		} else if err != nil {
			return written, err
		}
		n, err := w.Write(found.data[f.pos-found.start:])
		written += int64(n)
		f.pos += int64(n)
		if err != nil {
			return written, err
		}
	}
}

// at returns the chunk that holds the byte at offset, io.EOF past the end.
func (f *File) at(offset int64) (chunk, error) {
	if offset >= f.size {
		return chunk{}, io.EOF
	}
	f.mu.Lock()
	latest := f.latest
	f.mu.Unlock()
	if latest.holds(offset) {
		return latest, nil
	}
	link, start, err := f.find(offset)
	if err != nil {
		return chunk{}, err
	}
	// Without the lock: several readers may wait for the store at once.
	data, err := readBlob(f.ctx, f.store, link)
	if err != nil {
		return chunk{}, err
	}
	latest = chunk{data, start}
	f.mu.Lock()
	f.latest = latest
	f.mu.Unlock()
	return latest, nil
}

// find descends to the chunk that holds the byte at offset, which is within
// the file, and returns the link to it and where it begins.
func (f *File) find(offset int64) (Link, int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for depth := 0; ; depth++ {
		here := f.path[depth]
		start, i := here.start, 0
		for start+here.parts[i].Size <= offset {
			start += here.parts[i].Size
			i++
		}
		next := here.parts[i].Link
		if here.level == 0 {
			return next, start, nil
		}
		if depth+1 < len(f.path) && f.path[depth+1].start == start {
			continue // read before
		}
		n, err := readNode(f.ctx, f.store, next, here.childLevel())
		if err != nil {
			return Link{}, 0, err
		}
		f.path = append(f.path[:depth+1], span{n, start})
	}
}
