package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A link is a path with a bottleneck, in each direction alike. What arrives waits in
// the bottleneck's queue, leaves it at the rate, and is there after the delay. All
// connections over a link share both. When the queue is full nothing more is taken
// from a sender: its kernel keeps what it writes, as behind a real path. Nothing is
// lost, so TCP's own way of finding the rate is not part of this.
type link struct {
	Rate  int           // bytes a second
	Delay time.Duration // one way
	Queue int           // bytes
}

// linkPiece is what the link takes at a time: a packet's worth.
const linkPiece = 1448

// linkBuffer is what the kernel holds of each connection before the link looks at it.
// It is small beside the queue, which stands for the path's buffer.
const linkBuffer = 16 << 10

// forward takes connections on a loopback port and carries each over the link to
// one of its own to addr, until stop is called.
func (l link) forward(addr string) (via string, stop func(), err error) {
	config := net.ListenConfig{Control: linkSocket}
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	up, down := &bottleneck{link: l}, &bottleneck{link: l}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer near.Close()
				dialer := net.Dialer{Control: linkSocket}
				far, err := dialer.DialContext(ctx, "tcp", addr)
				if err != nil {
					return
				}
				defer far.Close()
				defer context.AfterFunc(ctx, func() { near.Close(); far.Close() })()
				var both sync.WaitGroup
				both.Go(func() { up.carry(far, near) })
				both.Go(func() { down.carry(near, far) })
				both.Wait()
			})
		}
	})
	return listener.Addr().String(), func() { cancel(); _ = listener.Close(); group.Wait() }, nil
}

// linkSocket makes a socket take packets of the usual size and keep few of them.
func linkSocket(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, linkBuffer/2), // Linux doubles it
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, linkPiece),
		)
	})
	return errors.Join(err, failed)
}

// A bottleneck is one direction of a link.
type bottleneck struct {
	link
	mu   sync.Mutex
	free time.Time // when all that has been taken will have left the queue
}

// take puts n bytes into the queue and says when they are at the other end.
func (b *bottleneck) take(n int) (due time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); b.free.Before(now) {
		b.free = now
	}
	b.free = b.free.Add(b.during(n))
	return b.free.Add(b.Delay)
}

// room says from when on the queue has room for a piece.
func (b *bottleneck) room() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.free.Add(-b.during(b.Queue - linkPiece))
}

// during is how long the link takes for n bytes.
func (b *bottleneck) during(n int) time.Duration {
	return time.Duration(int64(n) * int64(time.Second) / int64(b.Rate))
}

// carry brings what src sends to dst, its end too.
func (b *bottleneck) carry(dst, src net.Conn) {
	type piece struct {
		p   *[linkPiece]byte
		n   int
		due time.Time
	}
	pool := sync.Pool{New: func() any { return new([linkPiece]byte) }}
	under := make(chan piece, 1<<14)
	var delivery sync.WaitGroup
	delivery.Go(func() {
		var failed error
		for q := range under {
			if failed != nil {
				continue
			}
			sleepUntil(q.due)
			if q.n == 0 {
				failed = dst.(*net.TCPConn).CloseWrite()
			} else {
				_, failed = dst.Write(q.p[:q.n])
			}
			if failed != nil {
				src.Close()
			}
			pool.Put(q.p)
		}
	})
	var err error
	for err == nil {
		sleepUntil(b.room())
		q := piece{p: pool.Get().(*[linkPiece]byte)}
		q.n, err = src.Read(q.p[:])
		if q.n > 0 || err == io.EOF {
			q.due = b.take(q.n)
			under <- q
		}
	}
	close(under)
	delivery.Wait()
	if err != io.EOF {
		dst.Close()
	}
}

// sleepUntil sleeps to within some ten microseconds; the runtime's timers may be a
// millisecond late when nothing else goes on.
func sleepUntil(t time.Time) {
	for d := time.Until(t); d > 0; d = time.Until(t) {
		ts := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&ts, nil) // a signal cuts it short
	}
}
