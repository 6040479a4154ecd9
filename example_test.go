package chum_test

import (
	"context"
	"fmt"
	"time"

	"github.com/chumsync/chum"
	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

// one keeps a text under a name and returns the store.
func one(ctx context.Context, name, text string) *object.Memory {
	store := object.NewMemory()
	hashes, err := store.Put(ctx, []byte(text))
	if err != nil {
		panic(err)
	}
	root := object.Link{Kind: object.KindBlob, Hash: hashes[0], Size: int64(len(text))}
	if err := store.SetRef(ctx, object.Ref{Name: name, Root: root, Changed: time.Unix(0, 0)}); err != nil {
		panic(err)
	}
	return store
}

func ExampleSync() {
	ctx := context.Background()
	here, there := chum.NewSync(one(ctx, "mine", "a")), chum.NewSync(one(ctx, "theirs", "b"))
	a, b := wire.Pipe() // over the net: wsrpc.Connect and wsrpc.Handler
	server := rpc.NewPeer(b, there.Services(rpc.Public, rpc.Public), nil)
	defer server.Close()
	peer := rpc.NewPeer(a, here.Services(rpc.Public, rpc.Public), nil)
	defer peer.Close()

	report, err := here.Run(ctx, peer, chum.Plan{})
	for _, s := range report.Steps {
		fmt.Println(s.Action, s.Name, s.Moved.Objects)
	}
	fmt.Println(err)
	// Output:
	// push mine 1
	// pull theirs 1
	// <nil>
}

func ExampleClient() {
	ctx := context.Background()
	a, b := wire.Pipe()
	server := rpc.NewPeer(b, chum.NewSync(one(ctx, "greeting", "hello")).Services(rpc.Public, chum.Closed), nil)
	defer server.Close()
	peer := rpc.NewPeer(a, nil, nil)
	defer peer.Close()

	far := chum.NewClient(peer) // a store like any other
	ref, err := far.Ref(ctx, "greeting")
	if err != nil {
		panic(err)
	}
	data, err := far.Get(ctx, ref.Root.Hash) // its hash was checked
	fmt.Printf("%s %v\n", data, err)
	_, err = far.Put(ctx, []byte("more"))
	fmt.Println(rpc.CodeOf(err))
	// Output:
	// hello <nil>
	// permission_denied
}

func ExampleServer() {
	ctx := context.Background()
	store := one(ctx, "greeting", "hello")
	server := chum.NewServer(store) // plain functions: no connection is needed
	ref, err := server.GetRef(ctx, "greeting")
	if err != nil {
		panic(err)
	}
	for batch, err := range server.GetClosure(ctx, chum.ClosureRequest{Roots: []object.Link{ref.Root}}) {
		fmt.Printf("%q %v\n", batch.Objects(), err)
	}
	// Output: ["hello"] <nil>
}
