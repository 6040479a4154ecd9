// Package rpc lets the two ends of a connection call each other as one calls an async
// function.
//
// A [Peer] stands on a wire.Conn, calls the other end and serves it from a [Mux]; both ends
// are alike. Each call has a running id, each answer carries it, a map finds the promise. All
// calls run at once and mixed.
//
//   - [Peer.Send] calls by name and returns a [Promise].
//   - [Method] is a typed constant: Call, Go and Handle on it cannot disagree about the types.
//   - [Source], [Sink] and [Duplex] stream, as iterators or, for bytes, with [Reader],
//     [Writer], [HandleReader] and [HandleWriter].
//
// A call ends exactly once: with a result, or with an [Error] that says whether its handler
// ran. Cancelling the caller's context cancels the handler's; the deadline travels with the
// call. Streams are slowed to the pace of their reader and never hold up a call beside them.
//
// What does not belong to the arguments travels as metadata ([WithMetadata]), and a
// [Middleware] stands around the calls of either side: tracing, counting, refusing.
//
// The built-in method "rpc.methods" describes what a peer serves ([Mux.Methods]), with JSON Schemas
// made from the Go types; [Compare] holds the other side against what this one expects.
//
// With Options.Redial a peer outlives its connection: methods declared [Pure] or [Keyed] are
// called again over the next one, see [Repeatable] and [WithKey].
//
// # How it works
//
// One goroutine per peer reads, and runs nothing but this package's own code (receive.go).
// Handlers run on workers that are used again (serve.go). Whoever has something to say puts
// its frame in the queue; whoever finds the line idle writes (line.go), so that under load one
// write carries many frames. Streams and long values, called bulk, wait behind the calls and
// take turns (outflow.go). spec/README.md specifies what travels.
package rpc
