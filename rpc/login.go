package rpc

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// strangerTime is how long the other side may take to log in where it has to, beside the time
	// that handlers of Options.Login need; strangerBytes is what is taken from it meanwhile.
	strangerTime  = 5 * time.Second
	strangerBytes = 16 << 10
)

// Admit lifts the limits of Options.Login: the other side has said who it is. The handler of
// the login calls it, on [PeerFrom] of its context, before it returns. Without Options.Login,
// or a second time, it does nothing.
func (p *Peer) Admit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stranger = false
	p.health.loginBy = 0
}

// admitStranger says why a call is not taken from who has not logged in.
func (p *Peer) admitStranger(s *serving, method []byte) *Error {
	switch {
	case !slices.Contains(p.opt.Login, string(method)) || s.mode != 0:
		return failure(Unauthenticated, No, "log in first: %s", p.opt.Login)
	case p.running > 0:
		return failure(ResourceExhausted, No, "one call at a time is taken before the login")
	}
	return nil
}

// strangerBusy stops the clock of a login while its handler runs, strangerIdle starts it again.
// With p.mu held.
func (p *Peer) strangerBusy() {
	h := &p.health
	h.loginLeft, h.loginBy = h.loginBy-h.now(), 0
}

func (p *Peer) strangerIdle() {
	h := &p.health
	h.loginBy = h.now() + max(h.loginLeft, 1)
	h.wakeBy(h.loginBy)
}

// tooMuch tells whether a stranger has sent more than it may.
func (p *Peer) tooMuch() error {
	if n := p.stats.Received.Bytes; p.stranger && n > strangerBytes {
		return fmt.Errorf("%d bytes came before the login; %d are taken", n, strangerBytes)
	}
	return nil
}

// turnAway ends the connection of who did not log in.
func (p *Peer) turnAway() {
	why := errors.New("it did not log in within 5 s")
	p.opt.Logger.Warn("rpc: connection cut", "agent", p.Agent(), "reason", why)
	e := failure(Unavailable, Maybe, "rpc: the other side was turned away: %w", why)
	p.end(e, e, &errorBody{Code: Unauthenticated, Message: why.Error()})
}
