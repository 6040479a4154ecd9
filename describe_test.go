package chum_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum"
	"github.com/chumsync/chum/rpc"
)

var update = flag.Bool("update", false, "write spec/vectors/chum.json anew")

// What a chum says of its methods is part of what others rely on: clients are generated from it.
func TestDescription(t *testing.T) {
	const file = "spec/vectors/chum.json"
	d := chum.NewSync(nil).Services(rpc.Public, chum.Closed).Methods()
	got, err := json.Marshal(d, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the methods, or the types they use, are not as %s says. If that was meant:\n"+
			"go generate ./... && go test . -run TestDescription -update", file)
	}
	for _, m := range d.Methods {
		if m.Doc == "" || m.Rule == "" {
			t.Errorf("%s: no comment, or no rule", m.Name)
		}
	}
}
