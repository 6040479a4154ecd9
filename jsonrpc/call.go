package jsonrpc

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

// call is a call that is open. Like the table, it is guarded by translator.mu.
type call struct {
	id    uint64 // its number at the peer
	own   bool   // the peer made it
	name  []byte // its id as the other side writes it, a JSON text; nil if it is a notification
	batch *batch // where the answer goes; nil: it is a message of its own
	feeds bool   // the caller streams items
	takes bool   // the callee does

	notify bool           // made by the peer, which waits for no answer
	meta   jsontext.Value // of a call of the peer that was not written yet

	long *assembly // a long value of the peer that is arriving

	credit int64  // what the peer still takes of the other side's items
	items  uint64 // that came from there
	ended  bool   // and are all

	paced bool   // the other side says what it takes of the peer's items
	left  int64  // how much it still takes, then
	eaten int    // cost of items written whose credit the peer was not given yet
	sent  uint64 // the peer's items
}

// itemCost is what an item costs in credit beyond its bytes, maxCredit the most there may be: as
// between peers.
const (
	itemCost  = 32
	maxCredit = 1 << 40
)

// prefix begins the ids of the calls that the peer makes. They are strings that no client uses
// for its own, since some clients (npm rpc-websockets) take any message with an id that they used
// for an answer.
const prefix = `"chum:`

// appendName appends the id of a call of the peer as JSON.
func appendName(b []byte, id uint64) []byte {
	b = append(b, prefix...)
	b = strconv.AppendUint(b, id, 10)
	return append(b, '"')
}

// parseName reads such an id.
func parseName(name []byte) (id uint64, ok bool) {
	digits, ok := bytes.CutPrefix(name, []byte(prefix))
	if !ok || len(digits) < 2 || digits[0] == '0' {
		return 0, false
	}
	id, err := strconv.ParseUint(string(digits[:len(digits)-1]), 10, 64)
	return id, err == nil && id <= wire.MaxID && digits[len(digits)-1] == '"'
}

// table holds the calls that are open, and what is held for them.
type table struct {
	theirs map[uint64]*call // made by the other side, by their number at the peer
	named  map[string]*call // of these, by their id: the latest of each
	ours   map[uint64]*call // made by the peer
	last   uint64           // the number of the other side's last call
	window int64            // credit that each stream to the peer starts with
	size   int              // bytes of the calls themselves
	held   int              // bytes of long values and of answers of batches
	limit  int              // of held
}

// callSize is what an open call costs beside its id, which is held twice.
const callSize = 256

func (c *call) size() int { return callSize + 2*len(c.name) }

func (t *table) begin(l limits) {
	t.theirs, t.named, t.ours = make(map[uint64]*call), make(map[string]*call), make(map[uint64]*call)
	t.limit = l.assembly
}

// find gives the open call that a frame of the peer is for, or nil.
func (t *table) find(f wire.Frame) *call {
	if f.Own {
		return t.ours[f.ID]
	}
	return t.theirs[f.ID]
}

// open puts a call into the table. One of the other side gets its number.
func (t *table) open(c *call) {
	c.credit = t.window
	t.size += c.size()
	if c.own {
		t.ours[c.id] = c
		return
	}
	t.last++
	c.id = t.last
	t.theirs[c.id] = c
	if c.name != nil {
		t.named[string(c.name)] = c
	}
}

// drop takes a call out of the table.
func (t *table) drop(c *call) {
	t.dropLong(c)
	t.size -= c.size()
	if c.own {
		delete(t.ours, c.id)
		return
	}
	delete(t.theirs, c.id)
	if t.named[string(c.name)] == c {
		delete(t.named, string(c.name))
	}
}

func (t *table) dropLong(c *call) {
	if c.long != nil {
		t.held -= c.long.total
		c.long = nil
	}
}

// frame is a frame for the peer within a call.
func (c *call) frame(k wire.Kind, payload []byte) wire.Frame {
	return wire.Frame{Kind: k, Own: !c.own, ID: c.id, Payload: payload}
}

// assembly is a long value of the peer on its way. Its buffer grows with what has come.
type assembly struct {
	kind  wire.Kind // of the frame that began it
	name  string    // the method, if that is a request
	buf   []byte
	total int
}

var errHeld = errors.New("too many long values are on their way to the other side, which takes JSON-RPC only")

// begin takes the first bytes of a long value in.
func (t *table) beginLong(c *call, kind wire.Kind, v []byte) error {
	total, first, err := wire.Uvarint(v)
	if err != nil || c.long != nil || uint64(len(first)) > total {
		return fmt.Errorf("call %d: malformed long value of the peer", c.id)
	}
	if total > uint64(t.limit-t.held) {
		return errHeld
	}
	t.held += int(total)
	c.long = &assembly{kind: kind, total: int(total), buf: append([]byte(nil), first...)}
	return nil
}

// batch gathers the answers to the members of an array. With translator.mu held.
type batch struct {
	open  int    // members that were not answered yet
	read  bool   // all members were read
	whole bool   // its answers were said
	b     []byte // the answers, with commas between
}

// answer ends a call of the other side with what write appends.
func (t *translator) answer(c *call, write func(b []byte) []byte) {
	t.table.drop(c)
	switch {
	case c.name == nil:
	case c.batch == nil:
		t.say(write)
	default:
		c.batch.open--
		t.addToBatch(c.batch, c.name, write)
	}
}

// addToBatch adds an answer, or an error in its place if there is no room for it.
func (t *translator) addToBatch(b *batch, name []byte, write func(b []byte) []byte) {
	before := len(b.b)
	add := func(write func(b []byte) []byte) {
		b.b = b.b[:before]
		if before > 0 {
			b.b = append(b.b, ',')
		}
		b.b = write(b.b)
	}
	add(write)
	t.table.held += len(b.b) - before
	if len(b.b) > t.limits.value || t.table.held > t.table.limit || !t.cover() {
		t.table.held -= len(b.b) - before
		add(func(p []byte) []byte {
			return appendFailure(p, name, objectOf(failed(rpc.ResourceExhausted, rpc.Yes,
				"there is no room for it beside the other answers of this batch: call one by one what has long answers")))
		})
		t.table.held += len(b.b) - before
	}
	t.sayBatch(b)
}

// sayBatch says the answers of a batch once they are all there. A batch of notifications has none.
func (t *translator) sayBatch(b *batch) {
	if b.open > 0 || !b.read || b.whole {
		return
	}
	b.whole = true
	t.table.held -= len(b.b)
	if len(b.b) > 0 {
		t.say(func(p []byte) []byte { return append(append(append(p, '['), b.b...), ']') })
	}
	b.b = nil
}

// fail answers a call of the other side with an error.
func (t *translator) fail(c *call, e body) {
	t.answer(c, func(b []byte) []byte { return appendFailure(b, c.name, objectOf(e)) })
}

// refuse answers what is no request, or was not taken, and lets the peer count it as in vain. An
// id that could not be read is null.
func (t *translator) refuse(b *batch, name []byte, n int, reason string) {
	t.inVain()
	write := func(p []byte) []byte { return appendFailure(p, name, malformed(n, reason)) }
	if b == nil {
		t.say(write)
		return
	}
	t.addToBatch(b, name, write)
}

var null = []byte("null")

func appendFailure(b, name []byte, o object) []byte {
	b = append(append(b, `{"jsonrpc":"2.0","id":`...), name...)
	b = append(b, `,"error":`...)
	return append(appendObject(b, o), '}')
}
