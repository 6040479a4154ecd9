// Package ws makes a wire.Conn of a WebSocket (RFC 6455): [Dial] on the one side, [Accept] on
// the other.
//
// Messages are binary, or text where one asks for it ([Conn]), and never compressed. The
// subprotocol "chum.1" names what they hold; a server takes clients that name none, too.
//
// The framing is our own. A message is read into a pooled buffer that fits it, most often with
// one system call, and unmasked where it lies; it is written with its head in one system call.
// An idle connection holds no buffer. What the other side may make us do is bounded: the
// length of a message, the number of its fragments, and the rates of control frames and of
// tiny fragments.
package ws
