package rpc

import (
	"errors"
	"fmt"
	"math"

	"github.com/go-json-experiment/json"

	"github.com/chumsync/chum/wire"
)

// Version is the version of the protocol that this package speaks.
const Version = 1

// hello is what each side says first: who it is and what it takes.
type hello struct {
	Version int    `json:"version"`
	Agent   string `json:"agent"`
	Limits  limits `json:"limits"`
	JSON    bool   `json:"json,omitzero"`   // it takes values in form json only
	Schema  string `json:"schema,omitzero"` // the hash of what it serves
}

// limits are what a side takes of the other.
type limits struct {
	Calls   int `json:"calls"`   // open at once
	Streams int `json:"streams"` // of these
	Value   int `json:"value"`   // bytes of an argument, result or item
	Window  int `json:"window"`  // credit that each stream starts with
}

// usual is what is assumed of the other side until its hello says what it takes.
var usual = limits{Calls: 1024, Streams: 256, Value: math.MaxInt}

// appendHello appends our hello. schema is the hash of what we serve.
func appendHello(b []byte, o *Options, schema string) []byte {
	p, err := json.Marshal(hello{
		Version: Version,
		Agent:   o.Agent,
		Limits:  limits{Calls: o.MaxCalls, Streams: o.MaxStreams, Value: o.MaxValue, Window: firstWindow},
		Schema:  schema,
	})
	if err != nil { // an agent that is not UTF-8
		panic("rpc: Options.Agent: " + err.Error())
	}
	return wire.Append(b, wire.Frame{Kind: wire.Hello, Payload: p})
}

// greet takes the other side's hello in. With p.mu held.
func (p *Peer) greet(f wire.Frame) error {
	if f.Kind != wire.Hello {
		return fmt.Errorf("the first frame is a %s, not a hello: does the other side speak this protocol?", f.Kind)
	}
	var h hello
	if err := unmarshal(f.Payload, &h); err != nil {
		return fmt.Errorf("malformed hello: %w", err)
	}
	l := h.Limits
	switch {
	case h.Version != Version:
		return fmt.Errorf("the other side (%s) speaks version %d of the protocol, this one version %d: update the older", h.Agent, h.Version, Version)
	case l.Calls < 0 || l.Streams < 0 || l.Value < 0 || l.Window < 0:
		return errors.New("malformed hello: a limit is negative")
	case l.Window > maxCredit:
		return fmt.Errorf("malformed hello: a window of %d bytes; %d are allowed", l.Window, maxCredit)
	}
	if len(h.Agent) > maxName {
		h.Agent = h.Agent[:maxName]
	}
	if len(h.Schema) > maxName {
		h.Schema = "" // no hash
	}
	p.remote = h
	p.plain.Store(h.JSON)
	p.helloSeen, p.line.open = true, true
	for _, c := range p.calls { // those that already wait to be sent
		if c.out != nil {
			if err := c.out.addCredit(uint64(l.Window)); err != nil {
				return err
			}
		}
	}
	p.health.ping(p)
	if !closed(p.greeted) {
		close(p.greeted)
	}
	return nil
}

// farewell takes the other side's last word in.
func (p *Peer) farewell(payload []byte) error {
	var body errorBody
	if err := unmarshal(payload, &body); err != nil {
		return fmt.Errorf("malformed bye: %w", err)
	}
	if body.Code == "" {
		e := failure(Unavailable, Maybe, "rpc: the other side closed the connection")
		if !p.goneAway || !p.interrupt(p.line, e) { // it closes what it left in favour of others, or of its successor
			p.end(e, nil, nil)
		}
		return nil
	}
	e := failure(Unavailable, Maybe, "rpc: the other side cut the connection: %s", body.Message)
	p.end(e, e, nil)
	return nil
}
