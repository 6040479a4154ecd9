package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// knock is a client played by hand: it sends a first message and gives the answer.
func knock(t *testing.T, s *Server, first []byte) (beneath wire.Conn, answer []byte, accepted <-chan error) {
	t.Helper()
	here, there := wire.Pipe()
	t.Cleanup(func() { here.Close() })
	done := make(chan error, 1)
	go func() {
		c, err := s.Accept(there)
		if c != nil {
			t.Cleanup(func() { c.Close() })
			go receive(c, func([]byte) {})
		}
		done <- err
	}()
	if err := here.WriteMessage(first); err != nil {
		t.Fatal(err)
	}
	p, err := here.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	return here, append([]byte{}, p...), done
}

// session0 opens a session by hand and cuts it.
func session0(t *testing.T, s *Server) opened {
	t.Helper()
	beneath, answer, accepted := knock(t, s, control(opOpen, open{1}))
	var o opened
	if err := parse(answer, opOpened, &o); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	beneath.Close()
	synctest.Wait()
	return o
}

func (o opened) resume(try, received uint64) []byte {
	m := resume{ID: o.ID, Try: try, Received: received}
	m.Proof = m.prove(o.Secret)
	return control(opResume, m)
}

// A resume must be proven, and each proof holds once.
func TestProofs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(nil)
		defer s.Close()
		o := session0(t, s)
		good := o.resume(3, 0)
		steps := []struct {
			name string
			msg  []byte
			why  string // it is refused; not told to the client
		}{
			{"another id", opened{ID: "abc", Secret: o.Secret}.resume(1, 0), "not known here"},
			{"another secret", opened{ID: o.ID, Secret: "abc"}.resume(1, 0), "wrong proof"},
			{"a changed count", []byte(strings.Replace(string(good), `"received":0`, `"received":1`, 1)), "wrong proof"},
			{"a changed try", []byte(strings.Replace(string(good), `"try":3`, `"try":4`, 1)), "wrong proof"},
			{"try 0", o.resume(0, 0), "try 0 came again, or late: 0 was taken"},
			{"right", good, ""},
			{"replayed", good, "try 3 came again"},
			{"an older try", o.resume(2, 0), "try 2 came again, or late: 3 was taken"},
			{"the next, while the last connection is alive", o.resume(4, 0), ""},
		}
		for _, step := range steps {
			beneath, answer, accepted := knock(t, s, step.msg)
			want := opResumed
			if step.why != "" {
				want = opRefused
			}
			if !answers(answer, want) {
				t.Errorf("%s: answered %q, want %s", step.name, answer, want)
			}
			if err := <-accepted; errors.Is(err, ErrRefused) != (step.why != "") || err != nil && !strings.Contains(err.Error(), step.why) {
				t.Errorf("%s: %v", step.name, err)
			}
			if want == opRefused {
				var m refused
				if err := parse(answer, opRefused, &m); err != nil || m.Reason != unknown {
					t.Errorf("%s: refused with %q, %v: it must look as if the session were unknown", step.name, m.Reason, err)
				}
				if _, err := beneath.ReadMessage(); err != io.EOF {
					t.Errorf("%s: the connection was left open", step.name)
				}
			} else {
				var m resumed
				if err := parse(answer, opResumed, &m); err != nil || m.Proof == "" {
					t.Error(err)
				}
			}
		}
	})
}

// A new connection replaces one that the server thinks is alive.
func TestHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		a, b := join(t, n, nil, nil)
		atA, atB := collect(a), collect(b)
		write(t, a, 1, 3)
		synctest.Wait()
		old := n.last()
		old.other.stall() // the server's next write goes nowhere
		go write(t, b, 1, 3)
		old.Conn.Close() // and only the client knows
		time.Sleep(time.Second)
		write(t, a, 4, 6)
		time.Sleep(time.Second)
		if n.last() == old {
			t.Error("the connection was not replaced")
		}
		atA.numbered(t, 3)
		atB.numbered(t, 6)
	})
}

// Counts that cannot be are the end of the session for both sides, and say so.
func TestImpossibleCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(nil)
		defer s.Close()
		o := session0(t, s)
		_, answer, accepted := knock(t, s, o.resume(1, 7))
		if err := <-accepted; err == nil || !answers(answer, opRefused) || !strings.Contains(string(answer), "it has 7 messages; 0 were sent") {
			t.Errorf("%q, %v", answer, err)
		}
		if all, _ := s.Sessions(); all != 0 {
			t.Error("the session goes on")
		}
	})
	for name, bad := range map[string][]byte{
		"an ack of what was not sent":    appendAck(nil, 100),
		"an ack without a number":        {0, 6},
		"an ack in a long form":          {0, 6, 0x81, 0},
		"a second opened":                control(opOpened, opened{ID: "x", Secret: "y", Grace: 1}),
		"a resume amid a session":        control(opResume, resume{}),
		"an op that is not known":        {0, 99},
		"a control message of one byte":  {0},
		"a refusal amid a session":       control(opRefused, refused{}),
		"an opened from the client's op": {0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := new(network)
				a, b := join(t, n, nil, nil)
				atA, atB := collect(a), collect(b)
				synctest.Wait()
				if err := n.last().other.Conn.WriteMessage(bad); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if _, err := atA.all(); !errors.Is(err, wire.ErrBroken) {
					t.Errorf("the session ended with %v", err)
				}
				b.Close()
				synctest.Wait()
				_ = atB
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // an ack that goes back
		n := new(network)
		a, b := join(t, n, nil, nil)
		atA := collect(a)
		collect(b)
		write(t, a, 1, 3)
		time.Sleep(2 * time.Second)
		if err := n.last().other.Conn.WriteMessage(appendAck(nil, 1)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := atA.all(); err == nil || !strings.Contains(err.Error(), "it says it has 1 messages; 3 were sent, and it had 3 before") {
			t.Errorf("%v", err)
		}
	})
}

