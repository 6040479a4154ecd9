package object_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/chumsync/chum/object"
)

// recordingStore counts Gets and lies where it is told to.
type recordingStore struct {
	*object.Memory
	mu   sync.Mutex
	gets int
	lies map[object.Hash][]byte
}

func (s *recordingStore) Get(ctx context.Context, h object.Hash) ([]byte, error) {
	s.mu.Lock()
	s.gets++
	lie, found := s.lies[h]
	s.mu.Unlock()
	if found {
		return lie, nil
	}
	return s.Memory.Get(ctx, h)
}

// putLevels stores data in chunks of 1,000 bytes under manifests of 3 parts.
func putLevels(t *testing.T, s object.Store, data []byte) object.Link {
	t.Helper()
	put := func(b []byte) object.Hash { return must[[]object.Hash](t)(s.Put(t.Context(), b))[0] }
	var links []object.Link
	for len(data) > 0 {
		n := min(1000, len(data))
		links = append(links, object.Link{Kind: object.KindBlob, Hash: put(data[:n]), Size: int64(n)})
		data = data[n:]
	}
	for level := 0; level == 0 || len(links) > 1; level++ {
		var above []object.Link
		for len(links) > 0 {
			n := min(3, len(links))
			l := object.Link{Kind: object.KindFile}
			var parts []string
			for _, p := range links[:n] {
				l.Size += p.Size
				parts = append(parts, fmt.Sprintf(`{"hash":"%s","kind":"%s","size":%d}`, p.Hash, p.Kind, p.Size))
			}
			l.Hash = put(fmt.Appendf(nil, `{"level":%d,"parts":[%s],"type":"file"}`, level, strings.Join(parts, ",")))
			above, links = append(above, l), links[n:]
		}
		links = above
	}
	return links[0]
}

func TestFileReader(t *testing.T) {
	s := object.NewMemory()
	random := rand.New(rand.NewPCG(3, 3))
	for _, length := range []int{0, 1, 999, 1000, 1001, 40_000} {
		data := pseudorandom(length, 5)
		links := []object.Link{must[object.Link](t)(object.PutFile(t.Context(), s, bytes.NewReader(data)))}
		if length > 0 {
			links = append(links, putLevels(t, s, data))
		}
		for _, l := range links {
			for _, unknown := range []bool{false, true} {
				if unknown {
					l = must[object.Link](t)(object.ParseLink(l.String()))
				}
				f := must[*object.File](t)(object.Open(t.Context(), s, l))
				if f.Size() != int64(length) {
					t.Errorf("size %d, want %d", f.Size(), length)
				}
				if err := iotest.TestReader(f, data); err != nil {
					t.Errorf("%s of %d bytes: %v", l.Kind, length, err)
				}
				for range 50 {
					from := random.IntN(length + 1)
					n := random.IntN(length - from + 1)
					got := make([]byte, n)
					if _, err := f.ReadAt(got, int64(from)); err != nil || !bytes.Equal(got, data[from:from+n]) {
						t.Fatalf("bytes %d to %d differ or %v", from, from+n, err)
					}
				}
				from := random.IntN(length + 1)
				must[int64](t)(f.Seek(int64(from), io.SeekStart))
				var rest bytes.Buffer
				if n, err := f.WriteTo(&rest); err != nil || int(n) != length-from || !bytes.Equal(rest.Bytes(), data[from:]) {
					t.Errorf("WriteTo from %d wrote %d of %d: %v", from, n, length-from, err)
				}
			}
		}
	}
}

func TestFileReaderBounds(t *testing.T) {
	s := object.NewMemory()
	f := must[*object.File](t)(object.Open(t.Context(), s, putLevels(t, s, pseudorandom(5000, 1))))
	if n, err := f.ReadAt(make([]byte, 10), 4995); n != 5 || err != io.EOF {
		t.Errorf("ReadAt past the end: %d, %v", n, err)
	}
	if n, err := f.ReadAt(make([]byte, 10), 1<<60); n != 0 || err != io.EOF {
		t.Errorf("ReadAt far past the end: %d, %v", n, err)
	}
	_, err := f.ReadAt(make([]byte, 1), -1)
	wantError(t, err, nil, "negative offset")
	_, err = f.Seek(-1, io.SeekStart)
	wantError(t, err, nil, "negative offset")
	_, err = f.Seek(0, 9)
	wantError(t, err, nil, "unknown place")
	if at, err := f.Seek(3, io.SeekEnd); at != 5003 || err != nil {
		t.Errorf("Seek past the end: %d, %v", at, err)
	}
	if n, err := f.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read past the end: %d, %v", n, err)
	}
	if n, err := f.WriteTo(io.Discard); n != 0 || err != nil {
		t.Errorf("WriteTo past the end: %d, %v", n, err)
	}
	must[int64](t)(f.Seek(0, io.SeekStart))
	_, err = f.WriteTo(errorWriter{})
	wantError(t, err, errDisk, "")
}

type errorWriter struct{}

func (errorWriter) Write([]byte) (int, error) { return 0, errDisk }

