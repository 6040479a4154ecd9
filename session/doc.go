// Package session makes a wire.Conn that survives its connection.
//
// A session counts the messages of each direction and keeps what it sent until the other side
// has acknowledged it. When the connection beneath is cut, the client dials again, both sides
// tell each other how much they have received, and what is missing is sent once more: the layer
// above sees no cut, only a delay. Nothing is delivered twice, nothing out of order, nothing is
// left out.
//
// [Dial] is the client's side, [Server] the other one. A session ends in order when either side
// closes it. It is lost when no new connection came within the grace, or when the server that
// answers does not know it: then the Conn ends with an error that matches [ErrLost].
//
// An idle session has no goroutine and no timer that runs. spec/session.md specifies what travels.
package session
