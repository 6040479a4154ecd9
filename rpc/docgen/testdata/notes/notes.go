// Package notes is what the test of docgen reads.
package notes

import (
	stdtime "time"

	calls "github.com/chumsync/chum/rpc"
)

// Alone is documented by its declaration.
const Alone calls.Method[struct{}, Note] = "alone"

// A comment of the group belongs to nobody.
const (
	// Find finds.
	//
	// In several paragraphs, with a ` and a "quote".
	Find calls.Source[Query, *Note]                           = "find" // and a line
	Mute calls.Sink[struct{}, map[Key][]Page[Leaf], struct{}] = "mute"
	// Name is no method.
	Name = "name"
)

// Both is made by conversion.
var Both = calls.Duplex[int, int, calls.Traffic]("both")

type (
	// Query asks.
	Query struct {
		// Text is above.
		Text, Other string // and behind
		hidden      Hidden // not told
		Secret      Hidden `json:"-"` // not told
		*Base              // embedded
		When        stdtime.Time
		Inline      struct{ Deep Deep }
	}
	// Base is embedded.
	Base        struct{ Self *Base }
	Page[T any] struct {
		Items []T // of the page
	}
)

// Note is a type with a declaration of its own.
type Note struct{}

// Key is a key.
type Key string

// Leaf is an argument of a generic type.
type Leaf int

// Deep is in a struct without a name.
type Deep bool

// Hidden travels nowhere.
type Hidden int

// Services has functions.
type Services struct{}

// Add adds.
func (Services) Add(Sum) int { return 0 }

// plain is a function.
func plain() {}

// Sum is taken by a function.
type Sum struct{}

func put(m *calls.Mux, s Services) {
	m.Func("add", s.Add)
	m.Func("plain", plain)
	m.Func("literal", func() {})
}