// A range reads only the chunks it lies in and the manifests on the way.
func TestFileReadsOnlyWhatItNeeds(t *testing.T) {
	s := &recordingStore{Memory: object.NewMemory()}
	data := pseudorandom(100_000, 1) // 100 chunks, 34 + 12 + 4 + 2 + 1 manifests
	l := putLevels(t, s, data)
	f := must[*object.File](t)(object.Open(t.Context(), s, l))
	for _, test := range []struct{ from, n, gets int }{
		{49_500, 100, 6}, // 1 root, 4 below, 1 chunk
		{49_600, 399, 6}, // the same chunk
		{49_999, 2, 7},   // the next chunk of the same manifest
		{50_001, 0, 7},
	} {
		if _, err := f.ReadAt(make([]byte, test.n), int64(test.from)); err != nil {
			t.Fatal(err)
		}
		if s.gets > test.gets {
			t.Errorf("%d bytes from %d: %d Gets by now, want %d", test.n, test.from, s.gets, test.gets)
		}
	}
	s.gets = 0
	must[int64](t)(io.Copy(io.Discard, f))
	if s.gets > 100+34+12+4+2 {
		t.Errorf("%d Gets for the whole file", s.gets)
	}
}

func TestFileReadAtConcurrently(t *testing.T) {
	s := object.NewMemory()
	data := pseudorandom(50_000, 1)
	f := must[*object.File](t)(object.Open(t.Context(), s, putLevels(t, s, data)))
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 200 {
				from := (w*7919 + i*997) % 49_000
				got := make([]byte, 1000)
				if _, err := f.ReadAt(got, int64(from)); err != nil || !bytes.Equal(got, data[from:from+1000]) {
					t.Errorf("1000 bytes from %d differ or %v", from, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestOpenRefuses(t *testing.T) {
	s := &recordingStore{Memory: object.NewMemory()}
	blob := must[object.Link](t)(object.PutFile(t.Context(), s, strings.NewReader("content")))
	tree := must[object.Link](t)(object.PutTree(t.Context(), s, nil))
	long := putLevels(t, s, pseudorandom(9000, 1))
	change := func(l object.Link, f func(*object.Link)) object.Link { f(&l); return l }
	for _, test := range []struct {
		what   string
		link   object.Link
		target error
		text   string
	}{
		{"a directory", tree, nil, "where one of the kinds [blob file] belongs"},
		{"nothing", object.Link{}, nil, "unknown kind"},
		{"an absent blob", change(blob, func(l *object.Link) { l.Hash[0]++ }), object.ErrNotFound, "reading blob:"},
		{"an absent file", change(long, func(l *object.Link) { l.Hash[0]++ }), object.ErrNotFound, "reading file:"},
		{"a blob of another size", change(blob, func(l *object.Link) { l.Size++ }), object.ErrMalformed, "7 bytes where its link says 8"},
		{"a file of another size", change(long, func(l *object.Link) { l.Size-- }), object.ErrMalformed, "9000 bytes where its link says 8999"},
		{"a blob as a file", change(blob, func(l *object.Link) { l.Kind = object.KindFile }), object.ErrMalformed, "at byte 0"},
	} {
		_, err := object.Open(t.Context(), s, test.link)
		t.Log(test.what, err)
		wantError(t, err, test.target, test.text)
		_, err = object.Sized(t.Context(), s, object.Link{Kind: test.link.Kind, Hash: test.link.Hash, Size: object.UnknownSize})
		if errors.Is(test.target, object.ErrNotFound) {
			wantError(t, err, test.target, test.text)
		}
	}

	// Chunks and manifests below are checked when they are read.
	below := must[[]object.Link](t)(object.Links(object.KindFile, must[[]byte](t)(s.Get(t.Context(), long.Hash))))
	whole := must[[]byte](t)(s.Get(t.Context(), below[1].Hash))
	for what, lie := range map[string][]byte{
		"shorter":           []byte(`{"level":0,"parts":[{"hash":"` + blob.Hash.String() + `","kind":"blob","size":7}],"type":"file"}`),
		"of another level":  []byte(strings.ReplaceAll(strings.Replace(string(whole), `"level":0`, `"level":1`, 1), `"blob"`, `"file"`)),
		"not canonical":     append(bytes.Clone(whole), ' '),
		"too big to decode": make([]byte, object.MaxSize+1),
	} {
		s.lies = map[object.Hash][]byte{below[1].Hash: lie}
		f := must[*object.File](t)(object.Open(t.Context(), s, long))
		if n, err := io.Copy(io.Discard, f); n != 3000 || !errors.Is(err, object.ErrMalformed) && !errors.Is(err, object.ErrTooBig) {
			t.Errorf("a manifest %s: read %d bytes, %v", what, n, err)
		}
		_, err := f.ReadAt(make([]byte, 10), 3500)
		if err == nil {
			t.Errorf("a manifest %s: read", what)
		}
	}
	chunks := must[[]object.Link](t)(object.Links(object.KindFile, whole))
	s.lies = map[object.Hash][]byte{chunks[0].Hash: make([]byte, 999)}
	f := must[*object.File](t)(object.Open(t.Context(), s, long))
	_, err := io.ReadAll(f)
	wantError(t, err, object.ErrMalformed, "999 bytes where its link says 1000")
}

func TestPutFileErrors(t *testing.T) {
	for _, n := range []int{10, 3 << 20, 1<<20 + 1} {
		r := io.MultiReader(bytes.NewReader(pseudorandom(n, 1)), iotest.ErrReader(errDisk))
		_, err := object.PutFile(t.Context(), object.NewMemory(), r)
		wantError(t, err, errDisk, "")
	}
}
