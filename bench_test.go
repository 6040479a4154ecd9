package chum_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chumsync/chum"
	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/object/local"
	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

// BenchmarkSync brings 20,000 objects of 1 KiB in 100 directories from one store on disk to
// another, over a real WebSocket, durable and verified. "again" is the next sync, when nothing
// has changed.
func BenchmarkSync(b *testing.B) {
	from, err := local.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer from.Close()
	const dirs, files = 100, 200
	var top []object.Entry
	for d := range dirs {
		var entries []object.Entry
		var contents [][]byte
		for f := range files {
			data := make([]byte, 1024)
			binary.BigEndian.PutUint64(data, uint64(d*files+f))
			contents = append(contents, data)
			entries = append(entries, object.Entry{
				Name: fmt.Sprint(f), Kind: object.KindBlob, Mode: 0o600, Hash: object.Sum(data), Size: 1024,
			})
		}
		if _, err := from.Put(b.Context(), contents...); err != nil {
			b.Fatal(err)
		}
		link, err := object.PutTree(b.Context(), from, entries)
		if err != nil {
			b.Fatal(err)
		}
		top = append(top, object.Entry{Name: fmt.Sprint(d), Kind: object.KindTree, Mode: 0o700, Hash: link.Hash, Size: link.Size})
	}
	root, err := object.PutTree(b.Context(), from, top)
	if err != nil {
		b.Fatal(err)
	}
	if err := from.SetRef(b.Context(), object.Ref{Name: "bench", Root: root, Changed: time.Unix(1, 0)}); err != nil {
		b.Fatal(err)
	}
	handler := wsrpc.Handler(chum.NewSync(from).Services(rpc.Public, rpc.Public), nil)
	server := httptest.NewServer(handler)
	defer server.Close()
	defer func() { _ = handler.Shutdown(context.Background()) }()

	run := func(b *testing.B, to *local.Store) {
		sync := chum.NewSync(to)
		peer, err := wsrpc.Connect(b.Context(), server.URL, sync.Services(rpc.Public, rpc.Public), nil)
		if err != nil {
			b.Fatal(err)
		}
		defer peer.Close()
		if _, err := sync.Run(b.Context(), peer, chum.Plan{}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(peer.Stats().Received.Bytes), "bytes-received")
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			to, err := local.Open(b.TempDir(), nil)
			if err != nil {
				b.Fatal(err)
			}
			run(b, to)
			to.Close()
		}
		b.ReportMetric(dirs*files*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
	})
	b.Run("again", func(b *testing.B) {
		to, err := local.Open(b.TempDir(), nil)
		if err != nil {
			b.Fatal(err)
		}
		defer to.Close()
		run(b, to)
		for b.Loop() {
			run(b, to)
		}
	})
}
