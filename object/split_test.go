package object

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	chunkers "github.com/PlakarKorp/go-cdc-chunkers"
	"github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc"
)

// cutpoint is the chunking rule as spec/objects.md has it: the length of the
// first chunk of data.
func cutpoint(data []byte) int {
	n := min(len(data), maxChunk)
	var maskS, maskL uint64
	for i := range 22 {
		maskS |= 1 << (63 - 2*i)
	}
	for i := range 18 {
		maskL |= 1 << (63 - 3*i)
	}
	fingerprint := uint64(0)
	for i := minChunk; i < n; i++ {
		mask := maskS
		if i >= normalChunk {
			mask = maskL
		}
		fingerprint = fingerprint<<1 + fastcdc.G[data[i]]
		if fingerprint&mask == 0 {
			return i
		}
	}
	return n
}

// The library cuts as the specification says, whatever the reads are like.
func TestChunkingIsAsSpecified(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	data := make([]byte, 24<<20)
	for i := 0; i < len(data); i += 8 {
		binary.LittleEndian.PutUint64(data[i:], random.Uint64())
	}
	clear(data[10<<20 : 16<<20]) // a run without a boundary
	for _, length := range []int{minChunk - 1, minChunk, minChunk + 1, normalChunk, normalChunk + 1, 5 << 20, len(data)} {
		cut, err := chunkers.NewChunkerBuffer(chunkAlgorithm, &oddReader{data[:length], 0}, &chunkers.ChunkerOpts{
			MinSize: minChunk, NormalSize: normalChunk, MaxSize: maxChunk,
		}, make([]byte, 2*maxChunk))
		if err != nil {
			t.Fatal(err)
		}
		for rest := data[:length]; len(rest) > 0; {
			want := cutpoint(rest)
			got, err := cut.Next()
			if !bytes.Equal(got, rest[:want]) {
				t.Fatalf("length %d, %d bytes before the end: cut after %d (%v), want %d", length, len(rest), len(got), err, want)
			}
			rest = rest[want:]
		}
	}
}

// oddReader reads by odd numbers of bytes.
type oddReader struct {
	data []byte
	n    int
}

func (r *oddReader) Read(p []byte) (int, error) {
	r.n = (r.n*7 + 4099) % 100_003
	n := copy(p[:min(len(p), r.n+1)], r.data)
	if n == 0 {
		return 0, io.EOF
	}
	r.data = r.data[n:]
	return n, nil
}

// split is the splitting rule as spec/objects.md has it: how many items each
// node of a level takes.
func split(rule splitting, kind Kind, level int, items []item) (nodes []int) {
	before, after := frame(kind, level)
	size := func(items []item) int {
		n := len(before) + len(after) + len(items) - 1 // the commas
		for _, it := range items {
			n += len(it.json)
		}
		return n
	}
	for len(items) > 0 && size(items) > rule.max {
		n := 1
		for ; size(items[:n+1]) <= rule.max; n++ {
			key := items[n-1].key[4*level : 4*level+4]
			if size(items[:n]) >= rule.min && binary.BigEndian.Uint32(key)&rule.mask == 0 {
				break
			}
		}
		nodes, items = append(nodes, n), items[n:]
	}
	return append(nodes, len(items))
}

