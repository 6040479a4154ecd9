package conformance

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/chumsync/chum/wire"
)

// A writer is the side of a wire case: it writes what the case says, and keeps what comes.
type writer struct {
	conn   wire.Conn
	frames chan wire.Frame // closed at the end
	got    []wire.Frame    // taken out of it
	bulk   uint64          // bytes of them that acks tell of
	broken error           // the other side sent what is no frame
}

func newWriter(conn wire.Conn) *writer {
	w := &writer{conn: conn, frames: make(chan wire.Frame, 64)}
	go w.read()
	return w
}

func (w *writer) read() {
	defer close(w.frames)
	for {
		msg, err := w.conn.ReadMessage()
		if err != nil {
			return
		}
		if len(msg) > 1 && msg[0] == 0 {
			if msg, w.broken = w.session(msg); w.broken != nil {
				return
			}
		}
		for len(msg) > 0 {
			f, rest, err := wire.Next(msg)
			if err != nil {
				w.broken = err
				return
			}
			f.Payload = bytes.Clone(f.Payload)
			w.frames <- f
			msg = rest
		}
	}
}

// session takes a session's message as a frame of kind 0, its op in the place of the id. What stands behind an ack is
// data.
func (w *writer) session(msg []byte) (data []byte, err error) {
	const ack = 6
	op, rest := msg[1], msg[2:]
	if op == ack {
		_, data, err = wire.Uvarint(rest)
		rest = nil
	}
	w.frames <- wire.Frame{ID: uint64(op), Payload: bytes.Clone(rest)}
	return data, err
}

// kindOf names the kind of what came.
func kindOf(f wire.Frame) string {
	if f.Kind == 0 {
		return "session"
	}
	return f.Kind.String()
}

