// Package jsonrpc lets programs without our library call and be called: it speaks JSON-RPC 2.0
// (https://www.jsonrpc.org/specification) in text messages with them, and the frames of package
// wire with an ordinary rpc.Peer.
//
// [New] is a translator: a wire.Conn for a peer, on a connection that carries text. Services,
// rules, limits, statistics and calls in both directions are the peer's:
//
//	peer := rpc.NewPeer(jsonrpc.New(conn, services, options), services, options)
//
// [Detect] lets the first message decide which of the two a client speaks; wsrpc.Handler does
// that for clients that name no subprotocol.
//
// # What travels
//
// Calls, notifications and batches are those of JSON-RPC. Ids come back byte for byte. Bytes are
// base64 strings, here and only here. Errors have JSON-RPC's numbers where it has one, else one of
// -32000 to -32099; the member data names the code in words and says whether the call was
// executed. A stream is a call whose items are notifications. spec/README.md specifies it in the
// section "JSON-RPC".
//
// # How it works
//
// One goroutine reads messages, makes frames of them and waits until the peer has taken these
// (receive.go, notify.go). The peer's writer brings frames and writes the messages they become
// (send.go). Each call that is open is in a table (call.go), so that ids can be told apart and
// nothing is held for a call that has ended. The reading side never writes: what it has to say is
// queued, and a ping frame makes the peer call the writing side with the pong. Whether the other
// side is there, and what it has of the bulk, its WebSocket tells (path.go). What is held for it is
// drawn from the peers' rpc.Budget.
package jsonrpc
