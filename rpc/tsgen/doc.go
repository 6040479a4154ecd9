// Package tsgen writes TypeScript for methods: interfaces of their types, a descriptor and a function
// for each, and checkers of all that arrives, for the npm package @chumsync/chum.
//
// It reads what rpc.methods tells, so it needs a running peer, or its answer in a file, and no
// sources:
//
//	chum gen ts ws://127.0.0.1:7171 -o src/methods.ts
//
// A program that wants the file beside its own sources calls [Generate] with what is on its Mux, in
// a test that holds the file to the methods or in a command of its own behind go:generate.
//
// Each keyword of a schema becomes a part of a checker or a type, or is an error: nothing that a
// schema asks for is dropped in silence. What TypeScript cannot hold is an error, too, which names
// the method, the place and what to do.
package tsgen