// next waits for a frame; ok is false if no more come.
func (w *writer) next(ctx context.Context) (ok bool, err error) {
	select {
	case f, ok := <-w.frames:
		switch {
		case len(w.got) == maxFrames:
			return false, fmt.Errorf("it sends without end: %d frames", maxFrames)
		case ok:
			w.got = append(w.got, f)
			w.acknowledge(f)
		}
		return ok, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// acknowledge answers a mark, so that bulk goes on.
func (w *writer) acknowledge(f wire.Frame) {
	if f.Bulk() {
		w.bulk += uint64(len(f.Payload))
	}
	if f.Kind != wire.Mark {
		return
	}
	payload := append(binary.AppendUvarint(nil, w.bulk), 0)
	w.conn.WriteMessage(wire.Append(nil, wire.Frame{Kind: wire.Ack, Payload: payload})) //nolint:errcheck // it may have been cut
}

func (w *writer) await(ctx context.Context, kind string, id uint64, times int) error {
	for w.count(kind, id) < times {
		ok, err := w.next(ctx)
		if !ok {
			return errors.Join(err, fmt.Errorf("%s %d did not come: %s", kind, id, w.told()))
		}
	}
	return nil
}

func (w *writer) count(kind string, id uint64) (n int) {
	for _, f := range w.got {
		if kindOf(f) == kind && f.ID == id {
			n++
		}
	}
	return n
}

// told is what came, in words.
func (w *writer) told() string {
	var b strings.Builder
	for i, f := range w.got {
		if i == 20 {
			fmt.Fprintf(&b, "and %d more", len(w.got)-i)
			break
		}
		fmt.Fprintf(&b, "%s %d %.200q; ", kindOf(f), f.ID, f.Payload)
	}
	return "came: " + strings.TrimSuffix(b.String(), "; ")
}

const (
	lastID    = wire.MaxID
	maxFrames = 100_000         // that a case may bring
	endTime   = 5 * time.Second // for a connection to be cut: less than the times after which silence is the reason
)

var probe = wire.Append(nil, wire.Frame{
	Kind: wire.Request, Form: wire.Bytes, Own: true, ID: lastID, Payload: []byte("\x00\x00\x00\x04echostill there"),
})

// converse plays a wire case on a connection that is open, and says what was not as it should be.
func converse(ctx context.Context, conn wire.Conn, hello string, c *Case) error {
	w := newWriter(conn)
	err := w.converse(ctx, hello, c)
	conn.Close()
	for range w.frames { // until reading ends
	}
	if w.broken != nil {
		return fmt.Errorf("it sent what is no frame: %w", w.broken)
	}
	return err
}

func (w *writer) converse(ctx context.Context, hello string, c *Case) error {
	ends := c.End.Cut != "" || c.End.Closed
	if !c.Bare {
		if err := w.send(hello); err != nil {
			return err
		}
		if err := w.await(ctx, "hello", 0, 1); err != nil {
			return err
		}
	}
	for _, s := range c.Steps {
		if s.Await != nil {
			if err := w.await(ctx, s.Await.Kind, s.Await.ID, max(1, s.Await.Times)); err != nil {
				return err
			}
		}
		if s.Send != nil {
			// A server that has cut need not take what comes behind.
			if err := w.send(*s.Send); err != nil && !ends {
				return err
			}
		}
	}
	if !ends {
		return w.goesOn(ctx, c.End)
	}
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	for {
		ok, err := w.next(ctx)
		if err != nil {
			return fmt.Errorf("it should have cut the connection: %s", w.told())
		}
		if !ok {
			if c.End.Closed {
				return nil
			}
			return w.compare(c.End)
		}
	}
}

func (w *writer) send(text string) error {
	msg, err := hex.DecodeString(text)
	if err != nil {
		return err
	}
	return w.conn.WriteMessage(msg)
}

// goesOn sees that all answers come, and that another call is answered.
func (w *writer) goesOn(ctx context.Context, end *End) error {
	for w.answers() < end.Results+len(end.Errors) {
		if ok, err := w.next(ctx); !ok {
			return errors.Join(err, fmt.Errorf("%d answers should have come: %s", end.Results+len(end.Errors), w.told()))
		}
	}
	if end.Last {
		return w.compare(end)
	}
	if err := w.conn.WriteMessage(probe); err != nil {
		return err
	}
	if err := w.await(ctx, "result", lastID, 1); err != nil {
		return fmt.Errorf("it does not go on: %w", err)
	}
	if f := w.got[len(w.got)-1]; string(f.Payload) != "still there" || f.Form != wire.Bytes {
		return fmt.Errorf("it answers the last call with %s %q", f.Form, f.Payload)
	}
	return w.compare(end)
}

func answers(f wire.Frame) bool { return f.Kind == wire.Result || f.Kind == wire.Error }

func (w *writer) answers() (n int) {
	for _, f := range w.got {
		if answers(f) {
			n++
		}
	}
	return n
}

// compare holds all that came against what was to come.
func (w *writer) compare(want *End) error {
	got := End{Back: want.Back, Last: want.Last, Items: w.count("item", 1)}
	for _, f := range w.got {
		switch {
		case f.Kind == wire.Result && f.ID != lastID || f.Kind == wire.Result && want.Last:
			got.Results++
			if want.Back != nil && f.ID == 1 {
				got.Back = new(Outcome)
				if err := json.Unmarshal(f.Payload, got.Back); err != nil {
					return err
				}
			}
		case f.Kind == wire.Error:
			r := Refusal{ID: f.ID}
			if err := json.Unmarshal(f.Payload, &r); err != nil {
				return err
			}
			r.ID = f.ID
			got.Errors = append(got.Errors, r)
		case f.Kind == wire.Bye:
			var bye Refusal
			if err := json.Unmarshal(f.Payload, &bye); err != nil {
				return err
			}
			got.Cut = bye.Code
		}
	}
	if want.Cut != "" {
		got.Results, got.Items, got.Errors = 0, 0, nil
	}
	slices.SortFunc(got.Errors, func(a, b Refusal) int { return int(a.ID) - int(b.ID) })
	if !same(got, want) {
		return fmt.Errorf("it came to %s, not %s", writeData(got), writeData(want))
	}
	return nil
}
