// Command server is what the tests of the TypeScript package call. It listens on a port of loopback that is free, says on
// standard output which, and ends with its standard input.
//
// A WebSocket is at /ws?name=NAME: each name has a server of its own, so that tests do not meet. POST /cut?name=NAME
// resets the connections of a name and answers how many there have been; POST /restart?name=NAME does the same and
// forgets all sessions, as a server does that is started anew. POST /visit?url=URL has it call a server of the tests.
package main
