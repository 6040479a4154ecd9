package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chumsync/chum/object"
)

// Store is what the suite tests: both halves of a store.
type Store interface {
	object.Store
	object.Refs
}

// Run tests the stores that open returns. It calls open once for each part
// of the suite; open returns an empty store and uses t.Cleanup to end it.
func Run(t *testing.T, open func(t *testing.T) interface {
	object.Store
	object.Refs
},
) {
	t.Helper()
	for _, part := range []struct {
		name string
		test func(t *testing.T, s Store)
	}{
		{"Missing", testMissing},
		{"Existing", testExisting},
		{"Sizes", testSizes},
		{"TooBig", testTooBig},
		{"PutMany", testPutMany},
		{"Duplicates", testDuplicates},
		{"OrderOfHas", testOrderOfHas},
		{"SlicesNotShared", testSlicesNotShared},
		{"Concurrent", testConcurrent},
		{"Cancelled", testCancelled},
		{"RefMissing", testRefMissing},
		{"RefCompareAndSet", testRefCompareAndSet},
		{"RefMerge", testRefMerge},
		{"RefFields", testRefFields},
		{"RefOrder", testRefOrder},
		{"RefBad", testRefBad},
		{"RefRace", testRefRace},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, open(t)) })
	}
}

// put stores objects and checks the hashes.
func put(t *testing.T, s Store, objects ...[]byte) []object.Hash {
	t.Helper()
	hashes, err := s.Put(t.Context(), objects...)
	if err != nil {
		t.Fatalf("Put of %d objects: %v", len(objects), err)
	}
	if len(hashes) != len(objects) {
		t.Fatalf("Put of %d objects returned %d hashes", len(objects), len(hashes))
	}
	for i, h := range hashes {
		if h != object.Sum(objects[i]) {
			t.Fatalf("Put returned %s for object %d, want its SHA-256 %s", h, i, object.Sum(objects[i]))
		}
	}
	return hashes
}

// wantObject checks that the store has exactly data.
func wantObject(t *testing.T, s Store, data []byte) {
	t.Helper()
	got, err := s.Get(t.Context(), object.Sum(data))
	if err != nil {
		t.Fatalf("Get of %d bytes: %v", len(data), err)
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("Get returned %d other bytes than the %d put", len(got), len(data))
	}
	wantHas(t, s, object.Sum(data), true)
}

func wantHas(t *testing.T, s Store, h object.Hash, want bool) {
	t.Helper()
	has, err := s.Has(t.Context(), h)
	if err != nil {
		t.Fatalf("Has: %v", err)
	}
	if len(has) != 1 || has[0] != want {
		t.Fatalf("Has(%s) = %v, want [%v]", h, has, want)
	}
}

// wantError checks that err is target.
func wantError(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: error %v, want %v", what, err, target)
	}
}

// random returns n bytes that depend on seed only and do not compress.
func random(n int, seed uint64) []byte {
	key := [32]byte{31: 1}
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails
	return data
}

func testMissing(t *testing.T, s Store) {
	absent := object.Sum([]byte("absent"))
	data, err := s.Get(t.Context(), absent)
	wantError(t, "Get of an absent object", err, object.ErrNotFound)
	if data != nil {
		t.Errorf("Get of an absent object returned %d bytes", len(data))
	}
	_, err = s.Get(t.Context(), object.Hash{})
	wantError(t, "Get of the zero hash", err, object.ErrNotFound)
	wantHas(t, s, absent, false)
	wantHas(t, s, object.Hash{}, false)
	has, err := s.Has(t.Context())
	if err != nil || len(has) != 0 {
		t.Errorf("Has of nothing = %v, %v; want nothing", has, err)
	}
	put(t, s)

	// A neighbour is not taken for it.
	near := object.Sum([]byte("near"))
	put(t, s, []byte("near"))
	near[object.HashSize-1] ^= 1
	_, err = s.Get(t.Context(), near)
	wantError(t, "Get of a hash that differs in its last bit", err, object.ErrNotFound)
	wantHas(t, s, near, false)
}

func testExisting(t *testing.T, s Store) {
	data := []byte("hello, world")
	put(t, s, data)
	wantObject(t, s, data)
	put(t, s, data) // again: no error, nothing changes
	wantObject(t, s, data)
}

