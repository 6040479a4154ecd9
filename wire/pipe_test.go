package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/chumsync/chum/wire"
)

func TestPipeKeepsOrderAndBoundaries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := wire.Pipe()
		sizes := []int{0, 1, 7, wire.MaxFrame, wire.MaxMessage}
		go func() {
			buf := make([]byte, wire.MaxMessage)
			for i, n := range sizes {
				p := buf[:n]
				for j := range p {
					p[j] = byte(i)
				}
				if err := a.WriteMessage(p); err != nil {
					t.Error(err)
				}
				clear(p) // it is ours again: what the reader has must not change
			}
			a.Close()
		}()
		for i, n := range sizes {
			p, err := b.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the writer has gone on as far as it can
			if len(p) != n || !bytes.Equal(p, bytes.Repeat([]byte{byte(i)}, n)) {
				t.Errorf("message %d: %d bytes, want %d of the value %d", i, len(p), n, i)
			}
		}
		if _, err := b.ReadMessage(); err != io.EOF {
			t.Errorf("after the other end closed: %v, want EOF", err)
		}
	})
}

// Nothing is buffered: a write waits for its reader.
func TestPipeHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := wire.Pipe()
		written := false
		go func() {
			if err := a.WriteMessage([]byte("x")); err != nil {
				t.Error(err)
			}
			written = true
		}()
		synctest.Wait()
		if written {
			t.Error("written while nobody read")
		}
		b.ReadMessage()
		synctest.Wait()
		if !written {
			t.Error("still writing after the message was read")
		}
		a.Close()
		b.Close()
	})
}

func TestPipeClose(t *testing.T) {
	own, far := 0, 1
	for _, test := range []struct {
		name   string
		do     func(wire.Conn) error
		closer int
		want   error
	}{
		{"read, own end closed", read, own, wire.ErrClosed},
		{"read, far end closed", read, far, io.EOF},
		{"write, own end closed", write, own, wire.ErrClosed},
		{"write, far end closed", write, far, io.ErrClosedPipe},
	} {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s before=%v", test.name, before), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, b := wire.Pipe()
					ends := [2]wire.Conn{a, b}
					if before {
						ends[test.closer].Close()
					}
					result := make(chan error, 1)
					go func() { result <- test.do(a) }()
					synctest.Wait() // it is blocked, unless the end was closed before
					for range 2 {   // again: does nothing
						if err := ends[test.closer].Close(); err != nil {
							t.Errorf("Close: %v", err)
						}
					}
					if err := <-result; !errors.Is(err, test.want) {
						t.Errorf("%v, want %v", err, test.want)
					}
					if err := test.do(a); !errors.Is(err, test.want) {
						t.Errorf("once more: %v, want %v: an error is final", err, test.want)
					}
				})
			})
		}
	}
}

func read(c wire.Conn) error  { _, err := c.ReadMessage(); return err }
func write(c wire.Conn) error { return c.WriteMessage([]byte("x")) }

// One reads, one writes and many close, all at once, on either end: nobody is left waiting.
func TestPipeEndsUnderLoad(t *testing.T) {
	for range 500 {
		a, b := wire.Pipe()
		var wg sync.WaitGroup
		for _, c := range []wire.Conn{a, b} {
			wg.Go(func() {
				for read(c) == nil {
				}
			})
			wg.Go(func() {
				for i := 0; write(c) == nil && i < 20; i++ {
				}
				c.Close()
			})
		}
		wg.Wait()
	}
}
