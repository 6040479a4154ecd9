package rpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/chumsync/chum/wire"
)

// raw is the other side of a Peer under test: it writes what it is told, be it right or
// wrong, and keeps the frames that come back. It lives in a synctest bubble.
type raw struct {
	t    *testing.T
	conn wire.Conn
	peer *Peer
	log  *logged

	acks bool // it answers marks, as long as it reads

	mu     sync.Mutex
	frames []wire.Frame
	end    error // why reading ended
}

// logged keeps the lines of a log.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.FieldsFunc(l.b.String(), func(r rune) bool { return r == '\n' })
}

// newRaw makes a Peer that serves mux and the raw side of its connection, which has said
// nothing yet and does not read yet.
func newRaw(t *testing.T, mux *Mux, options Options) *raw {
	t.Helper()
	ours, its := wire.Pipe()
	r := &raw{t: t, conn: ours, log: &logged{}}
	options.Logger = slog.New(slog.NewTextHandler(r.log, nil))
	r.peer = NewPeer(its, mux, &options)
	t.Cleanup(func() {
		r.conn.Close()
		r.peer.Close()
	})
	return r
}

// greeted is newRaw that reads and has said a good hello.
func greeted(t *testing.T, mux *Mux, options Options) *raw {
	t.Helper()
	r := newRaw(t, mux, options)
	go r.read()
	r.send(goodHello)
	synctest.Wait()
	if err := r.peer.Err(); err != nil || !closed(r.peer.greeted) {
		t.Fatalf("the hello was not taken: %v", err)
	}
	return r
}

// read keeps what comes until the connection ends.
func (r *raw) read() {
	bulk := 0
	for {
		msg, err := r.conn.ReadMessage()
		if err != nil {
			r.mu.Lock()
			r.end = err
			r.mu.Unlock()
			return
		}
		for len(msg) > 0 {
			f, rest, err := wire.Next(msg)
			if err != nil {
				r.t.Errorf("the peer sent a malformed message: %v", err)
				return
			}
			f.Payload = bytes.Clone(f.Payload)
			r.mu.Lock()
			r.frames = append(r.frames, f)
			r.mu.Unlock()
			msg = rest
			if f.Bulk() {
				bulk += len(f.Payload)
			}
			if f.Kind == wire.Mark && r.acks {
				r.send(conFrame(wire.Ack, uvarint(uint64(bulk))+uvarint(0)))
			}
		}
	}
}

// send writes one message of the frames given. It does not mind if the peer has gone.
func (r *raw) send(frames ...[]byte) bool {
	return r.conn.WriteMessage(bytes.Join(frames, nil)) == nil
}

// got waits until everything stands still and gives the frames of a kind that came so far.
func (r *raw) got(kind wire.Kind) (list []wire.Frame) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.frames {
		if f.Kind == kind {
			list = append(list, f)
		}
	}
	return list
}

// forget lets go of the frames that came so far.
func (r *raw) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frames = nil
}

// The frames that a raw side sends. "their" calls are those the raw side makes, "your" calls
// those of the peer under test.

var goodHello = conFrame(wire.Hello, `{"version":1,"agent":"raw","limits":{"calls":1024,"streams":256,"value":8388608,"window":32768}}`)

func conFrame[T string | []byte](kind wire.Kind, payload T) []byte {
	return wire.Append(nil, wire.Frame{Kind: kind, Payload: []byte(payload)})
}

// mine is a frame of a call that the raw side made, yours of one that the peer made.
func mine[T string | []byte](kind wire.Kind, id uint64, payload T) []byte {
	return wire.Append(nil, wire.Frame{Kind: kind, Own: true, ID: id, Payload: []byte(payload)})
}

func yours[T string | []byte](kind wire.Kind, id uint64, payload T) []byte {
	return wire.Append(nil, wire.Frame{Kind: kind, ID: id, Payload: []byte(payload)})
}

// formed sets the form of a frame, long marks it as the beginning of a long value.
func formed(frame []byte, form wire.Form) []byte {
	frame[0] |= byte(form) << 5
	return frame
}

func long(frame []byte) []byte {
	frame[0] |= 0x80
	return frame
}

// request is a frame that calls a method, with its arguments as JSON.
func request(id uint64, m mode, method, args string) []byte {
	return mine(wire.Request, id, append(requestHead(m, 0, method), args...))
}

// bytesRequest is one with raw arguments.
func bytesRequest(id uint64, m mode, method string, args []byte) []byte {
	return formed(mine(wire.Request, id, append(requestHead(m, 0, method), args...)), wire.Bytes)
}

func requestHead(m mode, left uint64, method string) []byte {
	b := binary.AppendUvarint(nil, uint64(m))
	b = binary.AppendUvarint(b, left)
	b = binary.AppendUvarint(b, 0)
	b = binary.AppendUvarint(b, uint64(len(method)))
	return append(b, method...)
}

func uvarint(v uint64) string { return string(binary.AppendUvarint(nil, v)) }

// deaf is a Sink that reads nothing until its context ends.
const deaf Sink[struct{}, []byte, string] = "deaf"

// rawMux is what the peer under test serves.
func rawMux() *Mux {
	m := testMux()
	deaf.Handle(m, func(ctx context.Context, _ struct{}, _ iter.Seq2[[]byte, error]) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	})
	return m
}

// gone waits until the peer has ended, and checks that nothing of it is left.
func (r *raw) gone() {
	r.t.Helper()
	<-r.peer.Done()
	synctest.Wait()
	r.atRest()
}

// atRest checks that the peer holds nothing any more.
func (r *raw) atRest() {
	r.t.Helper()
	s := r.peer.Stats()
	if s.Out.Open != 0 || s.In.Open != 0 || s.Streams != 0 || s.Waiting != 0 {
		r.t.Errorf("left over: %+v", s)
	}
	if s.Out.Started != s.Out.Succeeded+s.Out.Failed {
		r.t.Errorf("calls made: %d, settled: %d and %d", s.Out.Started, s.Out.Succeeded, s.Out.Failed)
	}
	if s.In.Started != s.In.Succeeded+s.In.Failed {
		r.t.Errorf("calls served: %d, settled: %d and %d", s.In.Started, s.In.Succeeded, s.In.Failed)
	}
	p := r.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != 0 || p.streaming != 0 || p.assembling != 0 || p.grown != 0 || p.answering != 0 || p.account.used-p.account.owed != 0 || len(p.servings) != 0 || len(p.calls) != 0 {
		r.t.Errorf("left over: running %d, streaming %d, assembling %d, answering %d, grown %d, servings %d, calls %d, account %+v",
			p.running, p.streaming, p.assembling, p.answering, p.grown, len(p.servings), len(p.calls), p.account)
	}
}
