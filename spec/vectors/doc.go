// Package vectors holds the vectors that programs run, not only tests. What each file says is in section 16 of
// spec/README.md.
package vectors

import _ "embed"

// Conformance are the cases of the conformance suite, as spec/conformance.md has them.
//
//go:embed conformance.json
var Conformance []byte
