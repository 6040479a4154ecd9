// Docgen collects the doc comments of a package's methods, and of the types they use, into a
// Go file, so that they are there at run time:
//
//	//go:generate go run github.com/chumsync/chum/rpc/docgen
//
// in a package of one's own writes methods_docs.go with a variable docs, which
//
//	mux.Describe(docs)
//
// hands on to those who list the methods. It finds the constants of type rpc.Method, Source,
// Sink and Duplex, and what is put on a Mux with Func under a literal name. Comments of types
// are taken from wherever the types are, the standard library excepted.
package main
