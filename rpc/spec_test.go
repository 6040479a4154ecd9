package rpc

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// The tables and the example of spec/README.md, held against the code.

// specTables reads the tables of the specification: by their first header cell, the rows.
func specTables(t *testing.T) map[string][][]string {
	t.Helper()
	text, err := os.ReadFile("../spec/README.md")
	if err != nil {
		t.Fatal(err)
	}
	tables := make(map[string][][]string)
	var name string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			name = ""
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case name == "":
			name = cells[0]
			if name == "mode" || name == "form" || name == "kind" || name == "code" {
				if tables[name] != nil {
					t.Fatalf("two tables that begin with %q", name)
				}
			}
		case strings.HasPrefix(cells[0], "---"):
		default:
			tables[name] = append(tables[name], cells)
		}
	}
	return tables
}

// specNumber reads a number as the tables write it.
func specNumber(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(strings.ReplaceAll(s, ",", ""), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSpecKinds(t *testing.T) {
	rows := specTables(t)["kind"]
	if len(rows) != 15 {
		t.Fatalf("%d kinds", len(rows))
	}
	parses := func(f wire.Frame) bool {
		_, _, err := wire.Next(wire.Append(nil, f))
		return err == nil
	}
	for _, row := range rows {
		kind := wire.Kind(specNumber(t, row[1]))
		if kind.String() != row[0] {
			t.Errorf("kind %d is %s in the code, %s in the specification", kind, kind, row[0])
		}
		ids, owns := map[string]uint64{"0": 0, "call": 1}, map[string][]bool{"0": {false}, "1": {true}, "either": {false, true}}
		id, ok := ids[row[2]]
		if !ok || owns[row[3]] == nil {
			t.Fatalf("%s: unknown words in %q", kind, row)
		}
		for _, own := range []bool{false, true} {
			want := slices.Contains(owns[row[3]], own)
			f := wire.Frame{Kind: kind, ID: id, Own: own}
			if parses(f) != want {
				t.Errorf("%s with own=%v: the code takes it: %v", kind, own, !want)
			}
			if f.ID = 1 - id; parses(f) {
				t.Errorf("%s with id %d is taken", kind, f.ID)
			}
			f.ID = id
			for _, valued := range []wire.Frame{{Form: wire.Bytes}, {Form: wire.Pair}, {Long: true}} {
				f.Form, f.Long = valued.Form, valued.Long
				if parses(f) != (want && row[4] == "yes") {
					t.Errorf("%s with form %s, long %v: not as the specification says", kind, f.Form, f.Long)
				}
			}
		}
		short, longer := wire.Frame{Kind: kind}, wire.Frame{Kind: kind, Long: true}
		if bulk := map[string][2]bool{"no": {false, false}, "yes": {true, true}, "if long": {false, true}}[row[5]]; short.Bulk() != bulk[0] || row[4] == "yes" && longer.Bulk() != bulk[1] {
			t.Errorf("%s: bulk %v, %v in the code, %q in the specification", kind, short.Bulk(), longer.Bulk(), row[5])
		}
	}
}

func TestSpecBits(t *testing.T) {
	masks := map[string]byte{}
	for _, row := range specTables(t)["bits of first"] {
		m, err := strconv.ParseUint(row[1], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		word, _, _ := strings.Cut(strings.ReplaceAll(row[2], ":", " "), " ")
		masks[word] = byte(m)
	}
	first := func(f wire.Frame) byte { return wire.AppendHead(nil, f, 0)[0] }
	want := map[string]byte{"kind": first(wire.Frame{Kind: 15}), "own": first(wire.Frame{Own: true}), "form": first(wire.Frame{Form: 3}), "long": first(wire.Frame{Long: true})}
	if !maps.Equal(masks, want) {
		t.Errorf("masks %x in the specification, %x in the code", masks, want)
	}
}

func TestSpecWords(t *testing.T) {
	tables := specTables(t)
	for i, row := range tables["form"] {
		if f := wire.Form(specNumber(t, row[1])); int(f) != i || f.String() != row[0] || f > wire.Pair {
			t.Errorf("form %d is %s in the code, %s in the specification", f, f, row[0])
		}
	}
	for i, row := range tables["mode"] {
		if m := mode(specNumber(t, row[1])); int(m) != i || m.String() != row[0] || m > feeds|takes {
			t.Errorf("mode %d is %s in the code, %s in the specification", m, m, row[0])
		}
	}
	if len(tables["form"]) != 3 || len(tables["mode"]) != 4 {
		t.Errorf("%d forms, %d modes", len(tables["form"]), len(tables["mode"]))
	}
	specified := make(map[Code]bool)
	for _, row := range tables["code"] {
		specified[Code(row[0])] = true
	}
	if !maps.Equal(specified, codes) {
		t.Errorf("codes in the specification: %v; in the code: %v", specified, codes)
	}
	var ran []Executed
	for _, row := range tables["executed"] {
		ran = append(ran, Executed(row[0]))
	}
	if !slices.Equal(ran, []Executed{No, Maybe, Yes}) {
		t.Errorf("executed: %v", ran)
	}
}

func TestSpecNumbers(t *testing.T) {
	options := (*Options)(nil).withDefaults()
	check := func(table string, column int, want map[string]uint64) {
		t.Helper()
		got := make(map[string]uint64)
		for _, row := range specTables(t)[table] {
			got[row[0]] = specNumber(t, row[column])
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s in the specification: %v; in the code: %v", table, got, want)
		}
	}
	check("limit", 1, map[string]uint64{
		"frame payload": wire.MaxFrame, "message": wire.MaxMessage, "id": wire.MaxID, "frame head": wire.MaxHead,
		"method name": maxName, "JSON levels": maxDepth, "credit": maxCredit, "cost of an item beside its bytes": itemCost,
		"metadata": maxMetadata,
		"strikes":  maxStrikes, "calls": uint64(options.MaxCalls), "streams": uint64(options.MaxStreams),
		"value": uint64(options.MaxValue), "window": firstWindow, "long values at once": uint64(options.MaxAssembly),
		"error message":        maxMessage,
		"bytes before a login": strangerBytes,
		"patience":             patienceMost, "patience a second": patiencePerSecond, "patience an answer": patiencePerAnswer,
	})
	seconds := func(d time.Duration) uint64 { return uint64(d / time.Second) }
	check("time", 1, map[string]uint64{
		"hello": seconds(helloTime), "write": seconds(writeTime), "pong": seconds(pongTime),
		"ping": seconds(options.KeepAlive), "ack": seconds(ackTime),
		"idle": seconds(options.IdleStream), "login": seconds(strangerTime),
	})
	text, err := os.ReadFile("../spec/README.md")
	if err != nil {
		t.Fatal(err)
	}
	prose := strings.Join(strings.Fields(string(text)), " ")
	for _, says := range []string{
		fmt.Sprintf("# The chum protocol, version %d", Version),
		fmt.Sprintf("subprotocol is `chum.%d`", Version),
		fmt.Sprintf("values of %s bytes and more as long ones", grouped(bulkFrom)),
		fmt.Sprintf("%d strikes.", maxStrikes),
		fmt.Sprintf("begins with %s, its most, and grows by %s a second and by %d with each", grouped(patienceMost), grouped(patiencePerSecond), patiencePerAnswer),
		fmt.Sprintf("A cancel less than %d ms behind", youngCall/time.Millisecond),
		fmt.Sprintf("A late frame of less than %s bytes", grouped(ampleFrame)),
		fmt.Sprintf("More than %d MiB of frames caused by the other side (and %d KiB for each", owedLimit>>20, bulkFrom>>10),
		fmt.Sprintf("bytes of the value + %d", itemCost),
	} {
		if !strings.Contains(prose, says) {
			t.Errorf("the specification does not say %q", says)
		}
	}
}

// grouped writes a number as the specification does.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// TestSpecExample plays the example: what the caller says must be answered with the bytes
// that are printed.
func TestSpecExample(t *testing.T) {
	text, err := os.ReadFile("../spec/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(text), "## 17. Example\n")
	if !found {
		t.Fatal("there is no example")
	}
	example, _, _ = strings.Cut(example, "\n## ")
	said := map[byte][]byte{} // all bytes of each side, in the order of the page
	var side byte
	for line := range strings.Lines(example) {
		line, code := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		if !code || len(line) < 3 {
			continue
		}
		if line[0] == '>' || line[0] == '<' {
			side = line[0]
		}
		digits, _, _ := strings.Cut(line[2:], "   ") // what it means stands far behind
		b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		said[side] = append(said[side], b...)
	}
	if len(said['>']) == 0 || len(said['<']) == 0 {
		t.Fatal("nobody says anything")
	}
	synctest.Test(t, func(t *testing.T) {
		m := NewMux(Public)
		Method[string, string]("hi").Handle(m, func(_ context.Context, name string) (string, error) { return "hi " + name, nil })
		r := newRaw(t, m, Options{})
		go r.read()
		for rest := said['>']; len(rest) > 0; { // a frame at a time, since it is all one to the peer
			_, behind, err := wire.Next(rest)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			r.send(rest[:len(rest)-len(behind)])
			rest = behind
		}
		<-r.peer.Done()
		if err := r.peer.Err(); err != nil {
			t.Errorf("Err: %v", err)
		}
		synctest.Wait()
		var got []byte
		for _, f := range r.frames {
			got = wire.Append(got, f)
		}
		if string(got) != string(said['<']) {
			t.Errorf("the callee said\n% x\nwant\n% x", got, said['<'])
		}
	})
}
