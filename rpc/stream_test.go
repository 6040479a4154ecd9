package rpc

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// A call that has failed before its stream has begun takes no item, on either side.
func TestFeedAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		endless := func(yield func(int, error) bool) {
			time.Sleep(time.Second) // the refusal is here
			for i := 0; yield(i, nil); i++ {
			}
		}
		_, err := sum.Call(t.Context(), a, struct{}{}, endless)
		fails(t, err, Unimplemented, No, "")
		for _, err = range twice.Call(t.Context(), a, struct{}{}, endless) {
		}
		fails(t, err, Unimplemented, No, "")
		time.Sleep(2 * time.Second) // until the feed has woken up, too
		w := Writer(t.Context(), a, eat, struct{}{})
		synctest.Wait()
		if n, err := w.Write([]byte("x")); n != 0 || CodeOf(err) != Unimplemented {
			t.Error(n, err)
		}
		_, err = w.Result()
		fails(t, err, Unimplemented, No, "")
		synctest.Wait()
		if s := b.Stats(); s.Late != 0 {
			t.Errorf("%d items were sent", s.Late)
		}
		idle(t, a, b)
	})
}

// A Source's sequence makes a call each time it is ranged over.
func TestSourceTwice(t *testing.T) {
	a, _ := pair(t, testMux())
	seq := count.Call(t.Context(), a, 3)
	for range 2 {
		n := 0
		for v, err := range seq {
			if err != nil || v != n {
				t.Fatal(v, err)
			}
			n++
		}
		if n != 3 {
			t.Error(n)
		}
	}
	if s := a.Stats(); s.Out.Started != 2 {
		t.Errorf("%+v", s)
	}
}

// An error of a stream comes after all items before it.
func TestStreamFails(t *testing.T) {
	const failing Source[struct{}, int] = "failing"
	mux := NewMux(Public)
	failing.Handle(mux, func(context.Context, struct{}) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range 1000 {
				if !yield(i, nil) {
					return
				}
			}
			yield(0, Errorf(OutOfRange, "that was all"))
		}
	})
	HandleWriter(mux, zero, func(_ context.Context, n int64, w io.Writer) error {
		if _, err := w.Write(make([]byte, n)); err != nil {
			return err
		}
		return Errorf(DataLoss, "bad sector")
	})
	a, b := pair(t, mux)
	n, last := 0, error(nil)
	for v, err := range failing.Call(t.Context(), a, struct{}{}) {
		if last = err; err == nil && v == n {
			n++
		}
	}
	fails(t, last, OutOfRange, Yes, "that was all")
	if n != 1000 {
		t.Errorf("%d items came before the error", n)
	}
	k, err := io.Copy(io.Discard, Reader(t.Context(), a, zero, 100_000))
	fails(t, err, DataLoss, Yes, "bad sector")
	if k != 100_000 {
		t.Errorf("%d bytes came before the error", k)
	}
	idle(t, a, b)
}

// A handler that answers before it has taken all is an answer all the same.
func TestSinkAnswersEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const first Sink[struct{}, []byte, int] = "first"
		mux := NewMux(Public)
		first.Handle(mux, func(_ context.Context, _ struct{}, in iter.Seq2[[]byte, error]) (int, error) {
			for v, err := range in {
				return len(v), err
			}
			return -1, nil
		})
		a, b := pair(t, mux)
		endless := func(yield func([]byte, error) bool) {
			for yield(make([]byte, 100), nil) {
			}
		}
		if n, err := first.Call(t.Context(), a, struct{}{}, endless); err != nil || n != 100 {
			t.Error(n, err)
		}
		if n, err := first.Call(t.Context(), a, struct{}{}, None[[]byte]()); err != nil || n != -1 {
			t.Error(n, err)
		}
		w := Writer(t.Context(), a, first, struct{}{})
		n, err := io.Copy(w, zeros{})
		if !errors.Is(err, io.ErrClosedPipe) || n == 0 {
			t.Error(n, err)
		}
		if n, err := w.Result(); err != nil || n == 0 {
			t.Error(n, err)
		}
		synctest.Wait()
		idle(t, a, b)
	})
}

