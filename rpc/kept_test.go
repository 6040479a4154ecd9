package rpc

import (
	"context"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// A near link is one on which short writes are put together.
const nearRate, nearRoundTrip = 1e9, 200 * time.Microsecond

// pattern is a stream whose byte at n tells n, more or less.
func pattern(n int) byte { return byte(n ^ n>>8 ^ n>>16) }

// Bytes written by pieces of any length come in order and whole, and none stays behind while
// the writer rests.
func TestPiecesArriveInOrder(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, nearRate, nearRoundTrip)
			defer l.end()
			rnd := rand.New(rand.NewPCG(seed, 0))
			const feed Sink[struct{}, []byte, int] = "feed"
			came := make(chan int, 1<<16)
			HandleReader(l.b.mux, feed, func(_ context.Context, _ struct{}, r io.Reader) (int, error) {
				n, buf := 0, make([]byte, 100_000)
				for {
					k, err := r.Read(buf)
					for i, b := range buf[:k] {
						if b != pattern(n+i) {
							t.Errorf("seed %d: byte %d is wrong", seed, n+i)
							return n, nil
						}
					}
					n += k
					came <- n
					if err == io.EOF {
						return n, nil
					} else if err != nil {
						return n, err
					}
				}
			})
			w := Writer(t.Context(), l.a, feed, struct{}{})
			sent, seen := 0, 0
			for range 300 {
				piece := make([]byte, 1+rnd.IntN([]int{100, 9000, 40_000, 70_000, 400_000}[rnd.IntN(5)]))
				for i := range piece {
					piece[i] = pattern(sent + i)
				}
				n, err := w.Write(piece)
				if err != nil || n != len(piece) {
					t.Fatalf("seed %d: wrote %d of %d: %v", seed, n, len(piece), err)
				}
				sent += n
				if rnd.IntN(20) == 0 {
					l.link.in.wait(20 * time.Millisecond)
					for len(came) > 0 {
						seen = <-came
					}
					if seen != sent {
						t.Fatalf("seed %d: %d bytes were written, and %d came though the writer rests", seed, sent, seen)
					}
				}
			}
			if n, err := w.Result(); n != sent || err != nil {
				t.Fatalf("seed %d: %d of %d bytes came: %v", seed, n, sent, err)
			}
		})
	}
}

// Close by, a stream's writes go out several in a message.
func TestWritesArePutTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, nearRate, nearRoundTrip)
		defer l.end()
		w := Writer(t.Context(), l.a, eat, struct{}{})
		const pieces = 2000
		piece := make([]byte, 16<<10)
		for range pieces {
			if _, err := w.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Result(); err != nil {
			t.Fatal(err)
		}
		if n := l.a.Stats().Sent.Messages; n > pieces/2 {
			t.Errorf("%d writes made %d messages", pieces, n)
		}
	})
}

// What is kept goes when the call is cancelled, and its memory with it.
func TestKeptIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, nearRate, nearRoundTrip)
		defer l.end()
		w := Writer(t.Context(), l.a, eat, struct{}{})
		for range 100 {
			if _, err := w.Write(make([]byte, 16<<10)); err != nil {
				t.Fatal(err)
			}
		}
		w.Cancel()
		if _, err := w.Write(make([]byte, 16<<10)); err == nil {
			t.Error("a write after the cancel went well")
		}
		synctest.Wait()
		if s := l.a.Stats(); s.Waiting != 0 {
			t.Errorf("%d bytes still wait", s.Waiting)
		}
		l.a.mu.Lock()
		if n := len(l.a.line.held); n != 0 {
			t.Errorf("%d flows are still held", n)
		}
		l.a.mu.Unlock()
	})
}

// A stream may be written to before the other side has said hello.
func TestWriteBeforeHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := wire.Pipe()
		a := NewPeer(near, nil, nil)
		defer a.Close()
		w := Writer(t.Context(), a, eat, struct{}{})
		wrote := make(chan error, 1)
		go func() {
			_, err := w.Write(make([]byte, 20_000))
			wrote <- err
		}()
		synctest.Wait() // it waits for credit
		b := NewPeer(far, testMux(), nil)
		defer b.Close()
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		if n, err := w.Result(); n != 20_000 || err != nil {
			t.Fatalf("%d bytes came: %v", n, err)
		}
	})
}
