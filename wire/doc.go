// Package wire defines what travels between two peers: messages on a [Conn], and the
// frames inside a message.
//
// A [Conn] carries whole messages, in order, between two ends. A WebSocket is one (package
// ws), so is the in-memory pair of [Pipe]. Layers that keep a Conn alive or encrypt it take
// a Conn and are one.
//
// A message holds one or more frames. A [Frame] names a call by its id and carries one step
// of it: a request, a result, an item of a stream, credit for more. The format is specified
// in spec/README.md; this package is its encoder and decoder and nothing else. It starts no
// goroutine, opens no network connection and knows nothing of what a call means.
package wire