func testSizes(t *testing.T, s Store) {
	for _, n := range []int{0, 1, 511, 512, 513, 4095, 4096, 65535, 65536, 1 << 20, object.MaxSize - 1, object.MaxSize} {
		put(t, s, random(n, uint64(n)))
		wantObject(t, s, random(n, uint64(n)))
	}
	for _, n := range []int{4096, object.MaxSize} { // a run of zeros compresses to next to nothing
		put(t, s, make([]byte, n))
		wantObject(t, s, make([]byte, n))
	}
	put(t, s, nil) // nil is the empty object
	wantObject(t, s, []byte{})
}

func testTooBig(t *testing.T, s Store) {
	big, small := make([]byte, object.MaxSize+1), []byte("beside one that is too big")
	for what, objects := range map[string][][]byte{
		"alone": {big}, "first": {big, small}, "last": {small, big},
	} {
		_, err := s.Put(t.Context(), objects...)
		wantError(t, "Put of an object that is too big, "+what, err, object.ErrTooBig)
	}
	wantHas(t, s, object.Sum(big), false)
	wantHas(t, s, object.Sum(small), false)
}

func testPutMany(t *testing.T, s Store) {
	var objects [][]byte
	for i := range 3000 {
		objects = append(objects, random(i%257, uint64(i)), fmt.Append(nil, "object ", i))
	}
	objects = append(objects, random(object.MaxSize, 1), random(object.MaxSize, 2), random(object.MaxSize, 3))
	put(t, s, objects...)
	for _, data := range objects {
		wantObject(t, s, data)
	}
}

func testDuplicates(t *testing.T, s Store) {
	put(t, s, []byte("old"))
	put(t, s, []byte("a"), []byte("b"), []byte("a"), []byte("old"), nil, nil, []byte("a"))
	for _, data := range []string{"a", "b", "old", ""} {
		wantObject(t, s, []byte(data))
	}
}

func testOrderOfHas(t *testing.T, s Store) {
	var hashes []object.Hash
	var want []bool
	for i := range 200 {
		data := fmt.Append(nil, "ordered ", i)
		if i%3 == 0 {
			put(t, s, data)
		}
		hashes = append(hashes, object.Sum(data), object.Sum(data))
		want = append(want, i%3 == 0, i%3 == 0)
	}
	has, err := s.Has(t.Context(), hashes...)
	if err != nil {
		t.Fatalf("Has: %v", err)
	}
	if fmt.Sprint(has) != fmt.Sprint(want) {
		t.Errorf("Has of many hashes = %v, want %v", has, want)
	}
}

func testSlicesNotShared(t *testing.T, s Store) {
	for _, n := range []int{10, 100_000} {
		want := random(n, 7)
		given := bytes.Clone(want)
		put(t, s, given, given[:n/2])
		clear(given) // Put has returned: the slice is ours again
		wantObject(t, s, want)
		wantObject(t, s, want[:n/2])

		got, err := s.Get(t.Context(), object.Sum(want))
		if err != nil {
			t.Fatal(err)
		}
		clear(got)
		_ = append(got, "past the end"...)
		wantObject(t, s, want)
	}
}

