// Command hello shows a server that calls its client back while it serves it, over a real
// WebSocket.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

// Both sides share these two lines: a method's name and its types.
const (
	Greet rpc.Method[string, string]   = "greet" // the server's
	Name  rpc.Method[struct{}, string] = "name"  // the client's
)

func main() {
	if err := hello(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func hello(ctx context.Context) error {
	// The server: to greet, it asks the client who it is.
	server := rpc.NewMux(rpc.Public)
	Greet.Handle(server, func(ctx context.Context, word string) (string, error) {
		name, err := Name.Call(ctx, rpc.PeerFrom(ctx), struct{}{})
		return word + ", " + name + "!", err
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener at once
	if err != nil {
		return err
	}
	defer listener.Close()                              //nolint:errcheck // nothing is lost
	go http.Serve(listener, wsrpc.Handler(server, nil)) //nolint:errcheck,gosec // it ends with the listener

	// The client: it calls, and it serves.
	client := rpc.NewMux(rpc.Public)
	client.Func("name", func() string { return "world" })
	peer, err := wsrpc.Connect(ctx, "ws://"+listener.Addr().String(), client, nil)
	if err != nil {
		return err
	}
	defer peer.Close()
	greeting, err := Greet.Call(ctx, peer, "Hello")
	if err != nil {
		return err
	}
	fmt.Println(greeting)
	return nil
}
