package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

// chum with its defaults, over a WebSocket as wsrpc makes it; only the limit of
// open calls is raised for scenario sleep.
var (
	chumSystem   = chumWith("chum", wsrpc.Options{}, 0)
	chumTraced   = chumWith("chum, traced", wsrpc.Options{RPC: rpc.Options{Trace: countFrame}}, 0)
	chumStats    = chumWith("chum, statistics read", wsrpc.Options{}, 10*time.Millisecond)
	chumNoResume = chumWith("chum, no resume", wsrpc.Options{NoResume: true}, 0)
)

// chumWindowMiB is what chum keeps of a stream at most on either side.
const chumWindowMiB = 1

const (
	chumBytes rpc.Method[[]byte, []byte]     = "bytes"
	chumSleep rpc.Method[[]byte, []byte]     = "sleep"
	chumTyped rpc.Method[Record, Record]     = "typed"
	chumDown  rpc.Source[int64, []byte]      = "down"
	chumUp    rpc.Sink[int64, []byte, int64] = "up"
)

func chumServices() *rpc.Mux {
	mux := rpc.NewMux(rpc.Public)
	chumBytes.Handle(mux, func(_ context.Context, p []byte) ([]byte, error) { return p, nil })
	chumSleep.Handle(mux, func(_ context.Context, p []byte) ([]byte, error) {
		time.Sleep(handlerSleep)
		return p, nil
	})
	chumTyped.Handle(mux, func(_ context.Context, r Record) (Record, error) {
		r.Number++
		return r, nil
	})
	rpc.HandleWriter(mux, chumDown, func(_ context.Context, size int64, w io.Writer) error {
		return chunks(size, func(p []byte) error {
			_, err := w.Write(p)
			return err
		})
	})
	rpc.HandleReader(mux, chumUp, func(_ context.Context, _ int64, r io.Reader) (int64, error) {
		return io.Copy(io.Discard, r)
	})
	return mux
}

// chumWith is chum with some options and with each side's statistics read so often.
func chumWith(name string, o wsrpc.Options, look time.Duration) system {
	o.RPC.MaxCalls = 1 << 15
	options := &o
	return system{
		name: name,
		serve: func() (string, func(), error) {
			l, err := loopback()
			if err != nil {
				return "", nil, err
			}
			handler := wsrpc.Handler(chumServices(), options)
			server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
			go func() { _ = server.Serve(l) }() // it ends with the server
			watch := every(look, func() {
				for _, p := range handler.Peers() {
					watched.Add(p.Stats().Sent.Bytes)
				}
			})
			return "ws://" + l.Addr().String(), func() { watch(); server.Close() }, nil
		},
		dial: func(ctx context.Context, addr string) (*client, error) {
			peer, err := wsrpc.Connect(ctx, addr, nil, options)
			if err != nil {
				return nil, err
			}
			watch := every(look, func() { watched.Add(peer.Stats().Sent.Bytes) })
			return &client{
				bytes: func(ctx context.Context, p []byte) ([]byte, error) { return chumBytes.Call(ctx, peer, p) },
				sleep: func(ctx context.Context, p []byte) ([]byte, error) { return chumSleep.Call(ctx, peer, p) },
				typed: func(ctx context.Context) error {
					i := sample()
					r, err := chumTyped.Call(ctx, peer, sampleRecords[i])
					if err != nil {
						return err
					}
					return checkRecord(i, r)
				},
				down: func(ctx context.Context, size int64) error {
					r := rpc.Reader(ctx, peer, chumDown, size)
					defer r.Close()
					got, err := io.Copy(io.Discard, r)
					return errors.Join(err, arrived(got, size))
				},
				up: func(ctx context.Context, size int64) error {
					w := rpc.Writer(ctx, peer, chumUp, size)
					err := chunks(size, func(p []byte) error {
						_, err := w.Write(p)
						return err
					})
					if err != nil {
						return err
					}
					got, err := w.Result()
					return errors.Join(err, arrived(got, size))
				},
				close: func() { watch(); peer.Close() },
			}, nil
		},
	}
}

// watched and seen keep what is looked at from being optimized away.
var watched, seen atomic.Uint64

func countFrame(f rpc.TraceFrame) { seen.Add(uint64(len(f.Frame.Payload))) }

// every calls do at an interval until stop is called; never if the interval is 0.
func every(interval time.Duration, do func()) (stop func()) {
	if interval == 0 {
		return func() {}
	}
	over := make(chan struct{})
	go func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				do()
			case <-over:
				return
			}
		}
	}()
	return func() { close(over) }
}