// Acks that say nothing new are a flood in the end; as many are allowed as others acknowledged.
func TestEmptyAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		a, b := join(t, n, nil, nil)
		atA := collect(a)
		collect(b)
		ack := func(received int) {
			t.Helper()
			if err := n.last().other.Conn.WriteMessage(appendAck(nil, uint64(received))); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		const busy = ackCount - 1 // or the other side would acknowledge, too
		for k := range busy {     // each message is acknowledged at once, and then once more
			write(t, a, k+1, k+1)
			synctest.Wait()
			ack(k + 1)
			ack(k + 1)
		}
		for range maxEmptyAcks - 1 {
			ack(busy)
		}
		if _, err := atA.all(); err != nil {
			t.Fatalf("the session ended with %v", err)
		}
		ack(busy)
		if _, err := atA.all(); err == nil || !strings.Contains(err.Error(), "it floods: 257 acks acknowledged nothing") {
			t.Errorf("the session ended with %v", err)
		}
	})
}

// Who answers must know the secret, too: a stranger is not believed, and the right server is
// still found later.
func TestStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		var states []State
		a, b := join(t, n, &Options{OnState: func(s State) { states = append(states, s) }}, nil)
		atA := collect(a)
		collect(b)
		synctest.Wait()
		dial, strangers := a.client.dial, 0
		a.client.dial = func(ctx context.Context) (wire.Conn, error) {
			if strangers++; strangers > 3 {
				return dial(ctx)
			}
			here, there := wire.Pipe()
			go func() {
				there.ReadMessage()
				switch strangers {
				case 1:
					there.WriteMessage(control(opResumed, resumed{Proof: "guessed"}))
				case 2:
					there.WriteMessage([]byte("220 smtp ready"))
				default:
					there.Close()
				}
			}()
			return here, nil
		}
		n.last().cut()
		time.Sleep(20 * time.Second)
		write(t, b, 1, 2)
		synctest.Wait()
		atA.numbered(t, 2)
		synctest.Wait()
		if strangers != 4 || !strings.Contains(states[2].Err.Error(), "does not know the session's secret") || !strings.Contains(states[3].Err.Error(), "data came in place of resumed") {
			t.Errorf("%d strangers, states %v", strangers, states)
		}
	})
}

// Clients without sessions, and servers without, get a connection all the same.
func TestWithout(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := NewServer(nil)
			here, there := wire.Pipe()
			go write(t, here, 1, 3)
			c, err := s.Accept(there)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, ok := c.(wire.Resumer); ok {
				t.Error("a plain connection says that it can be resumed")
			}
			in := collect(c)
			synctest.Wait()
			in.numbered(t, 3)
			here.Close()
			synctest.Wait()
			if _, err := in.all(); err != io.EOF {
				t.Error(err)
			}
		})
	})
	for name, server := range map[string]*Options{"server": {Grace: -1}, "server that is full": {MaxSessions: 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := NewServer(server)
				if server.Grace == 0 {
					first, _, _ := knock(t, s, control(opOpen, open{1}))
					defer first.Close()
				}
				n := &network{server: s}
				a, b := join(t, n, nil, nil)
				atA, atB := collect(a), collect(b)
				write(t, a, 1, 50)
				write(t, b, 1, 50)
				if a.WriteMessage([]byte{0, 7}) != nil || a.WriteOwned([]byte{0}, func([]byte) {}) != nil {
					t.Error("messages that begin with 0 are not taken")
				}
				synctest.Wait()
				atA.numbered(t, 50)
				if text, err := atB.all(); len(text) != 52 || text[50] != "\x00\x07" || err != nil {
					t.Errorf("%d messages came, %v", len(text), err)
				}
				for _, c := range []*conn{a, b} {
					if c.memory() != 0 {
						t.Errorf("%d bytes are held that will never be sent again", c.memory())
					}
					if c.Renew(0, errors.New("asked for")) {
						t.Error("it says it could go on with another connection")
					}
				}
				n.last().cut()
				synctest.Wait()
				for _, i := range []*inbox{atA, atB} {
					if _, err := i.all(); err == nil {
						t.Error("the cut was not the end")
					}
				}
			})
		})
	}
	t.Run("server of another kind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			here, there := wire.Pipe()
			go there.ReadMessage()
			c, err := Dial(t.Context(), func(context.Context) (wire.Conn, error) { return here, nil }, nil)
			if err != nil {
				t.Fatal(err)
			}
			in := collect(c)
			if err := there.WriteMessage([]byte("1")); err != nil {
				t.Fatal(err)
			}
			there.Close()
			synctest.Wait()
			in.numbered(t, 1)
			if _, err := in.all(); err != io.EOF {
				t.Error(err)
			}
		})
	})
}

