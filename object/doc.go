// Package object keeps directories and files of any size as immutable
// objects, each named by the SHA-256 of its bytes.
//
// # Objects
//
// An object is at most MaxSize bytes. A Link points at one and says what it
// is: a blob is bytes, a file is a manifest that lists the chunks of a long
// file, a tree is a directory. Manifests and trees are canonical JSON (RFC
// 8785), from which Links reads the children; so whoever has an object can
// find all that is beneath it, and check each byte. A manifest or directory
// that grows large becomes a tree of nodes, cut by its content, as long files
// are (Chunking), so that a small change makes few new objects. The format is
// specified in spec/objects.md and never changes for a given name: the same
// content has the same hash for ever.
//
// # Stores
//
// A Store keeps objects and Refs keep names for them. Memory is both, in
// memory; package object/local is both, on disk. Package object/storetest is
// the suite that each must pass.
//
// # In and out
//
// PutFile stores a file, Open reads it, at any offset. Import stores a
// directory, Export writes it out again; ReadTree and Resolve look into it,
// and PutTree makes one from entries. Walk meets all that is beneath a link.
// All of them hold a few chunks in memory, whatever the size.
//
// # Names
//
// A Ref gives a root a name. It is replaced, never changed: each version has
// an id and carries those it replaces, so that SetRef can refuse what would
// lose another's change.
//
// # Bad input
//
// What comes from elsewhere is not believed. Decoding takes only the
// canonical form, of bounded length, depth and count, and returns ErrMalformed for the
// rest; Hash, Link, Entry and Ref have a Validate method; sizes are checked
// against what a link promised.
package object
