package chum

import (
	"fmt"

	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/rpc"
)

//go:generate go run ./rpc/docgen

// The methods that two chums call on each other. Each is declared once and used by both
// sides; a [Server] has a function of the same name.
const (
	// GetObject gives the bytes of an object.
	GetObject rpc.Method[object.Hash, []byte] = "getObject"
	// HasObjects tells for each hash whether the object is there.
	HasObjects rpc.Method[[]object.Hash, []bool] = "hasObjects"
	// PutObjects stores objects and gives their hashes once they are durable.
	PutObjects rpc.Method[Batch, []object.Hash] = "putObjects"
	// GetBlob gives the bytes of a blob or file, or a part of them.
	GetBlob rpc.Source[BlobRange, []byte] = "getBlob"
	// GetRef gives the ref of that name.
	GetRef rpc.Method[string, object.Ref] = "getRef"
	// ListRefs gives all refs, ordered by name.
	ListRefs rpc.Source[struct{}, object.Ref] = "listRefs"
	// SetRef stores a ref, if it follows the version that is there and everything beneath its
	// root is there, too.
	SetRef rpc.Method[object.Ref, struct{}] = "setRef"
	// GetClosure gives everything beneath the roots, parents before children, each object once.
	GetClosure rpc.Source[ClosureRequest, Batch] = "getClosure"
	// PutClosure takes everything beneath a ref's root, as GetClosure gives it, and then sets the
	// ref. All of that is durable when it answers.
	PutClosure rpc.Sink[object.Ref, Batch, Received] = "putClosure"
	// GetStatus gives figures of the other side and of its end of the connection.
	GetStatus rpc.Method[struct{}, Status] = "getStatus"
)

// A Batch is several objects, one after the other. On the wire its Data travels raw.
type Batch struct {
	Sizes []int  `json:"sizes" minimum:"0" maximum:"4194304"` // length of each object in bytes
	Data  []byte `json:"data,omitempty"`
}

// Validate checks that the sizes and the data belong together.
func (b Batch) Validate() error {
	rest := len(b.Data)
	for i, n := range b.Sizes {
		if n < 0 || n > object.MaxSize {
			return fmt.Errorf("object %d of the batch has %d bytes; 0 to %d are possible", i+1, n, object.MaxSize)
		}
		if rest -= n; rest < 0 {
			return fmt.Errorf("object %d of the batch ends behind its %d bytes", i+1, len(b.Data))
		}
	}
	if rest > 0 {
		return fmt.Errorf("%d bytes of the batch belong to no object", rest)
	}
	return nil
}

// Objects cuts the batch. The slices point into Data. It must be valid.
func (b Batch) Objects() [][]byte {
	list := make([][]byte, len(b.Sizes))
	rest := b.Data
	for i, n := range b.Sizes {
		list[i], rest = rest[:n:n], rest[n:]
	}
	return list
}

// add appends an object.
func (b *Batch) add(data []byte) {
	b.Sizes = append(b.Sizes, len(data))
	b.Data = append(b.Data, data...)
}

const (
	// batchBytes and batchObjects are where a batch is full: a good portion to send, to hash and
	// to make durable at once.
	batchBytes   = 512 << 10
	batchObjects = 1024
	// maxHashes is how many hashes one call may name.
	maxHashes = 10_000
)

// BlobRange names a part of a file's content.
type BlobRange struct {
	Link   object.Link `json:"link"`                                                    // of a blob or file
	Offset int64       `json:"offset,omitempty" minimum:"0" maximum:"9007199254740991"` // where it begins, in bytes
	Length int64       `json:"length,omitempty" minimum:"0" maximum:"9007199254740991"` // in bytes; 0 means to the end
}

// Validate checks the range by itself.
func (r BlobRange) Validate() error {
	if r.Offset < 0 || r.Length < 0 {
		return fmt.Errorf("range from %d, %d bytes long: neither may be negative", r.Offset, r.Length)
	}
	return r.Link.Validate()
}

// ClosureRequest asks for everything beneath some roots.
type ClosureRequest struct {
	Roots []object.Link `json:"roots"`
	// Have are roots whose closures the asking side holds completely: what is beneath them is
	// left out.
	Have []object.Link `json:"have,omitempty"`
}

// maxRoots is how many roots a ClosureRequest may name, of each sort.
const maxRoots = 1024

// Validate checks the request by itself.
func (r ClosureRequest) Validate() error {
	if len(r.Roots) == 0 || len(r.Roots) > maxRoots || len(r.Have) > maxRoots {
		return fmt.Errorf("%d roots and %d that are there: 1 to %d and 0 to %d are possible", len(r.Roots), len(r.Have), maxRoots, maxRoots)
	}
	for _, list := range [][]object.Link{r.Roots, r.Have} {
		for _, l := range list {
			if err := l.Validate(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Received says what a side took in.
type Received struct {
	Objects int64 `json:"objects" minimum:"0" maximum:"9007199254740991"`
	Bytes   int64 `json:"bytes" minimum:"0" maximum:"9007199254740991"` // of these objects
}

// Status is what a side tells of itself.
type Status struct {
	Version    string    `json:"version"` // of the program
	Refs       int       `json:"refs" minimum:"0" maximum:"9007199254740991"`
	Connection rpc.Stats `json:"connection"` // as that side counts: sent is what it sent
}
