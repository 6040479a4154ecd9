package jsonrpc

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/chumsync/chum/wire"
)

// JSON-RPC has neither pings nor marks. What the peer asks by them, the translator asks by a ping
// of the connection, which the other side's WebSocket answers without its program, and the pong
// brings the peer's answer: that it is there, how long the way is, and how much of the bulk it has.
//
// To the peer every frame is a sign of life, also such as says only that something was written. So
// it is the translator that gives up who is silent.

// pongTime is how long the other side may take to give a sign of life after a ping of the peer: as
// between peers.
const pongTime = 10 * time.Second

// path is what was asked of the other side. Guarded by translator.mu.
type path struct {
	due    bool        // a ping is to be sent behind what is queued
	asked  bool        // by the peer's ping,
	ping   []byte      // which holds this
	silent *time.Timer // gives the other side up; nil: no sign of life is waited for
	bulk   uint64      // bulk bytes that the peer has sent
	marked uint64      // of these, those before its last mark
	acked  uint64      // of these, those that the other side has
}

// mark takes in that the peer asks how much of the bulk the other side has. With t.mu held, as in
// ping.
func (t *translator) mark() { t.path.marked, t.path.due = t.path.bulk, true }

// ping takes in that the peer asks for a sign of life.
func (t *translator) ping(payload []byte) {
	a := &t.path
	a.ping, a.asked, a.due = append(a.ping[:0], payload...), true, true
	t.later(wire.Frame{Kind: wire.Pong}) // then the peer does not give it up
}

// probe sends the ping that is due: it holds how much bulk the peer has marked, and what the peer's
// own ping holds.
func (t *translator) probe() error {
	t.mu.Lock()
	a := &t.path
	if !a.due {
		t.mu.Unlock()
		return nil
	}
	p := binary.BigEndian.AppendUint64(make([]byte, 0, 16), a.marked)
	p = append(p, a.ping...)
	if a.asked && t.watched && a.silent == nil {
		a.silent = time.AfterFunc(pongTime, t.giveUpSilent)
	}
	a.due, a.asked, a.ping = false, false, a.ping[:0]
	t.mu.Unlock()
	return t.conn.Ping(p)
}

// heard notes a sign of life, or that none is needed any more.
func (a *path) heard() {
	if a.silent != nil {
		a.silent.Stop()
		a.silent = nil
	}
}

// pong takes in what a pong holds. One that answers no ping of ours is a sign of life as well, and
// what it holds does not matter.
func (t *translator) pong(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &t.path
	a.heard()
	if t.end != nil {
		return
	}
	answer := wire.Frame{Kind: wire.Pong}
	if len(p) >= 8 {
		answer.Payload = p[8:]
		if n := binary.BigEndian.Uint64(p); n > a.acked && n <= a.marked {
			a.acked = n
			came := binary.AppendUvarint(binary.AppendUvarint(nil, n), uint64(time.Since(t.start).Microseconds()))
			t.forPeer(wire.Frame{Kind: wire.Ack, Payload: came})
			if len(answer.Payload) == 0 {
				return
			}
		}
	}
	t.forPeer(answer)
}

// giveUpSilent ends the connection with a side that is silent.
func (t *translator) giveUpSilent() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.path.silent == nil || t.end != nil {
		return
	}
	why := fmt.Errorf("the other side gave no sign of life for %v after a ping", pongTime)
	t.logger.Warn("jsonrpc: connection given up", "reason", why)
	t.stop(fmt.Errorf("jsonrpc: %w", why))
}
