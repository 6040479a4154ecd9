package jsonrpc

import (
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

// hello is what a peer and the translator say to each other first.
type hello struct {
	Version int    `json:"version"`
	Agent   string `json:"agent"`
	Limits  struct {
		Calls   int   `json:"calls"`
		Streams int   `json:"streams"`
		Value   int   `json:"value"`
		Window  int64 `json:"window"` // 0 here: the other side says how much it takes
	} `json:"limits"`
	JSON bool `json:"json"` // values come in form json only
}

// limits are what is held for the other side, and for the peer.
type limits struct {
	calls    int // open at once, each way
	streams  int // of these, as the peer may have them open
	value    int // bytes of an argument, result or item of the peer
	assembly int // bytes of all that is held at once: long values, answers of batches
}

// limitsFrom takes the limits from the peer's options: unset means what it means there.
func limitsFrom(o *rpc.Options) limits {
	l := limits{calls: 1024, streams: 256, value: 8 << 20, assembly: 64 << 20}
	if o == nil {
		return l
	}
	for _, v := range []struct {
		to *int
		is int
	}{{&l.calls, o.MaxCalls}, {&l.streams, o.MaxStreams}, {&l.value, o.MaxValue}, {&l.assembly, o.MaxAssembly}} {
		if v.is != 0 {
			*v.to = v.is
		}
	}
	return l
}

// appendHello appends what the peer is told of the other side.
func appendHello(b []byte, l limits) []byte {
	h := hello{Version: rpc.Version, Agent: "json-rpc", JSON: true}
	h.Limits.Calls, h.Limits.Streams, h.Limits.Value = l.calls, l.streams, l.value
	p, err := json.Marshal(h)
	if err != nil {
		panic("jsonrpc: " + err.Error())
	}
	return wire.Append(b, wire.Frame{Kind: wire.Hello, Payload: p})
}

// greet takes the peer's hello in. With t.mu held.
func (t *translator) greet(p []byte) error {
	var h hello
	if err := json.Unmarshal(p, &h); err != nil {
		return fmt.Errorf("jsonrpc: the peer's hello: %w", err)
	}
	if h.Version != rpc.Version {
		return fmt.Errorf("jsonrpc: the peer speaks version %d, this translator version %d", h.Version, rpc.Version)
	}
	t.table.window = h.Limits.Window
	select {
	case <-t.greeted:
		return fmt.Errorf("jsonrpc: a second hello of the peer")
	default:
	}
	close(t.greeted)
	return nil
}
