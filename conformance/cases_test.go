package conformance

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/spec/vectors"
	"github.com/chumsync/chum/wire"
)

var update = flag.Bool("update", false, "write spec/vectors/conformance.json and the table in README.md anew")

const casesFile = "../spec/vectors/conformance.json"

// TestCases holds the file of the cases to the tables here, of which it is made.
func TestCases(t *testing.T) {
	text := lines(t, makeCases(t))
	if *update {
		if err := os.WriteFile(casesFile, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != string(vectors.Conformance) {
		t.Errorf("%s is not what this test writes: run it with -update if the suite was meant to change", casesFile)
	}
	f, err := Load(vectors.Conformance)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Cases) < 300 {
		t.Errorf("%d cases", len(f.Cases))
	}
	names := map[string]bool{}
	for _, c := range f.Cases {
		if name := c.Group + ": " + c.Name; names[name] {
			t.Errorf("two cases are named %s", name)
		} else {
			names[name] = true
		}
	}
}

// lines writes the file, a case a line.
func lines(t *testing.T, f File) []byte {
	t.Helper()
	var b bytes.Buffer
	value := func(v any) []byte {
		text, err := json.Marshal(v, json.Deterministic(true)) // also of maps
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	fmt.Fprintf(&b, "{\n\"about\": %s,\n\"hello_hex\": %s,\n\"cases\": [\n", value(f.About), value(f.Hello))
	for i, c := range f.Cases {
		b.Write(value(c))
		if i < len(f.Cases)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("]\n}\n")
	return b.Bytes()
}

func TestLoadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                                    "unexpected EOF",
		`{"cases":[]}`:                         "no cases",
		`{"case":[{}]}`:                        "unknown",
		`{"cases":[{"group":"g","name":"n"}]}`: "either calls, or steps and an end",
		`{"cases":[{"group":"g","name":"n","steps":[{}]}]}`:               "either calls, or steps and an end",
		`{"cases":[{"calls":[{"method":"hi"}],"steps":[{}],"end":{}}]}`:   "either calls, or steps and an end",
		`{"cases":[{"calls":[{"method":"hi","want":{"rezult":1}}]}]}`:     "unknown",
		`{"cases":[{"fault":{"up":1.5},"calls":[{"method":"hi"}]}]}`:      "1.5",
		`{"cases":[{"group":"g","group":"h","calls":[{"method":"hi"}]}]}`: "duplicate",
	} {
		if _, err := Load([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// maker collects cases.
type maker struct {
	cases []Case
}

func makeCases(t *testing.T) File {
	m := &maker{}
	for _, c := range slices.Concat(valueCalls(), namedCalls(), errorCalls(), streamCalls(), cancelCalls(), metadataCalls()) {
		m.bothWays(c)
	}
	m.several()
	m.faults()
	m.cuts()
	m.wire(t)
	return File{
		About: "What is asked of an implementation of the chum protocol, version 1. See ../conformance.md.",
		Hello: hex.EncodeToString(helloFrame),
		Cases: m.cases,
	}
}

var helloFrame = wire.Append(nil, wire.Frame{Kind: wire.Hello, Payload: []byte(
	`{"version":1,"agent":"raw","limits":{"calls":1024,"streams":256,"value":8388608,"window":32768}}`)})

// A question is calls, one after the other, under a name.
type question struct {
	group, name string
	calls       []Call
}

func (m *maker) bothWays(q question) {
	m.cases = append(m.cases, Case{Group: q.group, Name: q.name, Calls: q.calls}, Case{Group: q.group, Name: q.name + ", the server calls", Calls: backwards(q.calls)})
}

func backwards(calls []Call) []Call {
	list := slices.Clone(calls)
	for i := range list {
		list[i].Back = true
	}
	return list
}

func data(v any) jsontext.Value {
	if text, ok := v.(string); ok && strings.HasPrefix(text, "=") { // as it is
		return jsontext.Value(text[1:])
	}
	return writeData(v)
}

func patternOf(n int) string { return fmt.Sprintf(`={"$pattern":%d}`, n) }
func numbersOf(n int) string { return fmt.Sprintf(`={"$numbers":%d}`, n) }

// short is how a value is named in a case's name.
func short(v any) string {
	text := strings.TrimPrefix(string(data(v)), "=")
	if len(text) > 60 {
		text = fmt.Sprintf("%.40s… of %d bytes", text, len(text))
	}
	return strings.ToValidUTF8(text, "")
}

func one(group string, c Call) question {
	name := c.Method + " "
	switch {
	case c.Args != nil:
		list := make([]string, len(c.Args))
		for i, arg := range c.Args {
			list[i] = short("=" + string(arg))
		}
		name += "[" + strings.Join(list, ", ") + "]"
	case c.Arg != nil:
		name += short("=" + string(c.Arg))
	}
	if c.Items != nil {
		name += " fed " + short("="+string(c.Items))
	}
	return question{group, strings.TrimSpace(name), []Call{c}}
}

func valueCalls() (list []question) {
	echoes := func(method string, values ...any) {
		for _, v := range values {
			list = append(list, one("values", Call{Method: method, Arg: data(v), Want: Outcome{Result: data(v)}}))
		}
	}
	echoes("echoText", "", "a", "ein Füchslein 🦊 \u2028", "a \"quoted\" \\ \u0000 \u001f text", "\ufeff\u200b", strings.Repeat("long ", 2000))
	echoes("echoInteger", 0, 1, -1, 1<<31-1, -1<<31)
	echoes("echoNumber", 0, 0.1, -1.5, 1e300, 5e-324, 9007199254740991)
	echoes("echoFlag", false, true)
	echoes("echoList", "=[]", `=["a",""]`)
	echoes("echoMap", "={}", `={"":1,"toString":-2}`)
	record := Record{
		Text: "t", Integer: -2147483648, Large: 1<<63 - 1, Float: 0.5, Flag: true, Bytes: []byte("bytes"),
		List: []string{"a", ""}, Map: map[string]int32{"k": 1},
	}
	nested := record
	nested.Next = &record
	echoes("echoRecord", record, nested)
	for _, n := range []int{0, 1, 8191, 8192, 61440, 1_000_000} {
		v := fmt.Sprintf(`={"name":"n","data":%s}`, bytesOf(n))
		echoes("echoPart", v)
		echoes("echo", "="+bytesOf(n))
		list = append(list,
			one("values", Call{Method: "measure", Arg: data(v), Want: Outcome{Result: data(Measure{n, true})}}),
			one("values", Call{Method: "give", Arg: data(n), Want: Outcome{Result: data("=" + bytesOf(n))}}))
	}
	echoes("echoAny", "=null", "=0", `="x"`, "=[]", "={}", `={"a":[1,{"b":null}],"c":"d"}`, "="+strings.Repeat("[", 60)+strings.Repeat("]", 60))
	list = append(list, one("values", Call{Method: "nothing", Want: Outcome{Result: data("=null")}}))
	return list
}

// bytesOf is the data of bytes of a pattern, as an outcome has it.
func bytesOf(n int) string {
	return string(writeData(pattern(n)))
}

func args(values ...any) []jsontext.Value {
	list := []jsontext.Value{}
	for _, v := range values {
		list = append(list, data(v))
	}
	return list
}

func namedCalls() (list []question) {
	ask := func(want any, method string, values ...any) {
		list = append(list, one("by name", Call{Method: method, Args: args(values...), Named: len(values) == 0, Want: Outcome{Result: data(want)}}))
	}
	ask("hi x", "hi", "x")
	ask(5, "add", 2, 3)
	ask("=null", "nothing")
	ask("="+bytesOf(300), "echo", patternOf(300))
	ask("="+bytesOf(100_000), "echo", patternOf(100_000))
	ask(Measure{300, true}, "measure", "n", patternOf(300))
	ask(Measure{100_000, true}, "measure", "n", patternOf(100_000))
	ask("ü", "echoText", "ü")
	ask(-5, "echoInteger", -5)
	ask(true, "echoFlag", true)
	ask(`=["a"]`, "echoList", `=["a"]`)
	ask(`={"a":1}`, "echoMap", `={"a":1}`)
	ask(`={"a":[null]}`, "echoAny", `={"a":[null]}`)
	ask("hi ", "hi", "")
	return list
}

func errorCalls() (list []question) {
	for _, code := range []string{
		"cancelled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists", "permission_denied", "resource_exhausted",
		"failed_precondition", "aborted", "out_of_range", "unimplemented", "internal", "unavailable", "data_loss", "unauthenticated",
	} {
		list = append(list, one("errors", Call{
			Method: "fail", Arg: data(Failure{code, "as asked", data(`={"limit":1}`)}),
			Want: Outcome{Code: code, Executed: "yes", Data: data(`={"limit":1}`)},
		}))
	}
	list = append(list, one("errors", Call{Method: "crash", Want: Outcome{Code: "internal", Executed: "yes"}}))
	refused := func(code, method string, values ...any) {
		list = append(list, one("errors", Call{
			Method: method, Args: args(values...), Named: len(values) == 0, Want: Outcome{Code: code, Executed: "no"},
		}))
	}
	for _, name := range []string{"nobody", "constructor", "__proto__", "toString", "hasOwnProperty", "Hi", "hi.", "rpc.nobody"} {
		refused("unimplemented", name)
	}
	refused("unimplemented", strings.Repeat("n", 128))
	bad := func(method string, values ...any) { refused("invalid_argument", method, values...) }
	bad("hi", 5)
	bad("hi", "=null", 1)
	bad("hi")
	bad("hi", "x", "y")
	bad("hi", patternOf(3))
	bad("add", "x", 1)
	bad("add", 1)
	bad("add", 1.5, 1)
	bad("echoFlag", 0)
	bad("echoFlag", "true")
	bad("echoInteger", 2147483648)
	bad("echoInteger", "1")
	bad("echoNumber", "1")
	bad("echoList", "x")
	bad("echoList", `=[1]`)
	bad("echoMap", "=[]")
	bad("echoMap", `={"a":"x"}`)
	bad("nothing", 1)
	bad("measure", 5, patternOf(3))
	bad("count", 5)
	bad("total")
	bad("chat", "x")
	list = append(list,
		one("errors", Call{Method: "echo", Arg: data(patternOf(8<<20 + 1)), Want: Outcome{Code: "resource_exhausted", Executed: "no"}}),
		one("errors", Call{Method: "give", Arg: data(-1), Want: Outcome{Code: "out_of_range", Executed: "yes"}}),
		one("errors", Call{Method: "give", Arg: data(8<<20 + 1), Want: Outcome{Code: "resource_exhausted", Executed: "yes"}}))
	return list
}

func streamCalls() (list []question) {
	ask := func(c Call) { list = append(list, one("streams", c)) }
	for _, n := range []int{0, 1, 5, 100, 5000} {
		ask(Call{Method: "count", Arg: data(n), Want: Outcome{Items: numbersWanted(n)}})
		ask(Call{Method: "total", Items: data(numbersOf(n)), Want: Outcome{Result: data(n * (n - 1) / 2)}})
	}
	ask(Call{Method: "count", Arg: data(1_000_000_000), Take: 3, Want: Outcome{Items: data("=[0,1,2]")}})
	for _, n := range []int{0, 1, 251, 61440, 100_000, 1_000_000} {
		ask(Call{Method: "read", Arg: data(n), Want: Outcome{Items: data("=" + bytesOf(n))}})
		ask(Call{Method: "write", Items: data(patternOf(n)), Want: Outcome{Result: data(fmt.Sprintf(`={"name":"written","data":%s}`, bytesOf(n)))}})
		ask(Call{Method: "pass", Items: data(patternOf(n)), Want: Outcome{Items: data("=" + bytesOf(n))}})
	}
	ask(Call{Method: "zero", Arg: data(3), Want: Outcome{Items: data(make([]byte, 3))}})
	for _, n := range []int{0, 1, 5} {
		items := []Part{}
		for i := range n {
			items = append(items, Part{"part", pattern(i)})
		}
		ask(Call{Method: "parts", Arg: data(n), Want: Outcome{Items: data(items)}})
	}
	for _, n := range []int{0, 5, 500} {
		ask(Call{Method: "breakOff", Arg: data(n), Want: Outcome{Items: numbersWanted(n), Code: "aborted", Executed: "yes"}})
	}
	for _, n := range []int{0, 1, 3} {
		ask(Call{Method: "first", Arg: data(n), Items: data(numbersOf(5000)), Want: Outcome{Result: data(n * (n - 1) / 2)}})
		ask(Call{Method: "refuse", Arg: data(n), Items: data(numbersOf(5000)), Want: Outcome{Code: "aborted", Executed: "yes"}})
	}
	ask(Call{Method: "chat", Arg: data("echo"), Items: data("=[]"), Want: Outcome{Items: data("=[]")}})
	ask(Call{Method: "chat", Arg: data("echo"), Items: data(`=["a","","ü"]`), Want: Outcome{Items: data(`=["echo: a","echo: ","echo: ü"]`)}})
	ask(Call{Method: "chat", Arg: data("echo"), Items: data(`=["a","b","c"]`), Take: 2, Want: Outcome{Items: data(`=["echo: a","echo: b"]`)}})
	var even []int
	for i := range 1000 {
		even = append(even, 2*i)
	}
	ask(Call{Method: "double", Items: data(numbersOf(1000)), Want: Outcome{Items: data(even)}})
	return list
}

func numbersWanted(n int) jsontext.Value {
	list := []int{}
	for i := range n {
		list = append(list, i)
	}
	return writeItems(list)
}

func cancelCalls() (list []question) {
	given := Outcome{Code: "cancelled", Executed: "maybe"}
	over := Outcome{Code: "deadline_exceeded"}
	reached := Call{Method: "cancelled", Arg: data("$id"), Want: Outcome{Result: data(true)}}
	ask := func(name string, c Call, more ...Call) {
		list = append(list, question{"cancel", name, append([]Call{c}, more...)})
	}
	ask("a cancel reaches the handler", Call{Method: "wait", Arg: data("$id"), Cancel: "$id", Want: given}, reached)
	ask("a deadline holds on both sides", Call{Method: "wait", Arg: data("$id"), Timeout: 50, Want: over}, reached)
	ask("a stream that is given up", Call{Method: "drip", Arg: data("$id"), Cancel: "$id", Want: given}, reached)
	ask("a stream whose time is over", Call{Method: "drip", Arg: data("$id"), Timeout: 50, Want: over}, reached)
	ask("a stream that is left", Call{Method: "drip", Arg: data("$id"), Take: 1, Want: Outcome{Items: data("=[0]")}}, reached)
	ask("a call that never answers has a deadline", Call{Method: "hang", Timeout: 50, Want: over})
	ask("nobody reads the bytes that are fed", Call{Method: "deaf", Items: data(patternOf(1_000_000)), Timeout: 50, Want: over})
	hi := Call{Method: "hi", Arg: data("x"), Want: Outcome{Result: data("hi x")}}
	ask("a call behind one that was given up", Call{Method: "hang", Timeout: 20, Want: over}, hi)
	return list
}

func metadataCalls() (list []question) {
	tell := func(key string, meta map[string]string) {
		list = append(list, question{"metadata", fmt.Sprintf("%s of %d, %d bytes", key, len(meta), len(meta[key])), []Call{
			{Method: "metadata", Arg: data(key), Metadata: meta, Want: Outcome{Result: data(meta[key])}},
		}})
	}
	tell("traceparent", map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
	tell("traceparent", nil)
	tell("k", map[string]string{"k": "ä 🦊", "l": "other"})
	tell("empty", map[string]string{"empty": ""})
	tell("long", map[string]string{"long": strings.Repeat("m", 3000)})
	tell("a.b_c-9", map[string]string{"a.b_c-9": "v"})
	ask := func(name string, calls ...Call) { list = append(list, question{"metadata", name, calls}) }
	for _, p := range []int{-1, 1} {
		ask(fmt.Sprintf("priority %d", p), Call{Method: "echo", Arg: data(patternOf(100_000)), Priority: p, Want: Outcome{Result: data(patternOf(100_000))}})
	}
	ask("metadata over 4,096 bytes is not sent", Call{
		Method: "hi", Arg: data("x"), Metadata: map[string]string{"k": strings.Repeat("m", 4096)}, Want: Outcome{Code: "invalid_argument", Executed: "no"},
	})
	ask("metadata of the protocol is not the program's", Call{
		Method: "hi", Arg: data("x"), Metadata: map[string]string{"rpc.repeat": ""}, Want: Outcome{Code: "invalid_argument", Executed: "no"},
	})
	tally := func(name, key string, n int) Call {
		return Call{Method: "tally", Arg: data(name), Key: key, Want: Outcome{Result: data(n)}}
	}
	counted := func(n int) Call { return Call{Method: "tallied", Arg: data("$id"), Want: Outcome{Result: data(n)}} }
	ask("a key has one effect", tally("$id", "one $id", 1), tally("$id", "one $id", 1), counted(1))
	ask("another key has another", tally("$id", "one $id", 1), tally("$id", "two $id", 2), counted(2))
	ask("no key, no memory", tally("$id", "", 1), tally("$id", "", 2), counted(2))
	other := tally("$id other", "one $id", 0)
	other.Want = Outcome{Code: "invalid_argument", Executed: "no"}
	ask("a key that was used with other parameters", tally("$id", "one $id", 1), other, counted(1))
	ask("repeatable, of a pure method", Call{Method: "tallied", Arg: data("$id"), Repeat: true, Want: Outcome{Result: data(0)}})
	not := Outcome{Code: "failed_precondition", Executed: "no"}
	ask("repeatable, of one that is not", Call{Method: "echoText", Arg: data("x"), Repeat: true, Want: not})
	ask("a key, of a method that is not keyed", Call{Method: "echoText", Arg: data("x"), Key: "a key of the case $id", Want: not})
	return list
}

// several are calls at the same time.
func (m *maker) several() {
	hi := Call{Method: "hi", Arg: data("x"), Times: 100, Want: Outcome{Result: data("hi x")}}
	add := Call{Method: "add", Args: args(2, 3), Times: 50, Want: Outcome{Result: data(5)}}
	long := Call{Method: "echo", Arg: data(patternOf(500_000)), Times: 5, Want: Outcome{Result: data(patternOf(500_000))}}
	count := Call{Method: "count", Arg: data(1000), Times: 10, Want: Outcome{Items: data(numbersOf(1000))}}
	total := Call{Method: "total", Items: data(numbersOf(1000)), Times: 10, Want: Outcome{Result: data(499_500)}}
	read := Call{Method: "read", Arg: data(500_000), Times: 3, Want: Outcome{Items: data(patternOf(500_000))}}
	write := Call{Method: "write", Items: data(patternOf(500_000)), Times: 3, Want: Outcome{Result: data(`={"name":"written","data":{"$pattern":500000}}`)}}
	late := Call{Method: "hang", Timeout: 30, Times: 20, Want: Outcome{Code: "deadline_exceeded"}}
	fails := Call{Method: "fail", Arg: data(Failure{Code: "aborted", Message: "m", Data: data("=1")}), Times: 20, Want: Outcome{Code: "aborted", Executed: "yes", Data: data("=1")}}
	echo := Call{Method: "double", Items: data(numbersOf(5)), Times: 10, Want: Outcome{Items: data("=[0,2,4,6,8]")}}
	for _, x := range []struct {
		name  string
		calls []Call
	}{
		{"a hundred calls", []Call{hi}},
		{"calls beside long values", []Call{hi, long, add}},
		{"calls beside streams", []Call{count, hi, total, add, read, write}},
		{"calls beside such as are given up", []Call{late, hi, count}},
		{"calls beside such as fail", []Call{fails, add, hi}},
		{"streams there and back", []Call{echo, count, total, echo}},
	} {
		there := Case{Group: "at once", Name: x.name, Together: true, Calls: x.calls}
		m.cases = append(m.cases, there,
			Case{Group: there.Group, Name: x.name + ", the server calls", Together: true, Calls: backwards(x.calls)},
			Case{Group: there.Group, Name: x.name + ", both call", Together: true, Calls: append(backwards(x.calls), x.calls...)})
	}
	inner := Call{Method: "hi", Arg: data("x")}
	for depth := 1; depth <= 4; depth++ {
		inner = Call{Method: "back", Arg: data(inner)}
		want := Outcome{Result: data("hi x")}
		for range depth {
			want = Outcome{Result: data(want)}
		}
		c := inner
		c.Want = want
		m.cases = append(m.cases, Case{Group: "at once", Name: fmt.Sprintf("handlers that call back, %d deep", depth), Calls: []Call{c}})
	}
}

// faults are what the network may do and nobody may notice.
func (m *maker) faults() {
	some := []question{}
	for _, c := range []Call{
		{Method: "hi", Arg: data("x"), Want: Outcome{Result: data("hi x")}},
		{Method: "add", Args: args(2, 3), Want: Outcome{Result: data(5)}},
		{Method: "echo", Arg: data(patternOf(300)), Want: Outcome{Result: data(patternOf(300))}},
		{Method: "echoPart", Arg: data(`={"name":"n","data":{"$pattern":9000}}`), Want: Outcome{Result: data(`={"name":"n","data":{"$pattern":9000}}`)}},
		{Method: "fail", Arg: data(Failure{Code: "aborted", Message: "m", Data: data("=1")}), Want: Outcome{Code: "aborted", Executed: "yes", Data: data("=1")}},
		{Method: "nobody", Named: true, Want: Outcome{Code: "unimplemented", Executed: "no"}},
		{Method: "count", Arg: data(100), Want: Outcome{Items: data(numbersOf(100))}},
		{Method: "count", Arg: data(1_000_000_000), Take: 3, Want: Outcome{Items: data("=[0,1,2]")}},
		{Method: "breakOff", Arg: data(30), Want: Outcome{Items: data(numbersOf(30)), Code: "aborted", Executed: "yes"}},
		{Method: "total", Items: data(numbersOf(100)), Want: Outcome{Result: data(4950)}},
		{Method: "first", Arg: data(3), Items: data(numbersOf(100)), Want: Outcome{Result: data(3)}},
		{Method: "write", Items: data(patternOf(20_000)), Want: Outcome{Result: data(`={"name":"written","data":{"$pattern":20000}}`)}},
		{Method: "read", Arg: data(20_000), Want: Outcome{Items: data(patternOf(20_000))}},
		{Method: "double", Items: data(numbersOf(5)), Want: Outcome{Items: data("=[0,2,4,6,8]")}},
		{Method: "hang", Timeout: 50, Want: Outcome{Code: "deadline_exceeded"}},
	} {
		some = append(some, one("", c))
	}
	for _, f := range []struct {
		name  string
		fault Fault
	}{
		{"a message a frame", Fault{Split: true}},
		{"written byte by byte", Fault{Trickle: 1}},
		{"written by 7 bytes, a message a frame", Fault{Trickle: 7, Split: true}},
		{"each message 2 ms late", Fault{Delay: 2}},
	} {
		for _, q := range some {
			for _, calls := range [][]Call{q.calls, backwards(q.calls)} {
				name := q.name + ", " + f.name
				if calls[0].Back {
					name += ", the server calls"
				}
				m.cases = append(m.cases, Case{Group: "faults", Name: name, Fault: &f.fault, Calls: calls})
			}
		}
	}
}

// cuts are connections that end amid a call.
func (m *maker) cuts() {
	lost := Outcome{Code: "unavailable", Executed: "maybe"}
	for _, c := range []Call{
		{Method: "wait", Arg: data("$id"), Cut: "$id", Want: lost},
		{Method: "drip", Arg: data("$id"), Cut: "$id", Want: lost},
	} {
		for _, f := range []Fault{{}, {Split: true}, {Trickle: 1}} {
			name := fmt.Sprintf("the end of %s, %s", c.Method, writeData(f))
			m.cases = append(m.cases, Case{Group: "cuts", Name: name, Fault: &f, Calls: []Call{c}})
		}
	}
	calls := []Call{
		{Method: "hi", Arg: data("x"), Times: 20, Want: Outcome{Result: data("hi x")}},
		{Method: "tally", Arg: data("$id"), Want: Outcome{Result: data(1)}},
		{Method: "count", Arg: data(2000), Want: Outcome{Items: data(numbersOf(2000))}},
		{Method: "total", Items: data(numbersOf(2000)), Want: Outcome{Result: data(1_999_000)}},
		{Method: "read", Arg: data(200_000), Want: Outcome{Items: data(patternOf(200_000))}},
		{Method: "write", Items: data(patternOf(200_000)), Want: Outcome{Result: data(`={"name":"written","data":{"$pattern":200000}}`)}},
	}
	for _, half := range []bool{false, true} {
		for _, conns := range []int{1, 3} {
			for n := 3; n <= 8; n++ {
				for _, f := range []Fault{{Up: n, Half: half, Conns: conns}, {Down: n, Half: half, Conns: conns}} {
					for _, calls := range [][]Call{calls, backwards(calls)} {
						name := "calls and streams go on, " + string(writeData(f))
						if calls[0].Back {
							name += ", the server calls"
						}
						m.cases = append(m.cases, Case{Group: "resume", Name: name, Needs: "resume", Fault: &f, Together: true, Calls: calls})
					}
				}
			}
		}
	}
}
