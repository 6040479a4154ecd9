package session

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"io"
	"os"
	"testing"
	"testing/synctest"

	"github.com/chumsync/chum/wire"
)

var update = flag.Bool("update", false, "write ../spec/vectors/session.json anew")

const vectorsFile = "../spec/vectors/session.json"

// vectors are what spec/session.md says of itself.
type vectors struct {
	About         string          `json:"about"`
	Proofs        []proofVector   `json:"proofs"`
	Conversations []conversations `json:"conversations"`
}

type proofVector struct {
	Secret   string `json:"secret"`
	ID       string `json:"id"`
	Try      uint64 `json:"try"`
	Received uint64 `json:"received"`
	Resume   string `json:"resume"`
	Resumed  string `json:"resumed"`
}

type conversations struct {
	Name  string `json:"name"`
	Steps []step `json:"steps"`
}

// step is a message, or a cut after which the client connects again.
type step struct {
	From    string `json:"from,omitempty"`
	Message string `json:"message_hex,omitempty"`
	Text    string `json:"text,omitempty"`
	Cut     bool   `json:"cut,omitempty"`
}

const (
	vectorID     = "000102030405060708090a0b0c0d0e0f"
	vectorSecret = "101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
)

func makeVectors() vectors {
	v := vectors{About: "Sessions of the chum protocol, version 1. See ../session.md. The server of the conversations sends back each data message that comes."}
	for _, p := range []proofVector{
		{Secret: vectorSecret, ID: vectorID, Try: 1, Received: 0},
		{Secret: vectorSecret, ID: vectorID, Try: 2, Received: 0},
		{Secret: vectorSecret, ID: vectorID, Try: 1, Received: 300},
		{Secret: "s", ID: "i", Try: maxCount, Received: maxCount},
	} {
		p.Resume = (&resume{ID: p.ID, Try: p.Try, Received: p.Received}).prove(p.Secret)
		p.Resumed = (&resumed{Received: p.Received}).prove(p.Secret, p.ID, p.Try)
		v.Proofs = append(v.Proofs, p)
	}
	say := func(from string, p []byte, text string) step {
		return step{From: from, Message: hex.EncodeToString(p), Text: text}
	}
	ping := func(b byte) []byte {
		return wire.Append(nil, wire.Frame{Kind: wire.Ping, Payload: []byte{b}})
	}
	acked := func(n uint64, p []byte) []byte { return append(appendAck(nil, n), p...) }
	ask := func(try, received uint64) []byte {
		return opened{ID: vectorID, Secret: vectorSecret}.resume(try, received)
	}
	answer := func(try, received uint64) []byte {
		m := resumed{Received: received}
		m.Proof = m.prove(vectorSecret, vectorID, try)
		return control(opResumed, m)
	}
	begin := []step{
		say("client", control(opOpen, open{version}), "open"),
		say("server", control(opOpened, opened{ID: vectorID, Secret: vectorSecret, Grace: 60}), "opened"),
		say("client", ping(1), "data 1"),
		say("server", acked(1, ping(1)), "data 1, acknowledges 1"),
	}
	v.Conversations = []conversations{
		{"an answer is lost", append(begin[:4:4],
			step{Cut: true},
			say("client", ask(1, 0), "resume: the server's data 1 did not come"),
			say("server", answer(1, 1), "resumed: the client's data 1 came"),
			say("server", ping(1), "data 1 again"),
			say("client", acked(1, ping(2)), "data 2, acknowledges 1"),
			say("server", acked(2, ping(2)), "data 2, acknowledges 2"),
			say("client", []byte{0, byte(opClose)}, "close"))},
		{"a resume is replayed", append(begin[:4:4],
			step{Cut: true},
			say("client", ask(1, 1), "resume"),
			say("server", answer(1, 1), "resumed"),
			step{Cut: true},
			say("client", ask(1, 1), "the same resume"),
			say("server", control(opRefused, refused{unknown}), "refused"))},
		{"a server that is older, or keeps no sessions", []step{
			say("client", control(opOpen, open{9}), "open of another version"),
			say("server", control(opOpened, opened{}), "opened without id: the connection goes on without"),
			say("client", ping(1), "data"),
			say("server", ping(1), "data"),
		}},
	}
	return v
}

