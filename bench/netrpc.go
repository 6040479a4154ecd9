package main

import (
	"context"
	"net"
	"net/rpc"
	"time"
)

// netRPC is the standard library's net/rpc: gob on TCP.
var netRPC = system{
	name: "net/rpc",
	serve: func() (string, func(), error) {
		server := rpc.NewServer()
		if err := server.RegisterName("Bench", netRPCService{}); err != nil {
			return "", nil, err
		}
		return listen(func(c net.Conn) { server.ServeConn(c) })
	},
	dial: func(_ context.Context, addr string) (*client, error) {
		c, err := rpc.Dial("tcp", addr)
		if err != nil {
			return nil, err
		}
		return netRPCClient(c), nil
	},
}

func netRPCClient(c *rpc.Client) *client {
	call := func(method string) func(context.Context, []byte) ([]byte, error) {
		return func(_ context.Context, p []byte) (answer []byte, err error) {
			err = c.Call(method, p, &answer)
			return answer, err
		}
	}
	return &client{
		bytes: call("Bench.Bytes"),
		sleep: call("Bench.Sleep"),
		typed: func(context.Context) error {
			i, r := sample(), Record{}
			if err := c.Call("Bench.Typed", &sampleRecords[i], &r); err != nil {
				return err
			}
			return checkRecord(i, r)
		},
		close: func() { _ = c.Close() },
	}
}

// netRPCService has the methods in the form that net/rpc asks for.
type netRPCService struct{}

func (netRPCService) Bytes(in []byte, out *[]byte) error {
	*out = in
	return nil
}

func (netRPCService) Sleep(in []byte, out *[]byte) error { //nolint:unparam // net/rpc asks for the error
	time.Sleep(handlerSleep)
	*out = in
	return nil
}

func (netRPCService) Typed(in *Record, out *Record) error { //nolint:unparam // net/rpc asks for the error
	*out = *in
	out.Number++
	return nil
}
