package rpc

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/chumsync/chum/wire"
)

// hashOf gives the hash of the parameters of one type.
func hashOf[T any]() string { return Declare(Method[T, struct{}]("m")).Methods[0].Args.Hash }

// Hashes are equal for what is equal on the wire, whatever it is called, and else they are not.
func TestHashes(t *testing.T) {
	type (
		renamed struct {
			Title string   `json:"title"`
			Text  string   `json:"text,omitempty"`
			After *renamed `json:"after,omitempty"`
			Tags  []string `json:"tags,omitzero"`
		}
		reordered struct {
			Text  string     `json:"text,omitempty"`
			Title string     `json:"title"`
			After *reordered `json:"after,omitempty"`
			Tags  []string   `json:"tags,omitzero"`
		}
		demanding struct {
			Title string   `json:"title"`
			Text  string   `json:"text"`
			After *renamed `json:"after,omitempty"`
			Tags  []string `json:"tags,omitzero"`
		}
		beneath struct {
			Title string     `json:"title"`
			Text  string     `json:"text,omitempty"`
			After *demanding `json:"after,omitempty"`
			Tags  []string   `json:"tags,omitzero"`
		}
		description struct {
			Description string `json:"description"`
		}
		nothing struct{}
	)
	documented := describedMux().Methods()
	for _, m := range documented.Methods {
		if m.Name == "members" && m.Args.Hash != hashOf[renamed]() {
			t.Error("a comment, or the name of a type, changes the hash")
		}
	}
	seen := map[string]string{}
	for name, hash := range map[string]string{
		"note": hashOf[note](), "order": hashOf[reordered](), "required": hashOf[demanding](), "required beneath": hashOf[beneath](), "a member called description": hashOf[description](),
		"nothing": hashOf[nothing](), "bytes": hashOf[[]byte](), "any": hashOf[Value](), "int": hashOf[int](), "int32": hashOf[int32](),
		"pair": hashOf[attachment](), "recursive": hashOf[node](), "a list": hashOf[[]note](), "a pointer": hashOf[*note](),
		"bounded": hashOf[bounded](), "bounds beneath": hashOf[holdsBounded](), "self-described": hashOf[digest](), "text": hashOf[string](),
	} {
		if len(hash) != 16 || seen[hash] != "" {
			t.Errorf("%s has the hash %q, as %s", name, hash, seen[hash])
		}
		seen[hash] = name
	}
	for _, bad := range []string{`{"$ref":"#/$defs/x"}`, `{"$ref":1}`, `{"required":[1]}`, `{"properties":[]}`, `{`} {
		d := Description{Methods: []MethodInfo{{Name: "m", Kind: "call", Args: TypeInfo{Form: "json", Schema: jsontext.Value(bad)}}}}
		if _, err := d.Hashed(); err == nil || !strings.Contains(err.Error(), "m: args") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := documented.hashed(100); err == nil || !strings.Contains(err.Error(), "too many schemas") {
		t.Error(err)
	}
	if _, err := (Description{Defs: map[string]jsontext.Value{"x": jsontext.Value(`{`)}}).Hashed(); err == nil {
		t.Error("a definition that is no JSON is hashed")
	}
}

// peersFor gives a peer whose other side serves the Mux.
func peersFor(t *testing.T, m *Mux) *Peer {
	t.Helper()
	a, b := wire.Pipe()
	client, server := NewPeer(a, nil, nil), NewPeer(b, m, nil)
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client
}

var hashMember = regexp.MustCompile(`,"hash":"[0-9a-f]{16}"`)

func TestCompare(t *testing.T) {
	m := describedMux()
	p := peersFor(t, m)
	started := func() uint64 { return p.Stats().Out.Started }
	served := m.Methods()
	text, err := json.Marshal(served)
	if err != nil {
		t.Fatal(err)
	}
	var kept Description // as a file would have it, by a peer that knows no hashes
	if err := json.Unmarshal(hashMember.ReplaceAll(text, nil), &kept); err != nil || kept.Methods[0].Args.Hash != "" {
		t.Fatal(err)
	}
	for _, want := range []Description{served, kept} {
		found, err := Compare(t.Context(), p, want)
		if err != nil || found != nil || started() != 0 {
			t.Errorf("%v, %v, with %d calls: nothing differs, and the hello says so", found, err, started())
		}
	}
	if p.Schema() != m.schemaHash() || len(p.Schema()) != 16 {
		t.Errorf("hash %q in the hello", p.Schema())
	}

	found, err := Compare(t.Context(), p, Declare(Method[[]byte, []byte]("bytes"), Method[note, note]("members")))
	if err != nil || found != nil || started() != 1 {
		t.Errorf("%v, %v, with %d calls: what it has beside does not matter", found, err, started())
	}
	found, err = Compare(t.Context(), p, Declare(
		Method[int, int]("absent"), Source[struct{}, int]("none"), Method[note, *note]("members"),
		Sink[string, note, string]("sink"), Source[int32, note]("source"), Duplex[int, int, int]("one"),
	))
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]string, len(found))
	for i, d := range found {
		lines[i] = d.String()
	}
	want := []string{
		"absent: the other side does not have it",
		"members: result: want *rpc.note, the other side has rpc.note",
		"none: kind: want source, the other side has call",
		"one: kind: want duplex, the other side has call",
		"sink: in: want rpc.note, the other side has rpc.attachment",
		"sink: result: want string, the other side has []byte",
		"source: args: want int32, the other side has int",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	type note struct{ Title string }
	found, err = Compare(t.Context(), p, Declare(Method[note, note]("members")))
	if err != nil || len(found) != 2 || found[0].String() != "members: args: rpc.note is not the same at the other side" {
		t.Errorf("%v, %v", found, err)
	}
}

// What is put on a Mux later is in the hello of the next connection, and a side that serves
// nothing, or does not tell, is asked.
func TestCompareWithoutHash(t *testing.T) {
	m := NewMux(Public)
	first := m.schemaHash()
	m.Func("late", func() {})
	if second := m.schemaHash(); first == second || first != shortHash(nil) {
		t.Errorf("%s before a method came, %s behind", first, second)
	}
	p := peersFor(t, nil)
	want := Declare(Method[int, int]("m"))
	if _, err := Compare(t.Context(), p, want); CodeOf(err) != Unimplemented || p.Schema() != "" {
		t.Errorf("%v, hash %q", err, p.Schema())
	}
	closed := NewMux(func(context.Context, string, *Peer) error { return Errorf(PermissionDenied, "no") })
	if _, err := Compare(t.Context(), peersFor(t, closed), want); CodeOf(err) != PermissionDenied {
		t.Error(err)
	}
	want.Methods[0].Args.Schema = jsontext.Value(`{"$ref":"#/$defs/nowhere"}`)
	if _, err := Compare(t.Context(), p, want); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Error(err)
	}
	gone := peersFor(t, nil)
	gone.Close()
	if _, err := Compare(t.Context(), gone, Declare()); CodeOf(err) != Unavailable {
		t.Error(err)
	}
}
