// Package chum brings two stores of content-addressed objects up to date over one connection.
//
// An object is immutable bytes named by its hash; a name (a ref) points at the root of a
// tree of them, such as a directory. A [Server] holds the plain functions that deliver what
// the other side asks for and knows nothing of connections. A [Client] has one typed function
// per request, checks what arrives, and is itself a store that happens to be far away. A
// [Sync] is the parent of both: it puts the server's functions on a connection under their
// names ([Sync.Services]) and brings names over ([Sync.Run]). Both ends are alike.
//
//	store, err := local.Open(dir, nil)
//	sync := chum.NewSync(store)
//	peer, err := wsrpc.Connect(ctx, "ws://localhost:7171", sync.Services(rpc.Public, rpc.Public), nil)
//	report, err := sync.Run(ctx, peer, chum.Plan{})
//
// Nothing from the other side is believed: bytes are hashed before they are stored, only
// what was asked for is taken, and a name is set only when everything beneath it is there.
package chum
