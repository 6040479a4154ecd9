package rpc

import "time"

// Stats is what one can see of a Peer. Counts are since the start of the connection.
type Stats struct {
	Out CallStats `json:"out"` // calls made by this side
	In  CallStats `json:"in"`  // calls made by the other side

	Sent     Traffic `json:"sent"`
	Received Traffic `json:"received"`

	Streams   int           `json:"streams" minimum:"0" maximum:"9007199254740991"`   // open now, both sides' calls
	Waiting   int           `json:"waiting" minimum:"0" maximum:"9007199254740991"`   // bytes queued here to be sent, or received and not read
	RoundTrip time.Duration `json:"roundTrip" minimum:"0" maximum:"9007199254740991"` // of the last ping, in nanoseconds; 0 before the first
	Redials   uint64        `json:"redials" maximum:"9007199254740991"`               // connections made anew, see Options.Redial
	Late      uint64        `json:"late" maximum:"9007199254740991"`                  // frames for calls that had ended: dropped
	Strikes   uint64        `json:"strikes" maximum:"9007199254740991"`               // frames that made no sense
	InVain    uint64        `json:"inVain" maximum:"9007199254740991"`                // frames that cost time and brought nothing, see spec/README.md, section 12
}

// CallStats counts the calls of one side.
type CallStats struct {
	Open      int    `json:"open" minimum:"0" maximum:"9007199254740991"` // made and not settled; for served ones, not answered or the handler still running
	Started   uint64 `json:"started" maximum:"9007199254740991"`          // sent, or received
	Succeeded uint64 `json:"succeeded" maximum:"9007199254740991"`        // answered with a result
	Failed    uint64 `json:"failed" maximum:"9007199254740991"`           // ended in an error: refused, failed, cancelled, lost
}

// Traffic counts what crossed the connection, in bytes of messages.
type Traffic struct {
	Bytes    uint64 `json:"bytes" maximum:"9007199254740991"`
	Messages uint64 `json:"messages" maximum:"9007199254740991"`
}

// Stats returns the figures of now.
func (p *Peer) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Out.Open = len(p.calls)
	s.In.Open = p.running
	s.RoundTrip = p.health.roundTrip
	s.Waiting = len(p.line.out)
	for _, c := range p.calls {
		s.add(&c.exchange, c.mode)
	}
	for _, v := range p.servings {
		s.add(&v.exchange, v.mode)
	}
	return s
}

// add counts what an open call holds.
func (s *Stats) add(x *exchange, m mode) {
	if m != 0 {
		s.Streams++
	}
	if x.in != nil {
		s.Waiting += x.in.bytes
	}
	if x.out != nil {
		s.Waiting += x.out.waiting()
	}
	if x.long != nil {
		s.Waiting += len(x.long.buf)
	}
}
