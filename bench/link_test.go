package main

import (
	"io"
	"math"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestBottleneck holds the model to its rate, delay and queue, in a time that is exact.
func TestBottleneck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bottleneck{link: link{Rate: 1000, Delay: 10 * time.Second, Queue: linkPiece + 3000}}
		begin := time.Now()
		at := func(what string, got time.Time, want time.Duration) {
			t.Helper()
			if got.Sub(begin) != want {
				t.Errorf("%s: %v, want %v", what, got.Sub(begin), want)
			}
		}
		at("nothing waits", b.take(1000), 11*time.Second)
		at("behind the first", b.take(2000), 13*time.Second)
		at("there is room", b.room(), 0)
		at("behind both", b.take(1000), 14*time.Second)
		at("no room until a second's worth has left", b.room(), time.Second)
		time.Sleep(20 * time.Second)
		at("all has left", b.take(1000), 31*time.Second)
	})
}

// TestLink measures what a link does with real connections. A machine that is busy
// makes any link slow, so it has some tries.
func TestLink(t *testing.T) {
	for _, test := range []struct {
		name string
		link link
	}{{"fast", fastLink}, {"slow", slowLink}, {"far", farLink}} {
		t.Run(test.name, func(t *testing.T) {
			server, stop, err := listen(func(c net.Conn) {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			via, stopLink, err := test.link.forward(server)
			if err != nil {
				t.Fatal(err)
			}
			defer stopLink()
			small, err := net.Dial("tcp", via)
			if err != nil {
				t.Fatal(err)
			}
			defer small.Close()
			for begin := time.Now(); ; {
				least, rate, behind := driveLink(t, test.link, via, small)
				t.Logf("least round trip %v; rate %.3f; behind a full queue %v more", least, rate, behind)
				both := 2 * test.link.Delay
				if least < both {
					t.Fatalf("a round trip took %v, which is less than two delays, %v", least, both)
				}
				full := time.Duration(float64(test.link.Queue) / float64(test.link.Rate) * float64(time.Second))
				// Bulk and call meet before the queue too, and who of them is taken first is chance.
				if least <= both+time.Millisecond && math.Abs(rate-1) <= 0.03 && behind > full/2 && behind < 2*full {
					return
				}
				if time.Since(begin) > 20*time.Second {
					t.Fatalf("never a round trip within 1 ms of %v with a rate within 3 %% and a wait of about %v behind a full queue", both, full)
				}
			}
		})
	}
}

// driveLink measures the fastest round trip on small, the rate of a bulk transfer to
// the link's, and how much longer a round trip takes beside it.
func driveLink(t *testing.T, l link, via string, small net.Conn) (least time.Duration, rate float64, behind time.Duration) {
	t.Helper()
	ping := func() time.Duration {
		begin := time.Now()
		if _, err := small.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := readFull(small, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		return time.Since(begin)
	}
	least = math.MaxInt64
	for range 5 {
		least = min(least, ping())
	}

	bulk, err := net.Dial("tcp", via)
	if err != nil {
		t.Fatal(err)
	}
	defer bulk.Close()
	size := int64(2*l.Queue + l.Rate/4)
	sent := make(chan error, 1)
	go func() {
		err := chunks(size, func(p []byte) error {
			_, err := bulk.Write(p)
			return err
		})
		if err == nil {
			err = bulk.(*net.TCPConn).CloseWrite()
		}
		sent <- err
	}()
	first := int64(l.Queue) // then the queue is full
	if _, err := io.CopyN(io.Discard, bulk, first); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	behind = ping() - 2*l.Delay
	rest, err := io.Copy(io.Discard, bulk)
	if err != nil || rest != size-first {
		t.Fatalf("%d of %d bytes came back, error %v", rest, size-first, err)
	}
	rate = float64(rest) / time.Since(begin).Seconds() / float64(l.Rate)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	return least, rate, behind
}
