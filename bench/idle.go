package main

import (
	"context"
	"fmt"
)

var idleScenario = scenario{
	name:  "idle",
	title: "idle connections",
	cases: []benchCase{{
		name: "connections", systems: []string{"chum", "raw TCP", "gobwas/ws", "coder/websocket", "grpc-go", "NATS", "connect-go", "drpc", "yamux + net/rpc", "jrpc2", "go-ethereum/rpc", "sourcegraph/jsonrpc2"},
		columns: []string{"server kB each", "client kB each", "server goroutines each"},
		run:     idle,
	}},
}

// idle measures what the size's connections cost once each has carried a call
// and then nothing. Garbage is given back to the system before and after.
func idle(ctx context.Context, l *lab, s system) (metrics, error) {
	connect := func() (*client, error) {
		c, err := s.dial(ctx, l.Addr)
		if err != nil {
			return nil, err
		}
		return c, bytesCall(c.bytes)(ctx)
	}
	first, err := connect()
	if err != nil {
		return nil, err
	}
	defer first.close()
	if err := l.start(); err != nil {
		return nil, err
	}
	for i := range l.Size.Conns {
		c, err := connect()
		if err != nil {
			return nil, fmt.Errorf("connection %d: %w", i+1, err)
		}
		defer c.close()
	}
	before := l.from
	if err := l.start(); err != nil { // settles
		return nil, err
	}
	n := float64(l.Size.Conns)
	client, server := l.from[0].since(before[0]), l.from[1].since(before[1])
	return metrics{
		"server kB each":         float64(server.RSS) / 1e3 / n,
		"client kB each":         float64(client.RSS) / 1e3 / n,
		"server goroutines each": float64(server.Goroutines) / n,
	}, nil
}
