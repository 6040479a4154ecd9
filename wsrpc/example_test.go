package wsrpc_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

// A client that both calls and serves.
func ExampleConnect() {
	server := rpc.NewMux(rpc.Public)
	server.Func("twice", func(ctx context.Context, what string) (string, error) {
		var n int
		err := rpc.PeerFrom(ctx).Send(ctx, "length", what).Await(&n) // the server calls its client
		return fmt.Sprintf("%s%s (%d)", what, what, 2*n), err
	})
	url, stop := listen(server)
	defer stop()

	client := rpc.NewMux(rpc.Public)
	client.Func("length", func(s string) int { return len(s) })
	peer, err := wsrpc.Connect(context.Background(), url, client, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer peer.Close()

	var s string
	err = peer.Send(context.Background(), "twice", "ha").Await(&s)
	fmt.Println(s, err)
	// Output: haha (4) <nil>
}

// listen is a server for the examples. A program of its own would call ListenAndServe.
func listen(services *rpc.Mux) (url string, stop func()) {
	handler := wsrpc.Handler(services, nil)
	server := httptest.NewServer(handler)
	return server.URL, func() {
		handler.Shutdown(context.Background())
		server.Close()
	}
}

// A Handler goes into any HTTP server.
func ExampleHandler() {
	services := rpc.NewMux(rpc.Public)
	services.Func("add", func(a, b int) int { return a + b })
	handler := wsrpc.Handler(services, nil)
	server := httptest.NewServer(handler)
	defer server.Close()
	defer handler.Shutdown(context.Background()) // first, so that open calls can finish

	peer, err := wsrpc.Connect(context.Background(), server.URL, nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer peer.Close()
	var sum int
	err = peer.Send(context.Background(), "add", 2, 3).Await(&sum)
	fmt.Println(sum, err)
	// Output: 5 <nil>
}
