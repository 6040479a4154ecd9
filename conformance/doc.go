// Package conformance judges an implementation of the protocol from outside, through a WebSocket.
//
// The cases are data (spec/vectors/conformance.json), read by Load. A server under test serves a fixed set of methods, which
// spec/conformance.md specifies and Services implements. A Suite plays the cases against it: peer cases are calls made
// through the API of package rpc, wire cases are frames written by hand. A Proxy between the two puts faults in: it cuts
// connections, delays messages, splits them at every boundary.
//
// The TypeScript package plays the same cases (ts/test/conformance). What passed between whom is kept as a Result for
// each pair, of which Table makes the table in the README.
package conformance
