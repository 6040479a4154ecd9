package jsonrpc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

// receive takes one text message in: an object, or a batch of them. Nothing that is wrong in it
// ends the connection.
func (t *translator) receive(p []byte) {
	f := check(p)
	p = bytes.TrimLeft(p, " \t\r\n")
	isBatch := len(p) > 0 && p[0] == '['
	if f == nil && isBatch {
		_, f = members(p)
	}
	if f != nil {
		t.apply(func() { t.refuse(nil, null, f.number, f.reason) })
		return
	}
	if !isBatch {
		m, f := parse(p)
		t.apply(func() { t.message(&m, f, nil) })
		return
	}
	b := new(batch)
	d := jsontext.NewDecoder(bytes.NewBuffer(p))
	_, _ = d.ReadToken() // the bracket; members has read it all without an error
	for d.PeekKind() != ']' {
		v, _ := d.ReadValue()
		m, f := parse(v)
		t.apply(func() { t.message(&m, f, b) })
	}
	t.apply(func() {
		b.read = true
		t.sayBatch(b)
	})
}

// message takes in what one object says. With t.mu held, as everything that follows.
func (t *translator) message(m *message, f *fault, b *batch) {
	switch {
	case t.end != nil:
	case f != nil:
		t.refuse(b, null, f.number, f.reason)
	case m.Method != nil:
		r, f := m.request()
		switch {
		case f != nil:
			t.refuse(b, m.id(), f.number, f.reason)
		case m.ID == nil && t.notified(string(r.method), r.params):
		default:
			t.request(m, r, b)
		}
	case m.Result != nil || m.Error != nil:
		t.response(m)
	default:
		t.refuse(b, m.id(), invalidRequest, "it has neither a method nor a result")
	}
}

// request passes a call or a notification on to the peer.
func (t *translator) request(m *message, r request, b *batch) {
	c := &call{}
	if m.ID != nil {
		c.name = m.id()
	}
	switch t.mux.Kind(string(r.method)) {
	case "source":
		c.takes = true
	case "sink":
		c.feeds = true
	case "duplex":
		c.takes, c.feeds = true, true
	}
	switch {
	case c.name == nil && (c.takes || c.feeds):
		t.inVain() // a notification gets no answer, and a stream needs an id
		return
	case len(r.method) > maxName && c.name == nil:
		t.inVain()
		return
	case len(r.method) > maxName:
		t.refuse(b, c.name, methodNotFound, "its name is longer than "+strconv.Itoa(maxName)+" bytes")
		return
	case len(t.table.theirs) >= t.limits.calls+openLimit:
		t.cut(errors.New("it calls, and takes no answers"))
		return
	}
	if b != nil && c.name != nil {
		c.batch = b
		b.open++
	}
	t.table.open(c)
	if !t.cover() {
		t.fail(c, failed(rpc.ResourceExhausted, rpc.No, "there is no memory to spare for it: try again later"))
		return
	}

	head := binary.AppendUvarint(nil, c.mode())
	head = binary.AppendUvarint(head, r.timeout)
	head = binary.AppendUvarint(head, uint64(len(r.meta)))
	head = append(head, r.meta...)
	head = binary.AppendUvarint(head, uint64(len(r.method)))
	head = append(head, r.method...)
	t.value(c.frame(wire.Request, nil), head, r.params)

	if c.takes {
		c.paced, c.left = r.paced, int64(r.credit)
		grant := r.credit
		if !c.paced {
			grant = firstCredit
		}
		if grant > 0 {
			t.forPeer(c.frame(wire.Credit, binary.AppendUvarint(nil, grant)))
		}
	}
	if c.feeds && c.credit > 0 {
		t.grant(c, uint64(c.credit))
	}
}

// mode gives the call's mode as a request frame has it.
func (c *call) mode() (mode uint64) {
	if c.feeds {
		mode |= 1
	}
	if c.takes {
		mode |= 2
	}
	return mode
}

// value queues a frame for the peer that has a value behind its head: in parts if it does not fit.
func (t *translator) value(f wire.Frame, head, v []byte) {
	if len(head)+len(v) <= wire.MaxFrame {
		f.Payload = slices.Concat(head, v)
		t.forPeer(f)
		return
	}
	f.Long = true
	head = binary.AppendUvarint(head, uint64(len(v)))
	n := wire.MaxFrame - len(head)
	f.Payload = slices.Concat(head, v[:n])
	t.forPeer(f)
	for v = v[n:]; len(v) > 0; v = v[n:] {
		n = min(len(v), wire.MaxFrame)
		t.forPeer(wire.Frame{Kind: wire.Part, Own: f.Own, ID: f.ID, Payload: v[:n]})
	}
}

// response passes the answer to a call of the peer on. One that no call is open for goes on as
// well: the peer knows whether it is late or makes no sense.
func (t *translator) response(m *message) {
	id, ok := parseName(m.ID)
	c := t.table.ours[id]
	switch {
	case !ok:
		t.strike()
		return
	case c == nil:
		t.forPeer(wire.Frame{Kind: wire.Result, ID: id})
		return
	}
	t.table.drop(c)
	if m.Error != nil && m.Error.Kind() != 'n' {
		t.failPeer(c, bodyOf(m.Error))
		return
	}
	if !c.takes {
		t.value(c.frame(wire.Result, nil), nil, m.Result)
		return
	}
	if n, err := strconv.ParseUint(string(m.Result), 10, 64); err != nil || n != c.items {
		t.failPeer(c, failed(rpc.DataLoss, rpc.Yes, "the stream has %d items, and ends as if it had %.40s", c.items, m.Result))
		return
	}
	t.forPeer(c.frame(wire.End, binary.AppendUvarint(nil, c.items)))
	t.forPeer(c.frame(wire.Result, nil))
}

// failPeer ends a call of the peer, which is in the table no more, with an error.
func (t *translator) failPeer(c *call, e body) {
	t.forPeer(c.frame(wire.Error, appendBody(nil, e)))
}

// inVain lets the peer count something that cost time and brought nothing: a pong is such.
func (t *translator) inVain() { t.forPeer(wire.Frame{Kind: wire.Pong}) }

// strike lets the peer count something that makes no sense: an answer to a call never made.
func (t *translator) strike() {
	t.forPeer(wire.Frame{Kind: wire.Result, ID: wire.MaxID})
}
