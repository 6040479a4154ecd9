package jsonrpc

import (
	"context"
	"strings"
	"testing"

	"github.com/chumsync/chum/rpc"
)

// TestMetadata sends metadata in both directions.
func TestMetadata(t *testing.T) {
	m := testMux()
	m.Func("trace", func(ctx context.Context) string {
		ctx = rpc.WithMetadata(ctx, "trace", rpc.Metadata(ctx, "trace")+"-2")
		var s string
		if err := rpc.PeerFrom(ctx).Send(ctx, "ask").Await(&s); err != nil {
			return err.Error()
		}
		return s
	})
	c := connect(t, m, rpc.Options{})
	c.ask(`{"jsonrpc":"2.0","id":1,"method":"trace","meta":{"trace":"é","other":""}}`,
		`{"jsonrpc":"2.0","id":"chum:1","method":"ask","meta":{"trace":"é-2"}}`)
	c.ask(`{"jsonrpc":"2.0","id":"chum:1","result":"x"}`, `{"jsonrpc":"2.0","id":1,"result":"x"}`)
	for meta, why := range map[string]string{
		`null`: "an object of strings", `[]`: "an object of strings", `{"a":1}`: "an object of strings", `{"A":"x"}`: "it must have 1 to 64 bytes",
		`{"":"x"}`: "it must have 1 to 64 bytes", `{"` + strings.Repeat("a", 65) + `":"x"}`: "it must have 1 to 64 bytes",
		`{"a":"` + strings.Repeat("x", 4096) + `"}`: "bytes; 4096 are allowed",
	} {
		c.send(`{"jsonrpc":"2.0","id":1,"method":"trace","meta":` + meta + `}`)
		if got := c.read(); !strings.Contains(got, `"code":-32600`) || !strings.Contains(got, why) {
			t.Errorf("%.40s: %s", meta, got)
		}
	}
}

// TestNotification calls without waiting for an answer.
func TestNotification(t *testing.T) {
	c := connect(t, testMux(), rpc.Options{})
	if err := c.peer.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := Notification(rpc.WithMetadata(t.Context(), "k", "v"))
	p := c.peer.Send(ctx, "event", 1, []byte("x"))
	c.want(`{"jsonrpc":"2.0","method":"event","params":[1,"eA=="],"meta":{"k":"v"}}`)
	if err := p.Await(nil); err != nil {
		t.Error(err)
	}
	// Between peers it is a call.
	a, _ := pair(t, nil, testMux(), nil)
	if err := a.Send(Notification(t.Context()), "none").Await(nil); err != nil {
		t.Error(err)
	}
	if s := c.peer.Stats(); s.Out.Open != 0 || s.Out.Succeeded != 1 {
		t.Errorf("%+v", s)
	}
}
