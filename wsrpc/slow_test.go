package wsrpc_test

import (
	"context"
	"encoding/binary"
	"io"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
	"github.com/chumsync/chum/ws"
	"github.com/chumsync/chum/wsrpc"
)

// A hundred readers ask for 100 MB each, as a stream and as long values, and read nothing.
// They cost their windows and what one connection may leave unread, those beside them notice
// nothing, and when they are gone all is given back. That each is cut off within 15 s is for
// package rpc's tests, where the clock is not real: TestAbuseBySilence, TestNeverAcknowledges.
func TestSlowReaders(t *testing.T) {
	const readers, most = 100, 100 << 20 // bytes of heap: a window and some buffers for each
	options := quiet()
	options.RPC.Budget = rpc.NewBudget(32 << 20)
	mux := services()
	const long rpc.Source[int64, []byte] = "long"
	rpc.HandleWriter(mux, long, func(_ context.Context, n int64, w io.Writer) (err error) {
		for piece := make([]byte, 32<<10); n > 0 && err == nil; n -= int64(len(piece)) {
			_, err = w.Write(piece)
		}
		return err
	})
	mux.Func("mega", func() []byte { return make([]byte, 1<<20) })
	handler := wsrpc.Handler(mux, options)
	server := httptest.NewServer(handler)
	defer server.Close()
	honest, err := wsrpc.Connect(t.Context(), server.URL, named("honest"), quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer honest.Close()

	before := heap()
	ask := conversation()
	var conns []wire.Conn
	for range readers {
		conn, err := ws.Dial(t.Context(), server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.WriteMessage(ask); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 200 {
				if _, err := greet.Call(ctx, honest, "hello"); err != nil {
					t.Errorf("an honest call: %v", err)
					return
				}
			}
		})
	}
	wait.Go(func() {
		n, err := zeroBytes(ctx, honest, 32<<20)
		if err != nil || n != 32<<20 {
			t.Errorf("an honest stream: %d bytes, %v", n, err)
		}
	})
	wait.Wait()
	if grown := heap() - before; grown > most {
		t.Errorf("%d MiB for %d readers that read nothing", grown>>20, readers)
	} else {
		t.Logf("%d KiB for each reader that reads nothing, %d MiB of them drawn from the Budget", grown/readers>>10, options.RPC.Budget.Used()>>20)
	}
	for _, c := range conns {
		c.Close()
	}
	for len(handler.Peers()) > 1 {
		if ctx.Err() != nil {
			t.Fatalf("%d peers are still there", len(handler.Peers()))
		}
		runtime.Gosched()
	}
	if n := options.RPC.Budget.Used(); n != 0 {
		t.Errorf("%d bytes are drawn for peers that have gone", n)
	}
}

// conversation is what such a reader says: a hello, then it asks for a stream of 100 MB and for
// 20 values of 1 MiB.
func conversation() []byte {
	frame := func(b []byte, kind wire.Kind, id uint64, payload []byte) []byte {
		return wire.Append(b, wire.Frame{Kind: kind, Own: id > 0, ID: id, Payload: payload})
	}
	request := func(mode byte, method, args string) []byte {
		return append(append([]byte{mode, 0, 0, byte(len(method))}, method...), args...)
	}
	b := frame(nil, wire.Hello, 0, []byte(`{"version":1,"agent":"slow","limits":{"calls":1024,"streams":256,"value":8388608,"window":1048576}}`))
	b = frame(b, wire.Request, 1, request(2, "long", "[100000000]"))
	b = frame(b, wire.Credit, 1, binary.AppendUvarint(nil, 100_000_000))
	for id := range uint64(20) {
		b = frame(b, wire.Request, id+2, request(0, "mega", ""))
	}
	return b
}

func zeroBytes(ctx context.Context, p *rpc.Peer, n int64) (got int64, err error) {
	for b, err := range zero.Call(ctx, p, n) {
		if err != nil {
			return got, err
		}
		got += int64(len(b))
	}
	return got, nil
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
