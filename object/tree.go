package object

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Limits of directory entries, in bytes. They are above what file systems
// take (255 as a rule, 4,095 for a target), so that no directory is refused.
const (
	MaxEntryName = 1024
	MaxTarget    = 4096
)

// Entry is one name in a directory.
type Entry struct {
	// Name is any 1 to MaxEntryName bytes but '/' and NUL, and neither "."
	// nor "..". It need not be UTF-8.
	Name string
	// Kind is KindBlob or KindFile for a file, KindTree for a directory, or
	// KindSymlink.
	Kind Kind
	// Mode is the twelve Unix mode bits: permissions 0o777, sticky 0o1000,
	// setgid 0o2000, setuid 0o4000. A symlink has none.
	Mode uint32
	// Hash and Size are those of the Link to the content. A symlink has none.
	Hash Hash
	Size int64
	// Time is the time of modification, to the nanosecond; zero if it was not
	// kept. A symlink has none.
	Time time.Time
	// Target is where a symlink points: 1 to MaxTarget bytes without NUL. It
	// is kept as it is and never followed here.
	Target string
}

// Link returns the link to the entry's content. It is zero for a symlink.
func (e Entry) Link() Link {
	if e.Kind == KindSymlink {
		return Link{}
	}
	return Link{Kind: e.Kind, Hash: e.Hash, Size: e.Size}
}

// Validate reports what is wrong with an entry, as PutTree does.
func (e Entry) Validate() error {
	if reason := badEntryName(e.Name); reason != "" {
		return fmt.Errorf("%w %.64q in a directory: %s", ErrBadName, e.Name, reason)
	}
	if e.Kind == KindSymlink {
		if e.Mode != 0 || !e.Hash.IsZero() || e.Size != 0 || !e.Time.IsZero() {
			return fmt.Errorf("object: entry %.64q: a symlink has only a name and a target", e.Name)
		}
		if reason := badTarget(e.Target); reason != "" {
			return fmt.Errorf("object: entry %.64q: the target %s", e.Name, reason)
		}
		return nil
	}
	if err := e.Link().Validate(); err != nil {
		return fmt.Errorf("entry %.64q: %w", e.Name, err)
	}
	switch {
	case e.Size == UnknownSize:
		return fmt.Errorf("object: entry %.64q: the size is missing", e.Name)
	case e.Mode > maxMode:
		return fmt.Errorf("object: entry %.64q: mode %o has more than twelve bits", e.Name, e.Mode)
	case e.Target != "":
		return fmt.Errorf("object: entry %.64q: a target, but it is no symlink", e.Name)
	case !e.Time.IsZero() && !timeFits(e.Time):
		return fmt.Errorf("object: entry %.64q: the time is outside the years 1 to 9999", e.Name)
	}
	return nil
}

const maxMode = 0o7777

// MarshalJSON returns the form that the entry has within a tree object.
func (e Entry) MarshalJSON() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	return e.append(nil), nil
}

// badEntryName says what is wrong with a name in a directory, or "".
func badEntryName(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case name == "." || name == "..":
		return "it means a directory"
	case len(name) > MaxEntryName:
		return fmt.Sprintf("it has more than %d bytes", MaxEntryName)
	case strings.ContainsAny(name, "/\x00"):
		return "it has a slash or NUL"
	}
	return ""
}

// badTarget says what is wrong with the target of a symlink, or "".
func badTarget(target string) string {
	switch {
	case target == "":
		return "is empty"
	case len(target) > MaxTarget:
		return fmt.Sprintf("has more than %d bytes", MaxTarget)
	case strings.Contains(target, "\x00"):
		return "has a NUL"
	}
	return ""
}

// append appends the canonical JSON of e, which must be valid.
func (e Entry) append(b []byte) []byte {
	if e.Kind == KindSymlink {
		b = append(b, `{"kind":"symlink",`...)
		b = appendBytes(b, "name", e.Name)
		b = append(b, ',')
		b = appendBytes(b, "target", e.Target)
		return append(b, '}')
	}
	b = append(b, `{"hash":`...)
	b = appendHash(b, e.Hash)
	b = append(b, `,"kind":"`...)
	b = append(b, e.Kind...)
	b = append(b, `","mode":`...)
	b = strconv.AppendUint(b, uint64(e.Mode), 10)
	if !e.Time.IsZero() {
		b = append(b, `,"mtime":`...)
		b = appendTime(b, e.Time)
	}
	b = append(b, ',')
	b = appendBytes(b, "name", e.Name)
	b = append(b, `,"size":`...)
	b = strconv.AppendInt(b, e.Size, 10)
	return append(b, '}')
}

// entry reads what Entry.append writes.
func (s *scanner) entry() (e Entry) {
	if s.next(`{"kind":"symlink",`) {
		e.Kind = KindSymlink
		e.Name = s.bytes("name", MaxEntryName)
		s.expect(`,`)
		e.Target = s.bytes("target", MaxTarget)
		if reason := badTarget(e.Target); reason != "" {
			s.fail("the target %s", reason)
		}
	} else {
		s.expect(`{"hash":`)
		e.Hash = s.hash()
		s.expect(`,"kind":"`)
		e.Kind = s.kind(KindBlob, KindFile, KindTree)
		s.expect(`","mode":`)
		e.Mode = uint32(s.integer(maxMode))
		if s.next(`,"mtime":`) {
			e.Time = s.time()
		}
		s.expect(`,`)
		e.Name = s.bytes("name", MaxEntryName)
		s.expect(`,"size":`)
		e.Size = s.integer(MaxLength)
		if e.Kind == KindBlob && e.Size > MaxSize {
			s.fail("blob of %d bytes", e.Size)
		}
	}
	s.checkEntryName(e.Name)
	s.expect(`}`)
	return e
}

