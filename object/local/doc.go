// Package local keeps objects and refs in a directory: an [object.Store] and
// [object.Refs] for one process at a time, with nothing else to run.
//
// Objects and refs are appended to packs, files that only grow and are never
// changed. Concurrent calls are merged: one committer appends the records of
// all that wait, makes them durable with one fdatasync, enters them in the
// index, and lets all of them return (group commit). So 1,000 small objects
// in one Put, or in 1,000 Puts at the same time, cost about one fdatasync.
//
// The packs are the truth. The index (a Pebble LSM tree from hash to place) is
// a cache that says how far into the packs it reaches; what lies beyond is
// read again at Open. It may be removed while the store is closed: the next
// Open makes it anew, refs included.
//
// What Open promises after a crash, kill -9 or power cut: every object and
// ref that was acknowledged is there, and nothing torn is visible. A record
// that was half written when the power went is cut off. Damage anywhere else
// cannot come from a crash; it is reported and never cut: as
// [object.ErrCorrupt] from Get where one object is concerned, from Open where
// records cannot be found any more.
//
// A full disk fails the calls that hit it and leaves the store usable. After
// an error of fsync, or of writing the index, the store takes nothing more
// until it is opened again; reads go on. The kernel may have dropped what it
// could not make durable, and a second try would succeed on nothing.
//
// The format of the directory, the packs and the index is in spec/store.md.
package local
