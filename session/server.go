package session

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chumsync/chum/wire"
)

// ErrRefused is matched by Accept's error if the client asked for a session that is not here, or
// could not prove that it is its own.
var ErrRefused = errors.New("session: refused to resume")

// unknown is what such a client is told: the two look the same.
const unknown = "it is not known here: this is another process, or no connection came within the grace"

// A Server keeps the sessions of its clients. Its methods may be called by anyone at any time.
type Server struct {
	opt   *Options
	bytes atomic.Int64 // memory of all sessions for what is not acknowledged

	mu       sync.Mutex // may be taken with a session's lock held, not the other way round
	sessions map[string]*conn
	waiting  *list.List // sessions without a connection, the longest first
	places   map[*conn]*list.Element
	ending   int // sessions whose end was decided
	closed   bool
}

// NewServer makes a server without sessions.
func NewServer(options *Options) *Server {
	return &Server{opt: options.withDefaults(), sessions: make(map[string]*conn), waiting: list.New(), places: make(map[*conn]*list.Element)}
}

// Accept takes a client's connection over and reads its first message, for which the client
// has 10 s. It returns
//   - a new session's Conn (a wire.Resumer and a wire.OwnedWriter),
//   - a plain Conn for a client that opens no session: it ends when the connection is cut,
//   - nil and no error if the connection resumed a session that is here: the Conn that was
//     returned for that goes on,
//   - an error if nothing came of it; the connection is closed then. It matches wire.ErrBroken or
//     ErrRefused if that is because of what the client sent.
func (s *Server) Accept(beneath wire.Conn) (wire.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), openTime, fmt.Errorf("session: nothing came within %v", openTime))
	defer cancel()
	var p []byte
	err := within(ctx, beneath, func() (err error) {
		p, err = beneath.ReadMessage()
		return err
	})
	var c wire.Conn
	switch {
	case err != nil:
	case !isControl(p):
		return &plain{Conn: beneath, first: append([]byte{}, p...)}, nil
	case answers(p, opResume):
		err = s.resume(beneath, p)
	default:
		c, err = s.open(beneath, p)
	}
	if err != nil {
		beneath.Close()
		return nil, err
	}
	return c, nil
}

// plain is a connection without a session, whose first message was read.
type plain struct {
	wire.Conn
	first []byte
}

func (c *plain) ReadMessage() ([]byte, error) {
	if p := c.first; p != nil {
		c.first = nil
		return p, nil
	}
	return c.Conn.ReadMessage()
}

// open makes a session.
func (s *Server) open(beneath wire.Conn, p []byte) (wire.Conn, error) {
	var m open
	if err := parse(p, opOpen, &m); err != nil {
		return nil, err
	}
	c := newConn(s.opt)
	c.server = s
	c.grace = s.opt.Grace
	answer := opened{ID: token(16), Secret: token(32), Grace: int64((c.grace + time.Second - 1) / time.Second)}
	s.mu.Lock()
	switch {
	case s.closed:
		s.mu.Unlock()
		return nil, errors.New("session: the server was closed")
	case m.Version != version || c.grace < 0 || len(s.sessions) >= s.opt.MaxSessions && !s.evict(nil):
		c.grace, answer = -1, opened{}
	default:
		c.id, c.secret = answer.ID, answer.Secret
		s.sessions[c.id] = c
	}
	s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = &link{conn: beneath, born: time.Now(), first: control(opOpened, answer), next: 1}
	c.kick()
	return c, nil
}

// resume gives a session a new connection, also if it does not yet know that the one it has is
// dead.
func (s *Server) resume(beneath wire.Conn, p []byte) error {
	var m resume
	if err := parse(p, opResume, &m); err != nil {
		return err
	}
	s.mu.Lock()
	c := s.sessions[m.ID]
	s.mu.Unlock()
	if c == nil {
		s.refuse(beneath, unknown)
		return fmt.Errorf("%w: %s", ErrRefused, unknown)
	}
	c.mu.Lock()
	if why := c.refuses(&m); why != "" {
		c.mu.Unlock()
		s.refuse(beneath, unknown)
		return fmt.Errorf("%w: %s", ErrRefused, why)
	}
	defer c.mu.Unlock()
	c.try = m.Try
	c.drop()
	if c.timer != nil {
		c.timer.Stop()
	}
	answer := resumed{Received: c.received}
	answer.Proof = answer.prove(c.secret, m.ID, m.Try)
	if err := c.attach(&link{conn: beneath, first: control(opResumed, answer)}, m.Received); err != nil {
		c.end(err)
		s.refuse(beneath, err.Error())
		return fmt.Errorf("session: it was resumed, and ended: %v", err) //nolint:errorlint // that is for who reads from it
	}
	s.mu.Lock()
	s.goesOn(c)
	s.sessions[c.id] = c // it may have had to make room just now
	s.mu.Unlock()
	return nil
}

// refuses says what is wrong with a request to resume the session; "" if nothing is.
func (c *conn) refuses(m *resume) string {
	switch {
	case c.over:
		return "it has just ended"
	case !equal(m.Proof, m.prove(c.secret)):
		return "wrong proof"
	case m.Try <= c.try:
		return fmt.Sprintf("try %d came again, or late: %d was taken", m.Try, c.try)
	}
	return ""
}

// refuse says no and why.
func (s *Server) refuse(beneath wire.Conn, reason string) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	_ = within(ctx, beneath, func() error { return beneath.WriteMessage(control(opRefused, refused{reason})) })
}

// waits notes that a session has lost its connection.
func (s *Server) waits(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.goesOn(c)
	s.places[c] = s.waiting.PushBack(c)
	if s.waiting.Len() > s.opt.MaxWaiting {
		s.evict(c)
	}
}

// goesOn notes that it has one again. With s.mu held, as in evict.
func (s *Server) goesOn(c *conn) {
	if e := s.places[c]; e != nil {
		s.waiting.Remove(e)
		delete(s.places, c)
	}
}

// evict ends the session other than the one given that has been without a connection longest,
// and tells whether there was one.
func (s *Server) evict(other *conn) bool {
	e := s.waiting.Front()
	if e != nil && e.Value == other {
		e = e.Next()
	}
	if e == nil {
		return false
	}
	c := e.Value.(*conn)
	s.goesOn(c)
	delete(s.sessions, c.id)
	s.ending++
	go func() {
		c.mu.Lock()
		if c.link == nil {
			c.end(fmt.Errorf("%w: it had no connection, and the server needed its room for others", ErrLost))
		}
		c.mu.Unlock()
		s.mu.Lock()
		s.ending--
		s.mu.Unlock()
	}()
	return true
}

// forget removes a session that has ended.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.goesOn(c)
	delete(s.sessions, c.id)
}

// hold accounts for memory. With the lock of a session held.
func (s *Server) hold(c *conn, n int) {
	if s.bytes.Add(int64(n)); s.full(0) {
		s.mu.Lock()
		if s.ending == 0 { // or one is about to be freed
			s.evict(c)
		}
		s.mu.Unlock()
	}
}

// full tells whether n bytes more are too much.
func (s *Server) full(n int) bool { return s.bytes.Load()+int64(n) > int64(s.opt.MaxMemory) }

// Sessions tells how many sessions are kept, and how many of them have no connection now.
func (s *Server) Sessions() (all, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions), s.waiting.Len()
}

// Close ends the sessions that have no connection, and takes no new ones. Those that have one
// belong to whoever has their Conn.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for s.evict(nil) {
	}
}
