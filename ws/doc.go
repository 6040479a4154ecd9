// Package ws makes a wire.Conn of a WebSocket (RFC 6455): [Dial] on the one side, [Accept] on
// the other.
//
// Messages are binary and never compressed. The subprotocol "chum.1" names what they hold; a
// server takes clients that name none, too.
//
// This is the only package that knows the WebSocket library, github.com/coder/websocket.
package ws
