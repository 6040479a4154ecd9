package jsonrpc

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/chumsync/chum/rpc"
)

// specification are the examples of the JSON-RPC 2.0 Specification, section 7
// (https://www.jsonrpc.org/specification#examples), each as one message and its answer.
var specification = []struct{ name, send, want string }{
	{
		"positional parameters",
		`{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}`,
		`{"jsonrpc": "2.0", "result": 19, "id": 1}`,
	},
	{
		"positional parameters, the other way round",
		`{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}`,
		`{"jsonrpc": "2.0", "result": -19, "id": 2}`,
	},
	{
		"named parameters",
		`{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}`,
		`{"jsonrpc": "2.0", "result": 19, "id": 3}`,
	},
	{
		"named parameters, the other way round",
		`{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}`,
		`{"jsonrpc": "2.0", "result": 19, "id": 4}`,
	},
	{"a notification", `{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}`, ``},
	{"a notification without parameters", `{"jsonrpc": "2.0", "method": "foobar"}`, ``},
	{
		"a method that does not exist",
		`{"jsonrpc": "2.0", "method": "foobar", "id": "1"}`,
		`{"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "1"}`,
	},
	{
		"invalid JSON",
		`{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]`,
		`{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}`,
	},
	{
		"an invalid request object",
		`{"jsonrpc": "2.0", "method": 1, "params": "bar"}`,
		`{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}`,
	},
	{
		"a batch, invalid JSON",
		`[
  {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
  {"jsonrpc": "2.0", "method"
]`,
		`{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}`,
	},
	{
		"an empty array", `[]`,
		`{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}`,
	},
	{
		"an invalid batch, but not empty", `[1]`,
		`[{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}]`,
	},
	{
		"an invalid batch", `[1,2,3]`,
		`[
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}
]`,
	},
	{
		"a batch",
		`[
  {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
  {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
  {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
  {"foo": "boo"},
  {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
  {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
]`,
		`[
  {"jsonrpc": "2.0", "result": 7, "id": "1"},
  {"jsonrpc": "2.0", "result": 19, "id": "2"},
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
  {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "5"},
  {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}
]`,
	},
	{
		"a batch of notifications",
		`[
  {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
  {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
]`, ``,
	},
}

// TestSpecificationExamples sends each and compares the whole answer, but for the member data of
// errors, which is ours to fill (section 5.1), and the order within a batch, which is free
// (section 6).
func TestSpecificationExamples(t *testing.T) {
	for _, x := range specification {
		t.Run(x.name, func(t *testing.T) {
			c := connect(t, testMux(), rpc.Options{})
			c.send(x.send)
			if x.want == "" { // then the next answer is the next call's
				c.ask(`{"jsonrpc":"2.0","method":"sum","params":[1,1,1],"id":"next"}`, `{"jsonrpc":"2.0","id":"next","result":3}`)
				return
			}
			got, want := normal(t, c.read()), normal(t, x.want)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got\n  %v\nwant\n  %v", got, want)
			}
		})
	}
}

// normal reads an answer. Errors lose their data, which must say whether the call was executed;
// the answers of a batch become a set.
func normal(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	list, ok := v.([]any)
	if !ok {
		strip(t, v)
		return v
	}
	set := map[string]int{}
	for _, one := range list {
		strip(t, one)
		b, err := json.Marshal(one) // with sorted names
		if err != nil {
			t.Fatal(err)
		}
		set[string(b)]++
	}
	return set
}

func strip(t *testing.T, answer any) {
	t.Helper()
	e, ok := answer.(map[string]any)["error"].(map[string]any)
	if !ok {
		return
	}
	if d, ok := e["data"].(map[string]any); ok {
		if d["executed"] != "no" || d["reason"] == "" {
			t.Errorf("the data of an error: %v", d)
		}
		delete(e, "data")
	}
}
