package wsrpc_test

import (
	"context"
	"io"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

// The benchmarks run both ends in this process, over a real WebSocket on loopback. For
// comparison with other libraries, in processes of their own, see bench/.

type record struct {
	ID   int     `json:"id"`
	Name string  `json:"name"`
	Text string  `json:"text"`
	Size float64 `json:"size"`
	Done bool    `json:"done"`
}

const (
	benchBytes rpc.Method[[]byte, []byte]      = "bytes"
	benchTyped rpc.Method[record, record]      = "typed"
	benchSleep rpc.Method[[]byte, []byte]      = "sleep"
	benchDown  rpc.Source[int64, []byte]       = "down"
	benchUp    rpc.Sink[struct{}, []byte, int] = "up"
)

func benchPeer(b *testing.B) *rpc.Peer {
	mux := rpc.NewMux(rpc.Public)
	benchBytes.Handle(mux, func(_ context.Context, p []byte) ([]byte, error) { return p, nil })
	benchTyped.Handle(mux, func(_ context.Context, r record) (record, error) { return r, nil })
	benchSleep.Handle(mux, func(ctx context.Context, p []byte) ([]byte, error) {
		work := time.NewTimer(10 * time.Millisecond)
		defer work.Stop()
		select {
		case <-work.C:
		case <-ctx.Done():
		}
		return p, nil
	})
	rpc.HandleWriter(mux, benchDown, func(_ context.Context, n int64, w io.Writer) error {
		buf := make([]byte, 1<<20)
		for ; n > 0; n -= int64(len(buf)) {
			if _, err := w.Write(buf); err != nil {
				return err
			}
		}
		return nil
	})
	rpc.HandleReader(mux, benchUp, func(_ context.Context, _ struct{}, r io.Reader) (int, error) {
		n, err := io.Copy(io.Discard, r)
		return int(n), err
	})
	options := &wsrpc.Options{RPC: rpc.Options{MaxCalls: 20_000}}
	handler := wsrpc.Handler(mux, options)
	server := httptest.NewServer(handler)
	peer, err := wsrpc.Connect(b.Context(), server.URL, nil, options)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		peer.Close()
		_ = handler.Shutdown(context.Background())
		server.Close()
	})
	return peer
}

// open makes b.N calls, so many at a time.
func open(b *testing.B, at int, call func() error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	var wait sync.WaitGroup
	for range at {
		wait.Go(func() {
			for left.Add(-1) >= 0 {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

func BenchmarkCall(b *testing.B) {
	ctx := context.Background()
	p := benchPeer(b)
	data := make([]byte, 100)
	r := record{ID: 123456, Name: "a name of some length", Text: "some more text that is there", Size: 1234.5, Done: true}
	bytes := func() error { _, err := benchBytes.Call(ctx, p, data); return err }
	typed := func() error { _, err := benchTyped.Call(ctx, p, r); return err }
	sleep := func() error { _, err := benchSleep.Call(ctx, p, data); return err }
	b.Run("bytes/open=1", func(b *testing.B) { open(b, 1, bytes) })
	b.Run("bytes/open=100", func(b *testing.B) { open(b, 100, bytes) })
	b.Run("typed/open=1", func(b *testing.B) { open(b, 1, typed) })
	b.Run("typed/open=100", func(b *testing.B) { open(b, 100, typed) })
	b.Run("sleep10ms/open=10000", func(b *testing.B) { open(b, 10_000, sleep) })
}

func BenchmarkStream(b *testing.B) {
	p := benchPeer(b)
	const size = 64 << 20 // an iteration; -benchtime=16x makes it 1 GiB
	b.Run("down", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			if n, err := io.Copy(io.Discard, rpc.Reader(b.Context(), p, benchDown, size)); n != size || err != nil {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("up", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		buf := make([]byte, 1<<20)
		for b.Loop() {
			w := rpc.Writer(b.Context(), p, benchUp, struct{}{})
			for range size / len(buf) {
				if _, err := w.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
			if n, err := w.Result(); n != size || err != nil {
				b.Fatal(n, err)
			}
		}
	})
}

// BenchmarkBeside times a small call every millisecond, alone and beside a stream.
func BenchmarkBeside(b *testing.B) {
	p := benchPeer(b)
	probe := func(b *testing.B) {
		var took []time.Duration
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for b.Loop() {
			<-tick.C
			start := time.Now()
			if _, err := benchBytes.Call(b.Context(), p, make([]byte, 100)); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	}
	b.Run("idle", probe)
	b.Run("stream", func(b *testing.B) {
		r := rpc.Reader(context.Background(), p, benchDown, 1<<40)
		var moved atomic.Int64
		var wait sync.WaitGroup
		wait.Go(func() {
			n, _ := io.Copy(io.Discard, r)
			moved.Store(n)
		})
		probe(b)
		r.Close()
		wait.Wait()
		b.ReportMetric(float64(moved.Load())/b.Elapsed().Seconds()/1e6, "MB/s")
	})
}
