package main

import (
	"context"
	"errors"
	"time"
)

var streamScenario = scenario{
	name:  "stream",
	title: "1 GiB in one stream",
	cases: []benchCase{
		{
			name: "server to client", systems: []string{"chum", "raw TCP", "gobwas/ws", "coder/websocket", "grpc-go", "grpc-go, raw codec", "NATS", "connect-go", "drpc", "yamux + net/rpc", "jrpc2", "go-ethereum/rpc", "sourcegraph/jsonrpc2"},
			columns: streamColumns,
			run:     stream(down),
		},
		{
			name: "client to server", systems: []string{"chum", "raw TCP", "gobwas/ws", "coder/websocket", "grpc-go", "grpc-go, raw codec", "NATS", "connect-go", "drpc", "yamux + net/rpc"},
			columns: streamColumns,
			run:     stream(up),
		},
	},
}

var streamColumns = []string{"MB/s", "CPU s/GiB", "client peak MiB", "server peak MiB"}

// stream measures one transfer of the size's bytes. Peak is the most resident
// memory of a process above what it had before.
func stream(what func(*client) transfer) func(context.Context, *lab, system) (metrics, error) {
	return func(ctx context.Context, l *lab, s system) (metrics, error) {
		c, err := s.dial(ctx, l.Addr)
		if err != nil {
			return nil, err
		}
		defer c.close()
		transfer := what(c)
		if transfer == nil {
			return nil, errors.New("bench: the system has no such transfer")
		}
		if err := transfer(ctx, 1<<20); err != nil { // the connection is there and all code has run
			return nil, err
		}
		if err := l.start(); err != nil {
			return nil, err
		}
		begin := time.Now()
		size := s.transferSize(l.Size)
		if err := transfer(ctx, size); err != nil {
			return nil, err
		}
		took := time.Since(begin)
		client, server, err := l.stop()
		if err != nil {
			return nil, err
		}
		return metrics{
			"MB/s":            float64(size) / 1e6 / took.Seconds(),
			"CPU s/GiB":       (client.CPU + server.CPU).Seconds() / (float64(size) / (1 << 30)),
			"client peak MiB": float64(client.Peak) / (1 << 20),
			"server peak MiB": float64(server.Peak) / (1 << 20),
			"peak MiB":        float64(max(client.Peak, server.Peak)) / (1 << 20),
		}, nil
	}
}
