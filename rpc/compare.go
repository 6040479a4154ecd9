package rpc

import (
	"context"
	"fmt"
	"slices"
)

// A Declaration is a typed constant that declares a method: a [Method], [Source], [Sink] or
// [Duplex].
type Declaration interface {
	declared() MethodInfo
}

func (m Method[A, R]) declared() MethodInfo {
	return MethodInfo{Name: string(m), Kind: mode(0).String(), Args: typeOf[A](), Result: typeOf[R]()}
}

func (m Source[A, Out]) declared() MethodInfo {
	return MethodInfo{Name: string(m), Kind: takes.String(), Args: typeOf[A](), Out: typeOf[Out]()}
}

func (m Sink[A, In, R]) declared() MethodInfo {
	return MethodInfo{Name: string(m), Kind: feeds.String(), Args: typeOf[A](), In: typeOf[In](), Result: typeOf[R]()}
}

func (m Duplex[A, In, Out]) declared() MethodInfo {
	return MethodInfo{Name: string(m), Kind: (feeds | takes).String(), Args: typeOf[A](), In: typeOf[In](), Out: typeOf[Out]()}
}

// Declare describes methods as this program declares them: what it expects of another side, see
// [Compare].
func Declare(methods ...Declaration) Description {
	infos := make([]MethodInfo, len(methods))
	for i, m := range methods {
		infos[i] = m.declared()
	}
	return describeAll(infos, nil)
}

// A Difference is one thing in which a peer is not what was expected.
type Difference struct {
	Method string
	// Part is what differs: "method", it is not there; "kind"; or what travels: "args", "in",
	// "result" or "out".
	Part string
	// Want and Have are the kinds or the Go types, for people. Types of one name may differ.
	Want, Have string
}

// String says it in a line: "getRef: result: want string, the other side has object.Ref".
func (d Difference) String() string {
	switch {
	case d.Part == "method":
		return d.Method + ": the other side does not have it"
	case d.Want == d.Have:
		return fmt.Sprintf("%s: %s: %s is not the same at the other side", d.Method, d.Part, d.Want)
	}
	return fmt.Sprintf("%s: %s: want %s, the other side has %s", d.Method, d.Part, d.Want, d.Have)
}

// maxSchemas is how many schemas of another side are looked at: seconds of work, and more than any
// program has.
const maxSchemas = 1 << 22

// Compare tells in what the peer's other side differs from what is expected: methods that it lacks,
// or has with other types; by order of the methods in want. Methods that want does not name do not
// matter. It waits for the other side's hello, and if that says that all is the same, asks no more;
// else it calls "rpc.methods", whose error it returns.
func Compare(ctx context.Context, p *Peer, want Description) ([]Difference, error) {
	want, err := want.Hashed()
	if err != nil {
		return nil, err
	}
	if err := p.Ready(ctx); err != nil {
		return nil, err
	}
	if p.Schema() == want.Hash() {
		return nil, nil
	}
	have, err := Methods.Call(ctx, p, struct{}{})
	if err != nil {
		return nil, err
	}
	if have, err = have.hashed(maxSchemas); err != nil {
		return nil, failure(DataLoss, Yes, "rpc: what the other side says of its methods makes no sense: %w", err)
	}
	return want.against(have), nil
}

// against lists the differences of two descriptions that have hashes.
func (d Description) against(have Description) (found []Difference) {
	for _, w := range d.Methods {
		i := slices.IndexFunc(have.Methods, func(m MethodInfo) bool { return m.Name == w.Name })
		if i < 0 {
			found = append(found, Difference{Method: w.Name, Part: "method", Want: w.Kind})
			continue
		}
		h := have.Methods[i]
		if h.Kind != w.Kind {
			found = append(found, Difference{w.Name, "kind", w.Kind, h.Kind})
			continue
		}
		wanted, had := w.parts(), h.parts()
		for j := range min(len(wanted), len(had)) { // of one kind, they have the same parts
			if a, b := wanted[j], had[j]; a.name != b.name || a.info.Hash != b.info.Hash {
				found = append(found, Difference{w.Name, a.name, a.info.Go, b.info.Go})
			}
		}
	}
	return found
}

// Schema is the hash of what the other side serves, as its hello says it (see [Description.Hash]);
// "" before that, and from a side that says nothing of it.
func (p *Peer) Schema() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.remote.Schema
}
