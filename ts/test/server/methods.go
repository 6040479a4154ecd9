package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"iter"
	"runtime"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/rpc"
)

// Everything has a member of each sort.
type Everything struct {
	Text  string            `json:"text"`
	Int   int32             `json:"int"`
	Large int64             `json:"large,string"`
	Float float64           `json:"float"`
	Flag  bool              `json:"flag"`
	Bytes []byte            `json:"bytes"`
	List  []string          `json:"list"`
	Map   map[string]uint16 `json:"map"`
	Time  time.Time         `json:"time"`
	Next  *Everything       `json:"next,omitzero"`
}

// Part has its bytes last: they travel raw.
type Part struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
}

// Sum is what was fed to a stream of bytes.
type Sum struct {
	Size   int64  `json:"size" minimum:"0" maximum:"9007199254740991"`
	SHA256 string `json:"sha256"`
}

// Failure is how a method is to fail.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Data    string `json:"data"`
}

const (
	echo      rpc.Method[Everything, Everything] = "echo"
	echoText  rpc.Method[string, string]         = "echoText"
	echoBytes rpc.Method[[]byte, []byte]         = "echoBytes"
	echoPart  rpc.Method[Part, Part]             = "echoPart"
	fail      rpc.Method[Failure, struct{}]      = "fail"
	panics    rpc.Method[struct{}, struct{}]     = "panic"
	hang      rpc.Method[string, struct{}]       = "hang"      // until it is cancelled
	cancelled rpc.Method[string, bool]           = "cancelled" // waits for that
	metadata  rpc.Method[string, string]         = "metadata"
	askBack   rpc.Method[int, int]               = "askBack" // calls the client's "square" of 1 to n, all at once
	once      rpc.Method[string, int]            = "once"    // how often it was called with this word
	memory    rpc.Method[struct{}, uint64]       = "memory"

	count       rpc.Source[int32, int32]           = "count"
	total       rpc.Sink[struct{}, int32, int32]   = "total"
	chat        rpc.Duplex[string, string, string] = "chat"
	read        rpc.Source[int32, []byte]          = "read"    // so many bytes, each its offset mod 251
	write       rpc.Sink[struct{}, []byte, Sum]    = "write"   // reads all
	hold        rpc.Sink[string, []byte, Sum]      = "hold"    // reads nothing until released
	free        rpc.Method[string, struct{}]       = "release" // lets hold read
	back        rpc.Method[int, int]               = "streamBack"
	theirsCount rpc.Source[int, int]               = "count"
	theirsTotal rpc.Sink[struct{}, int, int]       = "total"
	greet       rpc.Method[string, string]         = "greet" // of whom it visits
	square      rpc.Method[int, int]               = "square"
)

// events are what tests wait for, by name.
type events struct {
	mu sync.Mutex
	m  map[string]chan struct{}
}

func (e *events) of(name string) chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.m[name] == nil {
		e.m[name] = make(chan struct{})
	}
	return e.m[name]
}

func services() *rpc.Mux {
	mux := rpc.NewMux(rpc.Public)
	calls(mux)
	streams(mux)
	return mux
}

func calls(mux *rpc.Mux) {
	echo.Handle(mux, func(_ context.Context, v Everything) (Everything, error) { return v, nil })
	echoText.Handle(mux, func(_ context.Context, s string) (string, error) { return s, nil })
	echoBytes.Handle(mux, func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
	echoPart.Handle(mux, func(_ context.Context, p Part) (Part, error) { return p, nil })
	mux.Func("add", func(a, b int) int { return a + b })
	mux.Func("nothing", func() {})
	fail.Handle(mux, func(_ context.Context, f Failure) (struct{}, error) {
		err := rpc.Errorf(rpc.Code(f.Code), "%s", f.Message)
		quoted, unquotable := jsontext.AppendQuote(nil, f.Data)
		if unquotable != nil {
			return struct{}{}, unquotable
		}
		err.Data = quoted
		return struct{}{}, err
	})
	panics.Handle(mux, func(context.Context, struct{}) (struct{}, error) { panic("a secret") })
	ended := &events{m: map[string]chan struct{}{}}
	hang.Handle(mux, func(ctx context.Context, name string) (struct{}, error) {
		<-ctx.Done()
		close(ended.of(name))
		return struct{}{}, ctx.Err()
	})
	cancelled.Handle(mux, func(ctx context.Context, name string) (bool, error) {
		select {
		case <-ended.of(name):
			return true, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	})
	metadata.Handle(mux, func(ctx context.Context, key string) (string, error) { return rpc.Metadata(ctx, key), nil })
	askBack.Handle(mux, func(ctx context.Context, n int) (int, error) {
		promises := make([]*rpc.PromiseOf[int], n)
		for i := range promises {
			promises[i] = square.Go(ctx, rpc.PeerFrom(ctx), i+1)
		}
		sum := 0
		for _, p := range promises {
			v, err := p.Await()
			if err != nil {
				return 0, err
			}
			sum += v
		}
		return sum, nil
	})
	var mu sync.Mutex
	counts := map[string]int{}
	once.Handle(mux, func(_ context.Context, word string) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		counts[word]++
		return counts[word], nil
	})
	memory.Handle(mux, func(context.Context, struct{}) (uint64, error) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, nil
	})
}

func streams(mux *rpc.Mux) {
	count.Handle(mux, func(_ context.Context, n int32) iter.Seq2[int32, error] {
		return func(yield func(int32, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
		}
	})
	total.Handle(mux, func(_ context.Context, _ struct{}, in iter.Seq2[int32, error]) (int32, error) {
		sum := int32(0)
		for v, err := range in {
			if err != nil {
				return 0, err
			}
			sum += v
		}
		return sum, nil
	})
	chat.Handle(mux, func(_ context.Context, who string, in iter.Seq2[string, error]) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for v, err := range in {
				if err != nil || !yield(who+": "+v, nil) {
					return
				}
			}
		}
	})
	rpc.HandleWriter(mux, read, func(_ context.Context, n int32, w io.Writer) error {
		_, err := io.CopyN(w, &pattern{}, int64(n))
		return err
	})
	rpc.HandleReader(mux, write, func(_ context.Context, _ struct{}, r io.Reader) (Sum, error) { return sum(r) })
	released := &events{m: map[string]chan struct{}{}}
	rpc.HandleReader(mux, hold, func(ctx context.Context, name string, r io.Reader) (Sum, error) {
		select {
		case <-released.of(name):
			return sum(r)
		case <-ctx.Done():
			return Sum{}, ctx.Err()
		}
	})
	free.Handle(mux, func(_ context.Context, name string) (struct{}, error) {
		close(released.of(name))
		return struct{}{}, nil
	})
	back.Handle(mux, func(ctx context.Context, n int) (int, error) {
		p := rpc.PeerFrom(ctx)
		return theirsTotal.Call(ctx, p, struct{}{}, theirsCount.Call(ctx, p, n))
	})
}

func sum(r io.Reader) (Sum, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return Sum{Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, err
}

// pattern gives bytes without end, each its offset modulo 251.
type pattern struct{ at int }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(p.at)
		p.at = (p.at + 1) % 251
	}
	return len(b), nil
}