// The nodes that a splitter makes, given one item at a time, are those of the
// rule applied to whole lists, on every level.
func TestSplittingIsAsSpecified(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	for round := range 200 {
		kind := []Kind{KindFile, KindTree}[round%2]
		rule := splitting{min: 400 + random.IntN(400), max: 1200 + random.IntN(2000), mask: 1<<random.IntN(4) - 1}
		n := random.IntN(400)
		if kind == KindFile {
			n += 2
		}
		s := NewMemory()
		w := newWriter(t.Context(), s)
		sp := newSplitter(w, kind, 1)
		sp.splitting = rule
		var items []item
		for i := range n {
			l := Link{Kind: KindBlob, Hash: Sum(fmt.Append(nil, round, i)), Size: int64(1 + i)}
			var err error
			if kind == KindFile {
				items = append(items, item{json: appendLink(nil, l), key: l.Hash, part: part{Link: l}})
				err = sp.addChunk(l)
			} else {
				e := Entry{Name: fmt.Sprintf("%05d", i), Kind: KindBlob, Hash: l.Hash, Size: l.Size}
				items = append(items, item{json: e.append(nil), key: Sum([]byte(e.Name)), part: part{Link: l, last: e.Name}})
				err = sp.addEntry(e)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		root, _, err := sp.finish()
		if err := w.close(err); err != nil {
			t.Fatal(err)
		}

		var want Link
		for level := 0; ; level++ {
			var above []item
			for _, n := range split(rule, kind, level, items) {
				before, after := frame(kind, level)
				var list [][]byte
				p := part{Link: Link{Kind: kind}}
				for _, it := range items[:n] {
					list = append(list, it.json)
					p.Size += it.Size
					p.last = it.last
				}
				p.Hash = Sum([]byte(before + string(bytes.Join(list, []byte(","))) + after))
				it := item{json: p.append(nil, kind), key: p.Hash, part: p}
				if kind == KindTree {
					it.key = Sum([]byte(p.last))
				}
				above, items = append(above, it), items[n:]
			}
			if items = above; len(items) == 1 {
				want = items[0].Link
				break
			}
		}
		if root != want {
			t.Fatalf("round %d: %d items of a %s under %+v: root %+v, want %+v", round, n, kind, rule, root, want)
		}
		// And what it made reads back as the same list.
		count := 0
		for n, err := range Walk(t.Context(), s, root, func(l Link) bool { return l.Kind == KindBlob }) {
			if err != nil {
				t.Fatal(err)
			}
			if len(n.Data) > rule.max {
				t.Fatalf("a node of %d bytes, the limit is %d", len(n.Data), rule.max)
			}
			decoded, err := decodeNode(n.Kind, n.Data)
			if err != nil {
				t.Fatal(err)
			}
			if decoded.level == 0 {
				count += len(decoded.entries) + len(decoded.parts)
			}
		}
		if count != n {
			t.Fatalf("%d items, want %d", count, n)
		}
	}
}

func wantTooBig(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, ErrTooBig) {
		t.Errorf("%s: error %v, want ErrTooBig", what, err)
	}
}

func TestSplitterRefusesTooMuch(t *testing.T) {
	w := newWriter(t.Context(), NewMemory())
	sp := newSplitter(w, KindFile, 1)
	sp.splitting = splitting{min: 1, max: 400, mask: 0}
	var err error
	for i := 0; err == nil && i < 10_000; i++ {
		err = sp.addChunk(Link{Kind: KindBlob, Hash: Sum(fmt.Append(nil, i)), Size: 1})
	}
	wantTooBig(t, "a level too many", w.close(err))

	w = newWriter(t.Context(), NewMemory())
	sp = newSplitter(w, KindFile, 1)
	for range 2 {
		if err := sp.addChunk(Link{Kind: KindBlob, Hash: Sum(nil), Size: MaxLength}); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = sp.finish()
	wantTooBig(t, "a sum of sizes past 2^53-1", w.close(err))

	w = newWriter(t.Context(), NewMemory())
	_, err = w.add(0, make([]byte, MaxSize+1))
	wantTooBig(t, "an object too big", w.close(err))
}

// One entry more or less changes few nodes of a large directory.
func TestSmallChangeFewNodes(t *testing.T) {
	entries := make([]Entry, 10_000)
	for i := range entries {
		entries[i] = Entry{Name: fmt.Sprintf("file-%06d.txt", i), Kind: KindBlob, Hash: Sum(fmt.Append(nil, i)), Size: 1}
	}
	s := &putCounter{Memory: NewMemory()}
	put := func(entries []Entry) int {
		s.fresh = 0
		if _, err := PutTree(t.Context(), s, entries); err != nil {
			t.Fatal(err)
		}
		return s.fresh
	}
	whole := put(entries)
	if whole < 15 {
		t.Fatalf("only %d nodes", whole)
	}
	for _, at := range []int{0, 1, 777, 5_000, 9_998, 9_999} {
		if n := put(slices.Delete(slices.Clone(entries), at, at+1)); n > 6 {
			t.Errorf("without entry %d: %d new nodes of %d", at, n, whole)
		}
		added := append(slices.Clone(entries), Entry{Name: entries[at].Name + "+", Kind: KindBlob, Hash: Sum(nil)})
		if n := put(added); n > 6 {
			t.Errorf("with one more after entry %d: %d new nodes of %d", at, n, whole)
		}
		changed := slices.Clone(entries)
		changed[at].Hash = Sum(nil)
		if n := put(changed); n > 3 {
			t.Errorf("with another content of entry %d: %d new nodes of %d", at, n, whole)
		}
	}
}

// putCounter counts objects that are new.
type putCounter struct {
	*Memory
	fresh int
}

func (s *putCounter) Put(ctx context.Context, objects ...[]byte) ([]Hash, error) {
	for _, data := range objects {
		if _, found := s.objects[Sum(data)]; !found {
			s.fresh++
		}
	}
	return s.Memory.Put(ctx, objects...)
}
