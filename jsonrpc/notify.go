package jsonrpc

import (
	"encoding/binary"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

// The notifications that JSON-RPC does not have. The name says which side of the call sends it,
// since both sides may use the same ids.
const (
	cancelMethod = "rpc.cancel" // caller: it no longer waits
	feedMethod   = "rpc.feed"   // caller: the next item of its stream
	endMethod    = "rpc.end"    // caller: its stream is complete
	moreMethod   = "rpc.more"   // caller: it takes more of the callee's stream
	itemMethod   = "rpc.item"   // callee: the next item of its stream
	creditMethod = "rpc.credit" // callee: it takes more of the caller's stream
	byeMethod    = "rpc.bye"    // either: why the connection will be cut
)

// about is what such a notification says of a call.
type about struct {
	ID     jsontext.Value `json:"id"`
	Value  jsontext.Value `json:"value"`
	Items  uint64         `json:"items"`
	Credit uint64         `json:"credit"`
}

// notified takes one of these notifications in; it reports false for any other. What is for a call
// that has ended is late, and dropped.
func (t *translator) notified(method string, params []byte) bool {
	switch method {
	case cancelMethod, feedMethod, endMethod, moreMethod, itemMethod, creditMethod:
	case byeMethod:
		return true
	default:
		return false
	}
	var a about
	if err := json.Unmarshal(params, &a); err != nil || a.ID == nil {
		t.strike()
		return true
	}
	var c *call
	if method == itemMethod || method == creditMethod {
		if id, ok := parseName(a.ID); ok {
			c = t.table.ours[id]
		}
	} else {
		c = t.table.named[string(a.ID)]
	}
	if c == nil {
		if method != feedMethod && method != itemMethod { // of those, a window full may be on its way
			t.inVain()
		}
		return true
	}
	switch method {
	case cancelMethod:
		t.giveUp(c, failed(rpc.Cancelled, rpc.Maybe, "the caller cancelled the call"))
	case feedMethod, itemMethod:
		t.item(c, a.Value)
	case endMethod:
		t.feedEnds(c, a.Items)
	case moreMethod, creditMethod:
		t.more(c, a.Credit)
	}
	return true
}

// giveUp ends a call because of what the other side did: it gets the error, whoever made the call,
// and the peer is told.
func (t *translator) giveUp(c *call, e body) {
	if !c.own {
		t.forPeer(c.frame(wire.Cancel, nil))
		t.fail(c, e)
		return
	}
	t.table.drop(c)
	t.failPeer(c, e)
	t.notify(cancelMethod, func(b []byte) []byte { return appendName(append(b, `"id":`...), c.id) })
}

// incoming tells whether the other side streams in this call.
func (c *call) incoming() bool { return c.own && c.takes || !c.own && c.feeds }

// outgoing tells whether the peer does.
func (c *call) outgoing() bool { return c.own && c.feeds || !c.own && c.takes }

// item passes an item of the other side on, if the peer has given credit for it. One that came
// without ends this one call.
func (t *translator) item(c *call, v jsontext.Value) {
	switch {
	case !c.incoming() || c.ended:
		t.giveUp(c, failed(rpc.InvalidArgument, rpc.Maybe, "an item came where the caller streams none, or has ended its stream"))
		return
	case c.credit <= 0:
		t.giveUp(c, failed(rpc.ResourceExhausted, rpc.Maybe,
			"item %d came without credit: each costs %d bytes beside those of its value; wait until credit is above 0", c.items+1, itemCost))
		return
	}
	if v == nil {
		v = null
	}
	c.items++
	c.credit -= int64(len(v) + itemCost)
	t.value(c.frame(wire.Item, nil), nil, v)
}

// feedEnds takes the end of a caller's stream in.
func (t *translator) feedEnds(c *call, items uint64) {
	switch {
	case !c.feeds || c.ended:
		t.giveUp(c, failed(rpc.InvalidArgument, rpc.Maybe, "an end came where the caller streams nothing, or has ended its stream"))
		return
	case items != c.items:
		t.giveUp(c, failed(rpc.InvalidArgument, rpc.Maybe, "a stream ends after %d items; %d came", items, c.items))
		return
	}
	c.ended = true
	t.forPeer(c.frame(wire.End, binary.AppendUvarint(nil, items)))
}

// more passes credit of the other side on.
func (t *translator) more(c *call, n uint64) {
	switch {
	case !c.outgoing() || !c.paced || n == 0:
		return
	case n > maxCredit || c.left+int64(n) > maxCredit:
		t.giveUp(c, failed(rpc.InvalidArgument, rpc.Maybe, "a credit of %d overflows", n))
		return
	}
	c.left += int64(n)
	t.forPeer(c.frame(wire.Credit, binary.AppendUvarint(nil, n)))
}