// The byte edges behave as the readers and writers of the standard library do.
func TestByteEdges(t *testing.T) {
	const same Sink[struct{}, []byte, []byte] = "same"
	mux := testMux()
	HandleReader(mux, same, func(_ context.Context, _ struct{}, r io.Reader) ([]byte, error) {
		return io.ReadAll(iotest.OneByteReader(r))
	})
	a, b := pair(t, mux)
	text := strings.Repeat("0123456789", 300)

	if err := iotest.TestReader(Reader(t.Context(), a, zero, 1000), make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	w := Writer(t.Context(), a, same, struct{}{})
	for p := text; p != ""; p = p[3:] {
		if n, err := io.WriteString(w, p[:3]); n != 3 || err != nil {
			t.Fatal(n, err)
		}
	}
	if got, err := w.Result(); err != nil || string(got) != text {
		t.Error(len(got), err)
	}
	// As a stream of pieces.
	got, err := same.Call(t.Context(), a, struct{}{}, Chunks(strings.NewReader(text)))
	if err != nil || string(got) != text {
		t.Error(len(got), err)
	}
	broken := errors.New("bad sector")
	_, err = same.Call(t.Context(), a, struct{}{}, Chunks(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))))
	if !errors.Is(err, broken) || CodeOf(err) != Cancelled {
		t.Error(err)
	}
	w = Writer(t.Context(), a, same, struct{}{})
	if n, err := io.Copy(w, io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))); n != int64(len(text)) || !errors.Is(err, broken) {
		t.Error(n, err)
	}
	w.Cancel()
	_, err = w.Result()
	fails(t, err, Cancelled, Maybe, "")

	r := Reader(t.Context(), a, zero, gigabyte)
	if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err = io.Copy(io.Discard, r)
	fails(t, err, Cancelled, Maybe, "")
	r = Reader(t.Context(), a, zero, gigabyte)
	full := errors.New("disk full")
	if _, err := io.Copy(failingWriter{full}, r); !errors.Is(err, full) {
		t.Error(err)
	}
	r.Close()
	idle(t, a, b)

	// What cannot be sent fails where it is used.
	closedHere, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Reader(closedHere, a, zero, 1).Read(make([]byte, 1))
	fails(t, err, Cancelled, No, "")
	none := Writer(closedHere, a, same, struct{}{})
	_, err = none.Write([]byte("x"))
	fails(t, err, Cancelled, No, "")
	_, err = none.ReadFrom(strings.NewReader("x"))
	fails(t, err, Cancelled, No, "")
	none.Cancel()
	_, err = none.Result()
	fails(t, err, Cancelled, No, "")
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// A long argument goes before the first item, and before the end of a stream without items.
func TestLongArgumentOfStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const join Sink[[]byte, []byte, int] = "join"
		const head Duplex[[]byte, []byte, int] = "head"
		mux := NewMux(Public)
		join.Handle(mux, func(_ context.Context, a []byte, in iter.Seq2[[]byte, error]) (int, error) {
			n := len(a)
			for v, err := range in {
				if err != nil {
					return 0, err
				}
				n += len(v)
			}
			return n, nil
		})
		head.Handle(mux, func(_ context.Context, a []byte, in iter.Seq2[[]byte, error]) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				if !yield(len(a), nil) {
					return
				}
				for v, err := range in {
					if !yield(len(v), err) {
						return
					}
				}
			}
		})
		a, b := pair(t, mux)
		for _, n := range []int{0, bulkFrom, 1 << 20} {
			for _, items := range []int{0, 1, 3} {
				feed := func(yield func([]byte, error) bool) {
					for range items {
						if !yield(make([]byte, 100_000), nil) {
							return
						}
					}
				}
				if got, err := join.Call(t.Context(), a, make([]byte, n), feed); err != nil || got != n+items*100_000 {
					t.Errorf("%d bytes and %d items: %d, %v", n, items, got, err)
				}
				sum := 0
				for v, err := range head.Call(t.Context(), a, make([]byte, n), feed) {
					if err != nil {
						t.Error(err)
					}
					sum += v
				}
				if sum != n+items*100_000 {
					t.Errorf("%d bytes and %d items: %d", n, items, sum)
				}
			}
		}
		idle(t, a, b)
	})
}
