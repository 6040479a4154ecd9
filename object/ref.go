package object

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxPast is the number of earlier versions a Ref remembers.
const MaxPast = 64

// MaxRefName is the length in bytes of the longest name of a ref.
const MaxRefName = 255

// Ref is a name that points at a root. A ref is changed by replacing it with
// a successor, made by Next or Merge; each version has an id, and each ref
// carries the ids of those it replaces, so that any two copies can be told
// to be equal, one behind the other, or apart, without a clock.
type Ref struct {
	Name    string    `json:"name"`
	Root    Link      `json:"root"`
	Changed time.Time `json:"changed"`        // when this version was made, for people; it decides nothing
	Past    []Hash    `json:"past,omitempty"` // the versions this one replaces, oldest first, at most MaxPast
}

// Version returns the id of this version: the SHA-256 of a canonical JSON
// object made of the name, the root, the time of change (UTC, nanoseconds)
// and the last version in Past, if there is one. spec/objects.md has its form.
func (r Ref) Version() Hash {
	b := append(make([]byte, 0, 512), `{"changed":`...)
	b = appendTime(b, r.Changed)
	b = append(b, `,"name":`...)
	b = appendString(b, r.Name)
	if n := len(r.Past); n > 0 {
		b = append(b, `,"past":`...)
		b = appendHash(b, r.Past[n-1])
	}
	b = append(b, `,"root":`...)
	b = appendLink(b, r.Root)
	return Sum(append(b, `,"type":"ref"}`...))
}

// Next returns the successor of r that points at root and was made at now.
func (r Ref) Next(root Link, now time.Time) Ref {
	past := append(slices.Clone(r.Past), r.Version())
	if n := len(past); n > MaxPast {
		past = past[n-MaxPast:]
	}
	return Ref{Name: r.Name, Root: root, Changed: now.UTC().Round(0), Past: past}
}

// Follows reports whether r may replace older: older's version is among those
// r replaces, or is r's own. It forgets beyond MaxPast versions.
func (r Ref) Follows(older Ref) bool {
	v := older.Version()
	return slices.Contains(r.Past, v) || r.Version() == v
}

// Merge returns a version of mine's name that follows both mine and theirs,
// points at root and was made at now. What it replaces does not depend on
// which of the two is called mine. Where the pasts of both do not fit, the
// newest of each are kept.
func Merge(mine, theirs Ref, root Link, now time.Time) Ref {
	a := append(slices.Clone(mine.Past), mine.Version())
	b := append(slices.Clone(theirs.Past), theirs.Version())
	if bytes.Compare(a[len(a)-1][:], b[len(b)-1][:]) > 0 {
		a, b = b, a
	}
	// From the newest back, one of each in turn, so that neither history
	// pushes the other out.
	newest := make([]Hash, 0, MaxPast)
	add := func(from []Hash) []Hash {
		if len(from) == 0 {
			return nil
		}
		h := from[len(from)-1]
		if len(newest) < MaxPast && !slices.Contains(newest, h) {
			newest = append(newest, h)
		}
		return from[:len(from)-1]
	}
	for len(a)+len(b) > 0 {
		b = add(b)
		a = add(a)
	}
	slices.Reverse(newest)
	return Ref{Name: mine.Name, Root: root, Changed: now.UTC().Round(0), Past: newest}
}

// Validate reports what is wrong with a ref that came from elsewhere.
func (r Ref) Validate() error {
	if err := CheckName(r.Name); err != nil {
		return err
	}
	if err := r.Root.Validate(); err != nil {
		return err
	}
	if r.Root.Size == UnknownSize {
		return fmt.Errorf("object: ref %q: the size of its root is missing", r.Name)
	}
	if !timeFits(r.Changed) {
		return fmt.Errorf("object: ref %q: the time of change is missing or outside the years 1 to 9999", r.Name)
	}
	if len(r.Past) > MaxPast {
		return fmt.Errorf("object: ref %q has %d past versions, the limit is %d", r.Name, len(r.Past), MaxPast)
	}
	for _, h := range r.Past {
		if h.IsZero() {
			return fmt.Errorf("object: ref %q: a past version is zero", r.Name)
		}
	}
	return nil
}

// CheckName reports why name cannot be the name of a ref; the error is
// ErrBadName. A name is 1 to 255 bytes of valid UTF-8 without control
// characters, slashes or backslashes; it is not "." or "..", does not begin
// with a dash, and cannot be mistaken for a hash or a link. It may so be typed
// in a command and used as a file name.
func CheckName(name string) error {
	if err := checkName(name); err != nil {
		shown := name
		if len(shown) > 64 {
			shown = shown[:64] + "..."
		}
		return fmt.Errorf("%w %q: %w", ErrBadName, shown, err)
	}
	return nil
}

func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("it is empty")
	case len(name) > MaxRefName:
		return fmt.Errorf("it has %d bytes, the limit is %d", len(name), MaxRefName)
	case !utf8.ValidString(name):
		return errors.New("it is not valid UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("it has a control character")
	case strings.ContainsAny(name, `/\`):
		return errors.New("it has a slash or backslash, a name is not a path")
	case name == "." || name == "..":
		return errors.New("it means a directory")
	case name[0] == '-':
		return errors.New("it begins with a dash, as an option does")
	case len(name) == 2*HashSize && strings.Trim(name, "0123456789abcdefABCDEF") == "":
		return errors.New("it looks like a hash")
	}
	if kind, _, found := strings.Cut(name, ":"); found && Kind(kind).valid() {
		return errors.New("it looks like a link")
	}
	return nil
}
