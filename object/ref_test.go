package object_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chumsync/chum/object"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 1, time.UTC)

func version(n int) object.Link {
	return object.Link{Kind: object.KindTree, Hash: object.Sum(fmt.Append(nil, n)), Size: int64(n)}
}

func TestRefHistory(t *testing.T) {
	all := []object.Ref{{Name: "r", Root: version(0), Changed: epoch}}
	for i := range 200 {
		all = append(all, all[i].Next(version(i%2), epoch)) // the same two roots, the same time: other versions
	}
	seen := map[object.Hash]bool{}
	for i, r := range all {
		noError(t, r.Validate())
		if seen[r.Version()] {
			t.Fatalf("version %d has the id of another", i)
		}
		seen[r.Version()] = true
		if len(r.Past) != min(i, object.MaxPast) {
			t.Fatalf("version %d remembers %d", i, len(r.Past))
		}
		for j, other := range all {
			if want := j <= i && i-j <= object.MaxPast; r.Follows(other) != want {
				t.Fatalf("version %d follows %d: %v", i, j, !want)
			}
		}
	}
}

func TestRefNextSharesNothing(t *testing.T) {
	r := object.Ref{Name: "r", Root: version(0), Changed: epoch, Past: make([]object.Hash, 1, 10)}
	a, b := r.Next(version(1), epoch), r.Next(version(2), epoch.Add(1))
	if a.Past[1] != b.Past[1] || &a.Past[1] == &b.Past[1] {
		t.Error("two successors share their past")
	}
}

func TestMerge(t *testing.T) {
	base := object.Ref{Name: "r", Root: version(0), Changed: epoch}
	grow := func(r object.Ref, n, seed int) (all []object.Ref) {
		for i := range n {
			r = r.Next(version(seed+i), epoch)
			all = append(all, r)
		}
		return all
	}
	for _, n := range []struct{ mine, theirs int }{{1, 1}, {1, 100}, {100, 1}, {100, 100}, {31, 33}} {
		mine, theirs := grow(base, n.mine, 1000), grow(base, n.theirs, 2000)
		a, b := mine[n.mine-1], theirs[n.theirs-1]
		m := object.Merge(a, b, version(9), epoch)
		noError(t, m.Validate())
		if !m.Follows(a) || !m.Follows(b) || a.Follows(m) {
			t.Errorf("%+v: the merge does not follow both", n)
		}
		if again := object.Merge(b, a, version(9), epoch); again.Version() != m.Version() || !slices.Equal(again.Past, m.Past) {
			t.Errorf("%+v: the merge depends on whose it is", n)
		}
		if m.Past[len(m.Past)-1] != a.Version() && m.Past[len(m.Past)-1] != b.Version() {
			t.Errorf("%+v: the last of the past is neither", n)
		}
		for _, history := range [][]object.Ref{mine, theirs} { // of each the newest
			for _, r := range history[max(0, len(history)-object.MaxPast/2):] {
				if !m.Follows(r) {
					t.Errorf("%+v: forgot one of the newest", n)
				}
			}
		}
		copies := slices.Clone(m.Past)
		slices.SortFunc(copies, func(a, b object.Hash) int { return strings.Compare(a.String(), b.String()) })
		if len(slices.Compact(copies)) != len(m.Past) || len(m.Past) > object.MaxPast {
			t.Errorf("%+v: %d past versions, some twice", n, len(m.Past))
		}
	}
}

func TestRefVersion(t *testing.T) {
	r := object.Ref{Name: "r", Root: version(1), Changed: epoch, Past: []object.Hash{object.Sum(nil)}}
	for what, change := range map[string]func(*object.Ref){
		"name":    func(r *object.Ref) { r.Name = "s" },
		"root":    func(r *object.Ref) { r.Root.Hash[0]++ },
		"size":    func(r *object.Ref) { r.Root.Size++ },
		"kind":    func(r *object.Ref) { r.Root.Kind = object.KindFile },
		"time":    func(r *object.Ref) { r.Changed = r.Changed.Add(1) },
		"past":    func(r *object.Ref) { r.Past = []object.Hash{object.Sum([]byte("x"))} },
		"no past": func(r *object.Ref) { r.Past = nil },
	} {
		other := r
		change(&other)
		if other.Version() == r.Version() {
			t.Errorf("another %s, the same version", what)
		}
	}
	// It survives JSON, zones and monotonic clocks.
	for _, changed := range []time.Time{epoch, epoch.In(time.FixedZone("", 3600)), time.Now()} {
		r := object.Ref{Name: "\u65e5 \"", Root: version(1), Changed: changed}.Next(version(2), changed)
		var back object.Ref
		noError(t, json.Unmarshal(must[[]byte](t)(json.Marshal(r)), &back))
		if back.Version() != r.Version() || !back.Follows(r) {
			t.Errorf("%+v reads back as %+v", r, back)
		}
	}
}

func TestHashText(t *testing.T) {
	h := object.Sum([]byte("x"))
	if got := must[object.Hash](t)(object.ParseHash(h.String())); got != h {
		t.Errorf("%s reads back as %s", h, got)
	}
	if text := must[[]byte](t)(h.AppendText([]byte("x"))); string(text) != "x"+h.String() {
		t.Errorf("AppendText: %s", text)
	}
	for _, text := range []string{"", "00", strings.ToUpper(h.String()), h.String() + "0", h.String()[1:], "g" + h.String()[1:], " " + h.String()[1:], "0x" + h.String()[2:]} {
		if got, err := object.ParseHash(text); err == nil || !got.IsZero() {
			t.Errorf("ParseHash(%q) = %s", text, got)
		}
	}
	kept := h
	if err := kept.UnmarshalText([]byte("bad")); err == nil || kept != h {
		t.Error("a failed UnmarshalText changed the hash")
	}
	wantError(t, object.Hash{}.Validate(), nil, "missing or zero")
	noError(t, h.Validate())
}

func TestLinkText(t *testing.T) {
	for _, kind := range []object.Kind{object.KindBlob, object.KindFile, object.KindTree} {
		l := object.Link{Kind: kind, Hash: object.Sum(nil), Size: object.UnknownSize}
		if got := must[object.Link](t)(object.ParseLink(l.String())); got != l {
			t.Errorf("%s reads back as %s", l, got)
		}
	}
	zero, one := strings.Repeat("0", 64), strings.Repeat("1", 64)
	for _, text := range []string{"", one, ":" + one, "symlink:" + one, "Tree:" + one, "tree:", "tree:1", "tree:" + zero, "tree:" + one + ":1", " tree:" + one} {
		if l, err := object.ParseLink(text); err == nil {
			t.Errorf("ParseLink(%q) = %+v", text, l)
		}
	}
	var back object.Link
	noError(t, json.Unmarshal(must[[]byte](t)(json.Marshal(version(5))), &back))
	if back != version(5) {
		t.Errorf("JSON reads back as %+v", back)
	}
}