// What cannot be a first message is refused, and silence too.
func TestFirstMessages(t *testing.T) {
	for first, text := range map[string]string{
		"":                                 "nothing came within 10s",
		"\x00":                             "one byte",
		"\x00\x06\x01":                     "ack came in place of open",
		"\x00\x01{":                        "malformed open",
		"\x00\x03[]":                       "malformed resume",
		"\x00\x03" + `{"id":"a","id":"b"}`: "malformed resume",
		"\x00\x03" + strings.Repeat(" ", maxControl): "4098 bytes; 4096 are allowed",
	} {
		synctest.Test(t, func(t *testing.T) {
			here, there := wire.Pipe()
			go func() {
				if first != "" {
					here.WriteMessage([]byte(first))
				}
			}()
			c, err := NewServer(nil).Accept(there)
			if c != nil || err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%q: %v, want %q", first, err, text)
			}
			if errors.Is(err, wire.ErrBroken) != (first != "") {
				t.Errorf("%q: whose fault is it? %v", first, err)
			}
			if err := there.WriteMessage(nil); err != wire.ErrClosed {
				t.Errorf("%q: the connection was not closed: %v", first, err)
			}
		})
	}
}

// The number of sessions, of those that wait, and their memory are bounded: who has waited
// longest goes first.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(&Options{MaxSessions: 6, MaxWaiting: 4})
		defer s.Close()
		var all []opened
		for range 6 {
			all = append(all, session0(t, s))
			time.Sleep(time.Second)
		}
		if n, waiting := s.Sessions(); n != 4 || waiting != 4 {
			t.Errorf("%d sessions, %d wait", n, waiting)
		}
		for i, o := range all {
			_, answer, _ := knock(t, s, o.resume(1, 0))
			want := opResumed
			if i < 2 {
				want = opRefused
			}
			if !answers(answer, want) {
				t.Errorf("session %d: %q", i, answer)
			}
		}
		for i := range 3 {
			_, answer, _ := knock(t, s, control(opOpen, open{1}))
			if got := string(answer[2:]) != "{}"; got != (i < 2) {
				t.Errorf("newcomer %d: %q", i, answer)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		n := &network{server: NewServer(&Options{MaxMemory: 3 << 20})}
		var ends []*conn
		var ins []*inbox
		for range 4 {
			n.accept = nil
			a, b := join(t, n, nil, nil)
			ins = append(ins, collect(b))
			collect(a)
			ends = append(ends, b)
			synctest.Wait()
		}
		n.down = true
		for i, b := range ends {
			n.lines[i].cut()
			synctest.Wait()
			go func() {
				for range 40 {
					if b.WriteMessage(make([]byte, 100_000)) != nil {
						return
					}
				}
			}()
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if held := n.server.bytes.Load(); held > 3<<20+100_000 {
			t.Errorf("%d bytes are held", held)
		}
		if _, err := ins[0].all(); !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "needed its room") {
			t.Errorf("the one that has waited longest: %v", err)
		}
		if _, err := ins[3].all(); err != nil {
			t.Errorf("the last one: %v", err)
		}
	})
}

// Who comes again and again, but takes nothing, is given up.
func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		a, b := join(t, n, nil, nil)
		why := fmt.Errorf("asked for")
		if a.Renew(0, why) {
			t.Error("it went on before the session was open")
		}
		collect(a)
		atB := collect(b)
		synctest.Wait()
		if !a.Renew(time.Second, why) || n.count() != 1 {
			t.Error("a young connection was given up")
		}
		time.Sleep(time.Second)
		if !a.Renew(time.Second, why) {
			t.Error("it does not go on")
		}
		synctest.Wait()
		if k := n.count(); k != 2 {
			t.Errorf("%d dials", k)
		}
		write(t, a, 1, 2)
		synctest.Wait()
		atB.numbered(t, 2)
		n.plan = func(_ int, c *cable) { c.stallAt = 2 } // resumes, and then sends nothing
		time.Sleep(2 * time.Second)
		for i := range vainLimit + 1 {
			n.last().stall()
			go a.WriteMessage([]byte("x"))
			time.Sleep(10 * time.Second)
			if on := a.Renew(time.Second, why); on != (i < vainLimit) {
				t.Errorf("renewal %d: %v", i, on)
			}
			synctest.Wait()
		}
	})
}