// The file holds what this test makes, and a Server says what the conversations say.
func TestVectors(t *testing.T) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(makeVectors()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(vectorsFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, b.Bytes()) {
		t.Errorf("%s is not what this test writes: run it with -update if the format was meant to change", vectorsFile)
	}
	for _, c := range makeVectors().Conversations {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, c) })
		})
	}
}

// play has a Server hear the client's messages, and holds its own against the vector.
func play(t *testing.T, c conversations) {
	s := NewServer(nil)
	var here wire.Conn
	connect := func() {
		var there wire.Conn
		here, there = wire.Pipe()
		go func() {
			conn, err := s.Accept(there)
			if err != nil || conn == nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			for {
				p, err := conn.ReadMessage()
				if err != nil {
					return
				}
				if err := conn.WriteMessage(bytes.Clone(p)); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	connect()
	for i, step := range c.Steps {
		synctest.Wait()
		want, err := hex.DecodeString(step.Message)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case step.Cut:
			here.Close()
			synctest.Wait()
			connect()
		case step.From == "client":
			if err := here.WriteMessage(want); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		default:
			got, err := here.ReadMessage()
			if err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			if answers(want, opOpened) && len(want) > 4 { // the vector's secrets in place of random ones
				var o opened
				if err := parse(got, opOpened, &o); err != nil || o.Grace != 60 {
					t.Fatalf("step %d: %q, %v", i, got, err)
				}
				s.mu.Lock()
				conn := s.sessions[o.ID]
				delete(s.sessions, o.ID)
				s.sessions[vectorID] = conn
				s.mu.Unlock()
				conn.mu.Lock()
				conn.id, conn.secret = vectorID, vectorSecret
				conn.mu.Unlock()
				continue
			}
			if !bytes.Equal(got, want) {
				t.Errorf("step %d (%s): %q, want %q", i, step.Text, got, want)
			}
		}
	}
	synctest.Wait()
	here.Close()
	s.Close()
	synctest.Wait()
}

// still is a connection on which one message comes, and then the end.
type still struct{ first []byte }

func (c *still) ReadMessage() ([]byte, error) {
	if p := c.first; p != nil {
		c.first = nil
		return p, nil
	}
	return nil, io.ErrUnexpectedEOF
}
func (c *still) WriteMessage([]byte) error { return nil }
func (c *still) Close() error              { return nil }

// FuzzFirst: whatever comes first, a Server takes it or says what is wrong.
func FuzzFirst(f *testing.F) {
	for _, c := range makeVectors().Conversations {
		for _, s := range c.Steps {
			p, _ := hex.DecodeString(s.Message)
			f.Add(p)
		}
	}
	s := NewServer(&Options{MaxSessions: 4, MaxWaiting: 2})
	f.Fuzz(func(t *testing.T, p []byte) {
		c, err := s.Accept(&still{first: append([]byte{}, p...)})
		if (c == nil) == (err == nil) {
			t.Fatalf("%x: %v, %v", p, c, err)
		}
		if c != nil {
			if isControl(p) && !answers(p, opOpen) {
				t.Fatalf("%x opened a session", p)
			}
			c.Close()
		}
	})
}

// FuzzSplit: an ack that is read is written again to the same bytes.
func FuzzSplit(f *testing.F) {
	f.Add([]byte{0, 6, 1}, uint64(3))
	f.Add([]byte{0, 6, 0x80, 1, 5, 5}, uint64(300))
	f.Add([]byte{0, 6}, uint64(0))
	f.Fuzz(func(t *testing.T, p []byte, sent uint64) {
		if !answers(p, opAck) {
			return
		}
		n, data, err := split(p)
		if err != nil {
			return
		}
		if again := append(appendAck(nil, n), data...); !bytes.Equal(again, p) {
			t.Fatalf("%x is %d and %x, which is written as %x", p, n, data, again)
		}
		c := newConn((*Options)(nil).withDefaults())
		for range sent % 10 {
			c.kept.copy([]byte("x"))
		}
		if err := c.acknowledged(n, true); (err == nil) != (n <= sent%10) {
			t.Fatalf("an ack of %d of %d: %v", n, sent%10, err)
		}
	})
}
