package jsonrpc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

// translate makes messages out of a frame of the peer. With t.mu held, as everything that follows.
// An error means that it is not one of ours.
func (t *translator) translate(f wire.Frame) error {
	if f.Bulk() {
		t.path.bulk += uint64(len(f.Payload))
	}
	switch f.Kind {
	case wire.Hello:
		return t.greet(f.Payload)
	case wire.Request:
		return t.ask(f)
	case wire.Mark:
		t.mark()
	case wire.Ping:
		t.ping(f.Payload)
	case wire.Ack, wire.Pong, wire.GoAway: // after a goaway the peer refuses calls by itself
	case wire.Bye:
		t.bye(f.Payload)
	default:
		if c := t.table.find(f); c != nil {
			return t.step(c, f)
		}
	}
	return nil
}

// later queues a frame for the peer that is due when all before it is written.
func (t *translator) later(f wire.Frame) { t.after = wire.Append(t.after, f) }

// ask passes a call of the peer on. It has nothing that JSON-RPC does not have, unless it streams.
func (t *translator) ask(f wire.Frame) error {
	var n [4]uint64 // mode, time left, length of the metadata, length of the method
	b := f.Payload
	var meta []byte
	var err error
	for i := range n {
		if n[i], b, err = wire.Uvarint(b); err != nil {
			return fmt.Errorf("jsonrpc: request of the peer: %w", err)
		}
		if i == 2 {
			k := min(n[i], uint64(len(b)))
			meta, b = b[:k], b[k:]
		}
	}
	name := string(b[:min(n[3], uint64(len(b)))])
	c := &call{id: f.ID, own: true, paced: true, feeds: n[0]&1 != 0, takes: n[0]&2 != 0}
	if c.meta, c.notify, err = parseMeta(meta); err != nil {
		return err
	}
	c.notify = c.notify && !c.feeds && !c.takes
	t.table.open(c)
	if f.Form != wire.JSON {
		t.refusePeer(c, failed(rpc.FailedPrecondition, rpc.No, "the other side takes JSON only: wait for Peer.Ready before you call it with raw bytes"))
		return nil
	}
	b = b[len(name):]
	if !f.Long {
		t.call(c, name, b)
		return nil
	}
	if err := t.beginLong(c, f.Kind, b); err != nil {
		return err
	}
	if c.long != nil {
		c.long.name = name
	}
	return t.wholeLong(c)
}

// call writes the request of a call of the peer.
func (t *translator) call(c *call, name string, params []byte) {
	params = bytes.TrimLeft(params, " \t\r\n")
	if len(params) > 0 && (params[0] != '[' && params[0] != '{' || !jsontext.Value(params).IsValid()) {
		t.refusePeer(c, failed(rpc.InvalidArgument, rpc.No, "the arguments are no JSON array or object"))
		return
	}
	t.say(func(b []byte) []byte {
		b = append(b, `{"jsonrpc":"2.0",`...)
		if !c.notify {
			b = append(appendName(append(b, `"id":`...), c.id), ',')
		}
		b = append(append(append(b, `"method":"`...), name...), '"') // letters, digits and dots: no quotes
		if len(params) > 0 {
			b = append(append(b, `,"params":`...), params...)
		}
		if c.takes {
			b = strconv.AppendInt(append(b, `,"credit":`...), c.credit, 10)
		}
		if c.meta != nil {
			b = append(append(b, `,"meta":`...), c.meta...)
		}
		return append(b, '}')
	})
	c.meta = nil
	if c.notify {
		t.table.drop(c)
		t.later(c.frame(wire.Result, nil))
	}
}

// refusePeer ends a call of the peer that cannot be made.
func (t *translator) refusePeer(c *call, e body) {
	t.table.drop(c)
	t.later(c.frame(wire.Error, appendBody(nil, e)))
}

// step takes in what the peer says within an open call.
func (t *translator) step(c *call, f wire.Frame) error {
	switch f.Kind {
	case wire.Error:
		var e body
		if err := json.Unmarshal(f.Payload, &e); err != nil {
			return fmt.Errorf("jsonrpc: error of the peer: %w", err)
		}
		t.fail(c, e)
	case wire.Cancel:
		t.table.drop(c)
		t.notify(cancelMethod, func(b []byte) []byte { return appendName(append(b, `"id":`...), c.id) })
	case wire.End:
		if c.own {
			t.tell(c, endMethod, "items", c.sent)
		}
	case wire.Credit:
		n, _, err := wire.Uvarint(f.Payload)
		if err != nil {
			return fmt.Errorf("jsonrpc: credit of the peer: %w", err)
		}
		c.credit += int64(n)
		t.grant(c, n)
	case wire.Part:
		if c.long == nil || len(c.long.buf)+len(f.Payload) > c.long.total {
			return errors.New("jsonrpc: misplaced part of the peer")
		}
		c.long.buf = append(c.long.buf, f.Payload...)
		return t.wholeLong(c)
	default: // result and item
		if f.Long {
			if err := t.beginLong(c, f.Kind, f.Payload); err != nil {
				return err
			}
			return t.wholeLong(c)
		}
		t.give(c, f.Kind, f.Form, f.Payload)
	}
	return nil
}

