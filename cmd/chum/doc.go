// Command chum keeps directories as content-addressed objects and brings them over to other
// stores: see chum help, or chum man.
//
// There is one file per command, named for it. What they share: app.go (the program as a
// whole, its flags and its end), failure.go (errors, hints and exit codes), store.go (what an
// argument names), connect.go (the other side), output.go (text and JSON), progress.go (how
// far it is).
//
// Data goes to standard output, everything else to standard error.
package main