// checkEntryName fails for a name that a directory cannot have.
func (s *scanner) checkEntryName(name string) {
	if reason := badEntryName(name); reason != "" {
		s.fail("name %.64q: %s", name, reason)
	}
}

// PutTree stores a directory with these entries, in any order, and returns
// the link to it. A large directory becomes several nodes (see
// spec/objects.md), which ReadTree and Resolve read as one. What the entries
// point at should be stored before. Two entries of one name are an error.
func PutTree(ctx context.Context, s Store, entries []Entry) (Link, error) {
	w := newWriter(ctx, s)
	l, _, err := putTree(w, entries, 0)
	if err := w.close(err); err != nil {
		return Link{}, err
	}
	return l, nil
}

// putTree gives w the nodes of a directory whose highest child has height
// below height. It returns the link and the height of its root node.
func putTree(w *writer, entries []Entry, height int) (Link, int, error) {
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	split := newSplitter(w, KindTree, height)
	total := int64(0)
	for i, e := range entries {
		if err := e.Validate(); err != nil {
			return Link{}, 0, err
		}
		if i > 0 && e.Name == entries[i-1].Name {
			return Link{}, 0, fmt.Errorf("object: two entries named %.64q in a directory", e.Name)
		}
		if e.Size > MaxLength-total {
			return Link{}, 0, fmt.Errorf("%w: the sizes in a directory add up to more than 2^53-1", ErrTooBig)
		}
		total += e.Size
		if err := split.addEntry(e); err != nil {
			return Link{}, 0, err
		}
	}
	return split.finish()
}

// ReadTree yields the entries of the directory that l points at, in the byte
// order of their names. It reads one node after the other, as the loop gets
// there, and checks that sizes and order hold across nodes. After an error
// the sequence ends.
func ReadTree(ctx context.Context, s Store, l Link) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := wantKind(l, KindTree); err != nil {
			yield(Entry{}, err)
			return
		}
		type pending struct {
			Link
			level int
			last  string // the last name there must be; "" at the root
		}
		todo := []pending{{l, anyLevel, ""}}
		previous := "" // no name sorts before it
		for len(todo) > 0 {
			next := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			n, err := readNode(ctx, s, next.Link, next.level)
			if err == nil && next.last != "" && n.last() != next.last {
				err = fmt.Errorf("reading %s: %w tree: its last name is %.64q, not %.64q", next.Link, ErrMalformed, n.last(), next.last)
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, p := range slices.Backward(n.parts) {
				todo = append(todo, pending{p.Link, n.childLevel(), p.last})
			}
			for _, e := range n.entries {
				if e.Name <= previous {
					yield(Entry{}, fmt.Errorf("reading %s: %w tree: %.64q again after %.64q", next.Link, ErrMalformed, e.Name, previous))
					return
				}
				previous = e.Name
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// Resolve follows path from the directory root and returns the entry there.
// The elements of path are separated by slashes; empty ones and "." are
// passed over, so that "" is root itself, as an Entry without a name. Symlinks
// are not followed: one at the end is returned, one before it is an error, as
// is "..". A path that leads nowhere is ErrNotFound. Of a large directory
// only the nodes on the way are read.
func Resolve(ctx context.Context, s Store, root Link, path string) (Entry, error) {
	if err := root.Validate(); err != nil {
		return Entry{}, err
	}
	here := Entry{Kind: root.Kind, Hash: root.Hash, Size: root.Size}
	walked := ""
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." {
			continue
		}
		if name == ".." {
			return Entry{}, fmt.Errorf("object: path %.256q: \"..\" is not allowed", path)
		}
		if here.Kind != KindTree {
			return Entry{}, fmt.Errorf("%w: path %.256q: %q is a %s, not a directory", ErrNotFound, path, walked, here.Kind)
		}
		e, err := lookup(ctx, s, here.Link(), name)
		if err != nil {
			return Entry{}, fmt.Errorf("path %.256q: %w", path, err)
		}
		here = e
		walked = strings.TrimPrefix(walked+"/"+name, "/")
	}
	if here.Kind != KindSymlink && here.Size == UnknownSize {
		l, err := Sized(ctx, s, here.Link())
		if err != nil {
			return Entry{}, err
		}
		here.Size = l.Size
	}
	return here, nil
}

// lookup returns the entry of that name in the directory l points at.
func lookup(ctx context.Context, s Store, l Link, name string) (Entry, error) {
	level, last := anyLevel, ""
	for {
		n, err := readNode(ctx, s, l, level)
		if err != nil {
			return Entry{}, err
		}
		if last != "" && n.last() != last {
			return Entry{}, fmt.Errorf("reading %s: %w tree: its last name is %.64q, not %.64q", l, ErrMalformed, n.last(), last)
		}
		if i := sort.Search(len(n.entries), func(i int) bool { return n.entries[i].Name >= name }); i < len(n.entries) && n.entries[i].Name == name {
			return n.entries[i], nil
		}
		i := sort.Search(len(n.parts), func(i int) bool { return n.parts[i].last >= name })
		if i == len(n.parts) {
			return Entry{}, fmt.Errorf("%w: no entry %.64q", ErrNotFound, name)
		}
		l, level, last = n.parts[i].Link, n.childLevel(), n.parts[i].last
	}
}