// beginLong takes the first bytes of a long value of the peer in. If there is no room for it, it
// ends the call.
func (t *translator) beginLong(c *call, kind wire.Kind, v []byte) error {
	err := t.table.beginLong(c, kind, v)
	if err == nil && !t.cover() {
		err = errHeld // and breakOff lets go of it
	}
	if err == errHeld {
		e := failed(rpc.ResourceExhausted, rpc.Yes, "%s", errHeld.Error())
		if kind == wire.Request {
			e.Executed = rpc.No
		}
		t.breakOff(c, e)
		return nil
	}
	return err
}

// breakOff ends a call because the peer sent what cannot be passed on.
func (t *translator) breakOff(c *call, e body) {
	if c.own {
		sent := c.long != nil && c.long.kind != wire.Request || c.sent > 0
		t.refusePeer(c, e)
		if sent {
			t.notify(cancelMethod, func(b []byte) []byte { return appendName(append(b, `"id":`...), c.id) })
		}
		return
	}
	t.later(c.frame(wire.Cancel, nil))
	t.fail(c, e)
}

// wholeLong passes a long value on if it is complete.
func (t *translator) wholeLong(c *call) error {
	a := c.long
	if a == nil || len(a.buf) < a.total {
		return nil
	}
	t.table.dropLong(c)
	if a.kind == wire.Request {
		t.call(c, a.name, a.buf)
	} else {
		t.give(c, a.kind, wire.JSON, a.buf)
	}
	return nil
}

// give passes a result or an item of the peer on.
func (t *translator) give(c *call, kind wire.Kind, form wire.Form, v []byte) {
	cost := len(v) + itemCost
	if len(v) == 0 {
		v = null
	}
	if form != wire.JSON || !jsontext.Value(v).IsValid() {
		t.breakOff(c, failed(rpc.Internal, rpc.Yes, "the value is not JSON"))
		return
	}
	if kind == wire.Item {
		t.giveItem(c, v, cost)
		return
	}
	t.answer(c, func(b []byte) []byte {
		b = append(append(append(b, `{"jsonrpc":"2.0","id":`...), c.name...), `,"result":`...)
		if c.takes { // its result is that there were so many items
			b = strconv.AppendUint(b, c.sent, 10)
		} else {
			b = append(b, v...)
		}
		return append(b, '}')
	})
}

// giveItem passes an item on. If the other side does not say what it takes, the connection does: the
// peer gets its credit back when the item is written.
func (t *translator) giveItem(c *call, v []byte, cost int) {
	c.sent++
	method := itemMethod
	if c.own {
		method = feedMethod
	}
	t.notify(method, func(b []byte) []byte {
		b = t.appendID(append(b, `"id":`...), c)
		return append(append(b, `,"value":`...), v...)
	})
	if c.paced {
		c.left -= int64(cost)
		return
	}
	if c.eaten += cost; c.eaten >= firstCredit/4 {
		t.later(c.frame(wire.Credit, binary.AppendUvarint(nil, uint64(c.eaten))))
		c.eaten = 0
	}
}

// grant tells the other side what the peer takes of its stream.
func (t *translator) grant(c *call, n uint64) {
	method := creditMethod
	if c.own {
		method = moreMethod
	}
	t.tell(c, method, "credit", n)
}

// tell says a number about a call.
func (t *translator) tell(c *call, method, member string, n uint64) {
	t.notify(method, func(b []byte) []byte {
		b = t.appendID(append(b, `"id":`...), c)
		return strconv.AppendUint(append(append(append(b, `,"`...), member...), `":`...), n, 10)
	})
}

func (t *translator) appendID(b []byte, c *call) []byte {
	if c.own {
		return appendName(b, c.id)
	}
	return append(b, c.name...)
}

// notify says a notification with the params that members appends.
func (t *translator) notify(method string, members func(b []byte) []byte) {
	t.say(func(b []byte) []byte {
		b = append(append(append(b, `{"jsonrpc":"2.0","method":"`...), method...), `","params":{`...)
		return append(members(b), '}', '}')
	})
}

// bye says why the connection is about to be cut, if it is.
func (t *translator) bye(p []byte) {
	var e body
	if json.Unmarshal(p, &e) != nil || e.Code == "" {
		return
	}
	t.say(func(b []byte) []byte {
		b = append(b, `{"jsonrpc":"2.0","method":"rpc.bye","params":`...)
		return append(appendObject(b, objectOf(body{Code: e.Code, Message: e.Message, Executed: rpc.Maybe})), '}')
	})
}
