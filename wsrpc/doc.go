// Package wsrpc joins two programs over a WebSocket with one line on either side: [Connect]
// in the client, [Handler] in the server. Each gives a connected *rpc.Peer that calls and
// serves.
//
//	peer, err := wsrpc.Connect(ctx, "ws://localhost:7171", services, nil)
//
//	http.ListenAndServe("localhost:7171", wsrpc.Handler(services, nil))
//
// The same address takes programs without our library: they speak JSON-RPC 2.0, see package
// jsonrpc.
package wsrpc