func testConcurrent(t *testing.T, s Store) {
	const writers, each = 8, 60
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				// Half of the objects are also put by all the others.
				own, shared := fmt.Append(nil, "own ", w, " ", i), random(1000+i, uint64(i))
				hashes, err := s.Put(t.Context(), own, shared)
				if err != nil {
					t.Errorf("Put: %v", err)
					return
				}
				for j, want := range [][]byte{own, shared} {
					got, err := s.Get(t.Context(), hashes[j])
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("Get after Put returned %d bytes, %v; want %d", len(got), err, len(want))
						return
					}
				}
				has, err := s.Has(t.Context(), hashes...)
				if err != nil || len(has) != 2 || !has[0] || !has[1] {
					t.Errorf("Has after Put = %v, %v", has, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for w := range writers {
		for i := range each {
			wantObject(t, s, fmt.Append(nil, "own ", w, " ", i))
		}
	}
}

func testCancelled(t *testing.T, s Store) {
	data, ref := []byte("kept"), newRef("kept", 1)
	put(t, s, data)
	if err := s.SetRef(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Get(ctx, object.Sum(data))
	wantError(t, "Get", err, context.Canceled)
	_, err = s.Has(ctx, object.Sum(data))
	wantError(t, "Has", err, context.Canceled)
	_, err = s.Put(ctx, []byte("not kept"))
	wantError(t, "Put", err, context.Canceled)
	_, err = s.Ref(ctx, ref.Name)
	wantError(t, "Ref", err, context.Canceled)
	err = s.SetRef(ctx, newRef("not kept", 1))
	wantError(t, "SetRef", err, context.Canceled)
	n := 0
	for _, err := range s.Refs(ctx) {
		wantError(t, "Refs", err, context.Canceled)
		n++
	}
	if n != 1 {
		t.Errorf("Refs with a cancelled context yielded %d times, want one error", n)
	}

	// Nothing of it took effect, and the store still works.
	wantHas(t, s, object.Sum([]byte("not kept")), false)
	_, err = s.Ref(t.Context(), "not kept")
	wantError(t, "Ref that was set with a cancelled context", err, object.ErrNotFound)
	wantObject(t, s, data)
}

// newRef returns a first version of a ref.
func newRef(name string, root int) object.Ref {
	return object.Ref{Name: name, Root: newRoot(root), Changed: at(root)}
}

func newRoot(n int) object.Link {
	return object.Link{Kind: object.KindBlob, Hash: object.Sum(fmt.Append(nil, n)), Size: int64(n)}
}

func at(n int) time.Time { return time.Date(2026, 1, 1, 0, 0, n, 123456789, time.UTC) }

// setRef sets ref and checks that it can be read back.
func setRef(t *testing.T, s Store, ref object.Ref) {
	t.Helper()
	if err := s.SetRef(t.Context(), ref); err != nil {
		t.Fatalf("SetRef(%q): %v", ref.Name, err)
	}
	wantRef(t, s, ref)
}

func wantRef(t *testing.T, s Store, want object.Ref) {
	t.Helper()
	got, err := s.Ref(t.Context(), want.Name)
	if err != nil {
		t.Fatalf("Ref(%q): %v", want.Name, err)
	}
	if got.Version() != want.Version() {
		t.Fatalf("Ref(%q) = %+v, want %+v", want.Name, got, want)
	}
}

func testRefMissing(t *testing.T, s Store) {
	_, err := s.Ref(t.Context(), "absent")
	wantError(t, "Ref of an absent name", err, object.ErrNotFound)
	for ref, err := range s.Refs(t.Context()) {
		t.Errorf("Refs of an empty store yielded %+v, %v", ref, err)
	}
}

func testRefCompareAndSet(t *testing.T, s Store) {
	first := newRef("home", 1)
	second := first.Next(newRoot(2), at(2))
	third := second.Next(newRoot(3), at(3))
	setRef(t, s, first)
	setRef(t, s, first) // the same again
	setRef(t, s, second)
	setRef(t, s, third)

	for what, ref := range map[string]object.Ref{
		"an older version":          first,
		"the version before":        second,
		"another without a past":    newRef("home", 9),
		"a successor of an old one": second.Next(newRoot(4), at(4)),
	} {
		wantError(t, "SetRef of "+what, s.SetRef(t.Context(), ref), object.ErrConflict)
		wantRef(t, s, third)
	}

	// A copy that missed versions in between catches up in one step, and a
	// name that is new here may come with a past.
	setRef(t, s, newRef("far", 1))
	far := newRef("far", 1).Next(newRoot(2), at(2)).Next(newRoot(3), at(3)).Next(newRoot(4), at(4))
	setRef(t, s, far)
	setRef(t, s, newRef("late", 1).Next(newRoot(2), at(2)))
	wantRef(t, s, third) // other names do not touch it
}

func testRefMerge(t *testing.T, s Store) {
	base := newRef("shared", 1)
	mine, theirs := base.Next(newRoot(2), at(2)), base.Next(newRoot(3), at(3))
	setRef(t, s, mine)
	wantError(t, "SetRef of the other branch", s.SetRef(t.Context(), theirs), object.ErrConflict)
	merged := object.Merge(mine, theirs, newRoot(4), at(4))
	setRef(t, s, merged)
	wantError(t, "SetRef of a branch after the merge", s.SetRef(t.Context(), theirs), object.ErrConflict)
	wantRef(t, s, merged)
}

func testRefFields(t *testing.T, s Store) {
	zone := time.FixedZone("far east", 9*3600)
	ref := newRef("every field", 1).Next(newRoot(7), at(7).In(zone)).Next(newRoot(8), at(8).In(zone))
	want := ref
	want.Past = append([]object.Hash{}, ref.Past...)
	setRef(t, s, ref)
	clear(ref.Past) // it is not kept
	got, err := s.Ref(t.Context(), ref.Name)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != want.Name || got.Root != want.Root || !got.Changed.Equal(want.Changed) || fmt.Sprint(got.Past) != fmt.Sprint(want.Past) {
		t.Errorf("Ref = %+v, want %+v", got, want)
	}
	clear(got.Past) // nor shared
	wantRef(t, s, want)
}

func testRefOrder(t *testing.T, s Store) {
	names := []string{"10", "9", "A", "Z", "a", "a b", "a.b", "ab", strings.Repeat("n", object.MaxRefName), "\u00e9", "\u65e5\u672c", "\U0001f600"} // in byte order
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(len(names)) {
		setRef(t, s, newRef(names[i], i))
	}
	var got []string
	for ref, err := range s.Refs(t.Context()) {
		if err != nil {
			t.Fatalf("Refs: %v", err)
		}
		if i := len(got); i >= len(names) || ref.Version() != newRef(names[i], i).Version() {
			t.Fatalf("Refs yielded %+v after %q", ref, got)
		}
		got = append(got, ref.Name)
	}
	if len(got) != len(names) {
		t.Errorf("Refs yielded %q, want %q", got, names)
	}

	// A loop may end early, and may use the store.
	n := 0
	for ref, err := range s.Refs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		setRef(t, s, ref.Next(newRoot(1000), at(1000)))
		if n++; n == 3 {
			break
		}
	}
}

func testRefBad(t *testing.T, s Store) {
	for _, name := range []string{
		"", ".", "..", "a/b", "/", `a\b`, "-rf", "a\nb", "a\x00b", "a\x7fb", "\u0085", "\xff", "a\xc3",
		strings.Repeat("a", object.MaxRefName+1), object.Sum(nil).String(), strings.ToUpper(object.Sum(nil).String()),
		"tree:abc", "blob:", "file:x",
	} {
		wantError(t, fmt.Sprintf("SetRef(%q)", name), s.SetRef(t.Context(), newRef(name, 1)), object.ErrBadName)
		_, err := s.Ref(t.Context(), name)
		wantError(t, fmt.Sprintf("Ref(%q)", name), err, object.ErrBadName)
	}
	for what, change := range map[string]func(*object.Ref){
		"without a root":        func(r *object.Ref) { r.Root = object.Link{} },
		"of an unknown kind":    func(r *object.Ref) { r.Root.Kind = "symlink" },
		"with a negative size":  func(r *object.Ref) { r.Root.Size = -1 },
		"without a time":        func(r *object.Ref) { r.Changed = time.Time{} },
		"with too long a past":  func(r *object.Ref) { r.Past = make([]object.Hash, object.MaxPast+1) },
		"with a zero past hash": func(r *object.Ref) { r.Past = make([]object.Hash, 1) },
	} {
		ref := newRef("bad", 1)
		change(&ref)
		if err := s.SetRef(t.Context(), ref); err == nil {
			t.Errorf("SetRef of a ref %s succeeded", what)
		}
	}
	for ref, err := range s.Refs(t.Context()) {
		t.Errorf("Refs yielded %+v, %v after refused refs only", ref, err)
	}
}

// testRefRace lets writers race for each step of one ref: one wins each.
func testRefRace(t *testing.T, s Store) {
	const writers, steps = 6, 20
	current := newRef("contended", 0)
	setRef(t, s, current)
	for step := range steps {
		won := make([]bool, writers)
		next := make([]object.Ref, writers)
		var wg sync.WaitGroup
		for w := range writers {
			next[w] = current.Next(newRoot(step*writers+w), at(step))
			wg.Go(func() {
				err := s.SetRef(t.Context(), next[w])
				won[w] = err == nil
				if err != nil && !errors.Is(err, object.ErrConflict) {
					t.Errorf("SetRef: %v", err)
				}
			})
		}
		wg.Wait()
		winner := -1
		for w := range writers {
			switch {
			case won[w] && winner >= 0:
				t.Fatalf("step %d: writers %d and %d both replaced the same version", step, winner, w)
			case won[w]:
				winner = w
			}
		}
		if winner < 0 {
			t.Fatalf("step %d: nobody won", step)
		}
		current = next[winner]
		wantRef(t, s, current)
	}
}
