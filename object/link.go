package object

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxSize is the size in bytes of the largest object.
const MaxSize = 4 << 20

// MaxLength is the largest Size of a Link: 2^53-1, the largest integer that
// every JSON implementation keeps exactly (RFC 7493, section 2.2).
const MaxLength = 1<<53 - 1

// UnknownSize is the Size of a Link that was given as text only.
const UnknownSize = -1

// Kind says how the bytes of an object are to be read. It belongs to the
// link, not to the object: the same bytes have the same hash under any kind.
type Kind string

// The kinds of objects, and KindSymlink, which is a kind of directory entry only:
// it has no object.
const (
	KindBlob    Kind = "blob"    // bytes, at most MaxSize of them
	KindFile    Kind = "file"    // a manifest: the parts of a long file, in order
	KindTree    Kind = "tree"    // a directory, or one node of a large directory
	KindSymlink Kind = "symlink" // an entry of a directory whose target is in the entry
)

// valid reports whether k is a kind of object.
func (k Kind) valid() bool { return k == KindBlob || k == KindFile || k == KindTree }

// JSONSchema describes the JSON form: the kinds that a Link may have.
func (Kind) JSONSchema() jsontext.Value {
	return jsontext.Value(`{"type":"string","enum":["blob","file","tree"]}`)
}

// Link points at an object and says what to expect there. In JSON it is
// {"hash":"…","kind":"…","size":n}.
type Link struct {
	Kind Kind `json:"kind"`
	Hash Hash `json:"hash"`
	// Size is the number of content bytes beneath: the length of a blob or
	// file, and for a tree the sum over its entries. It is UnknownSize in a
	// link made by ParseLink; readers then do not check it.
	Size int64 `json:"size" minimum:"-1" maximum:"9007199254740991"`
}

// ParseLink reads the text form of a link, such as
// "tree:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".
// The text form carries no size: the result's Size is UnknownSize (see Sized).
func ParseLink(text string) (Link, error) {
	kind, hash, found := strings.Cut(text, ":")
	if !found || !Kind(kind).valid() {
		return Link{}, fmt.Errorf("object: %q is not a link: want blob:HASH, file:HASH or tree:HASH", text)
	}
	h, err := ParseHash(hash)
	if err != nil {
		return Link{}, err
	}
	l := Link{Kind: Kind(kind), Hash: h, Size: UnknownSize}
	return l, l.Validate()
}

// String returns the text form, kind and hash: "tree:9f86…".
func (l Link) String() string { return string(l.Kind) + ":" + l.Hash.String() }

// IsZero reports whether l is the zero value, which points nowhere.
func (l Link) IsZero() bool { return l == Link{} }

// Validate reports what is wrong with a link that came from elsewhere: an
// unknown kind, a missing hash or an impossible size.
func (l Link) Validate() error {
	if !l.Kind.valid() {
		return fmt.Errorf("object: unknown kind of object %q: want blob, file or tree", l.Kind)
	}
	if err := l.Hash.Validate(); err != nil {
		return err
	}
	if l.Size < UnknownSize || l.Size > MaxLength {
		return fmt.Errorf("object: size %d of %s is not between 0 and 2^53-1", l.Size, l)
	}
	if l.Kind == KindBlob && l.Size > MaxSize {
		return fmt.Errorf("%w: blob of %d bytes, the limit is %d", ErrTooBig, l.Size, MaxSize)
	}
	return nil
}
