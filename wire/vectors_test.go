package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chumsync/chum/wire"
)

var update = flag.Bool("update", false, "write ../spec/vectors/frames.json anew")

const vectorsFile = "../spec/vectors/frames.json"

// vectors are messages and what they hold; spec/README.md says how to read them.
type vectors struct {
	About   string    `json:"about"`
	Valid   []valid   `json:"valid"`
	Invalid []invalid `json:"invalid"`
}

type valid struct {
	Name    string  `json:"name"`
	Message string  `json:"message_hex"`
	Frames  []frame `json:"frames"`
}

type frame struct {
	Kind    string `json:"kind"`
	Own     bool   `json:"own"`
	Form    string `json:"form"`
	Long    bool   `json:"long"`
	ID      uint64 `json:"id"`
	Payload string `json:"payload_hex"`
}

type invalid struct {
	Name    string `json:"name"`
	Message string `json:"message_hex"`
	Reason  string `json:"reason"`
}

// reasons are the classes of what can be wrong with a frame, and what our errors say of them.
var reasons = map[string]string{
	"empty":     "empty",
	"kind":      "unknown kind",
	"number":    "number", // cut short, above 64 bits, not in its shortest form
	"too_long":  "more than the 61440",
	"cut_short": "left in the message",
	"id":        "id ", // above 2^53-1, 0 where there is a call, or there where there is none
	"call":      "names call",
	"form":      "form ",
	"long":      "marked long",
	"side":      "wrong side",
}

func frameOf(f wire.Frame) frame {
	return frame{f.Kind.String(), f.Own, f.Form.String(), f.Long, f.ID, hex.EncodeToString(f.Payload)}
}

// makeVectors is where the vectors come from.
func makeVectors() vectors {
	v := vectors{About: "Messages of the chum protocol, version 1. See ../README.md."}
	add := func(name string, frames ...wire.Frame) {
		x := valid{Name: name}
		var msg []byte
		for _, f := range frames {
			msg = wire.Append(msg, f)
			x.Frames = append(x.Frames, frameOf(f))
		}
		x.Message = hex.EncodeToString(msg)
		v.Valid = append(v.Valid, x)
	}
	text := func(s string) []byte { return []byte(s) }
	add("hello", wire.Frame{Kind: wire.Hello, Payload: text(`{"version":1,"agent":"x","limits":{"calls":8,"streams":4,"value":65536,"window":32768}}`)})
	add("request: hi(\"Ada\"), 30 s left", wire.Frame{Kind: wire.Request, Own: true, ID: 1, Payload: text("\x00\xb0\xea\x01\x00\x02hi[\"Ada\"]")})
	add("request: raw arguments", wire.Frame{Kind: wire.Request, Form: wire.Bytes, Own: true, ID: 2, Payload: text("\x00\x00\x00\x04echo\x00\x01\x02")})
	add("request: a pair", wire.Frame{Kind: wire.Request, Form: wire.Pair, Own: true, ID: 3, Payload: text("\x00\x00\x00\x03put\x05[\"k\"]\xff\xfe")})
	add("request: a duplex with metadata", wire.Frame{Kind: wire.Request, Own: true, ID: 4, Payload: text("\x03\x00\x02mm\x05twice")})
	add("request: the beginning of long arguments", wire.Frame{Kind: wire.Request, Form: wire.Bytes, Own: true, Long: true, ID: 5, Payload: text("\x00\x00\x00\x04echo\x80\x80\x04xx")})
	add("result: JSON", wire.Frame{Kind: wire.Result, ID: 1, Payload: text(`"hi Ada"`)})
	add("result: nothing", wire.Frame{Kind: wire.Result, ID: 1})
	add("result: raw", wire.Frame{Kind: wire.Result, Form: wire.Bytes, ID: 2, Payload: text("\x00\x01\x02")})
	add("result: a pair", wire.Frame{Kind: wire.Result, Form: wire.Pair, ID: 3, Payload: text("\x0b{\"size\":10}\x00\xff")})
	add("result: long, and its part", wire.Frame{Kind: wire.Result, Form: wire.Bytes, Long: true, ID: 5, Payload: text("\x05abc")}, wire.Frame{Kind: wire.Part, ID: 5, Payload: text("de")})
	add("error", wire.Frame{Kind: wire.Error, ID: 300, Payload: text(`{"code":"not_found","message":"no such object","executed":"yes"}`)})
	add("cancel", wire.Frame{Kind: wire.Cancel, Own: true, ID: 300})
	add("item from the callee", wire.Frame{Kind: wire.Item, ID: 7, Payload: text("1")})
	add("item from the caller", wire.Frame{Kind: wire.Item, Form: wire.Bytes, Own: true, ID: 7, Payload: text("x")})
	add("item: long", wire.Frame{Kind: wire.Item, Form: wire.Pair, Own: true, Long: true, ID: 7, Payload: text("\x80\x80\x08\x02{}")})
	add("end after 300 items", wire.Frame{Kind: wire.End, Own: true, ID: 7, Payload: text("\xac\x02")})
	add("credit of 32768", wire.Frame{Kind: wire.Credit, ID: 7, Payload: text("\x80\x80\x02")})
	add("mark, ack", wire.Frame{Kind: wire.Mark}, wire.Frame{Kind: wire.Ack, Payload: text("\x80\x80\x08")})
	add("ping, pong", wire.Frame{Kind: wire.Ping, Payload: text("12345678")}, wire.Frame{Kind: wire.Pong, Payload: text("12345678")})
	add("goaway, bye", wire.Frame{Kind: wire.GoAway, Payload: text("\x05")}, wire.Frame{Kind: wire.Bye, Payload: text(`{"code":""}`)})
	for _, id := range []uint64{127, 128, 1<<14 - 1, 1 << 14, 1<<32 - 1, 1 << 32, wire.MaxID} {
		add(fmt.Sprintf("id %d", id), wire.Frame{Kind: wire.Cancel, Own: true, ID: id})
	}

	bad := func(name, reason, msg string) {
		v.Invalid = append(v.Invalid, invalid{name, hex.EncodeToString([]byte(msg)), reason})
	}
	bad("nothing", "empty", "")
	bad("kind 0", "kind", "\x00\x00\x00")
	bad("kind 0 of a call", "kind", "\x10\x01\x00")
	bad("no id", "number", "\x12")
	bad("an id cut short", "number", "\x12\x80")
	bad("no length", "number", "\x0c\x00")
	bad("an id in two bytes where one does", "number", "\x15\x81\x00\x00")
	bad("an id of 0 in two bytes", "number", "\x0c\x80\x00\x00")
	bad("a length in two bytes where one does", "number", "\x0c\x00\x80\x00")
	bad("a length of 2^64", "number", "\x0c\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02")
	bad("a length in eleven bytes", "number", "\x0c\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")
	bad("a length of 2^63", "too_long", "\x0c\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")
	bad("a length of 61441", "too_long", "\x13\x01\x81\xe0\x03")
	bad("a payload cut short", "cut_short", "\x0c\x00\x05abcd")
	bad("a second frame cut short", "cut_short", "\x0a\x00\x00\x0c\x00\x01")
	bad("id 2^53", "id", "\x15\x80\x80\x80\x80\x80\x80\x80\x10\x00")
	bad("id 2^64-1", "id", "\x15\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00")
	bad("a call's frame with id 0", "id", "\x15\x00\x00")
	bad("a ping that names a call", "call", "\x0c\x01\x00")
	bad("a hello with the own bit", "call", "\x11\x00\x02{}")
	bad("form 3", "form", "\x63\x01\x00")
	bad("form 1 on a credit", "form", "\x29\x01\x01\x01")
	bad("form 2 on an error", "form", "\x44\x01\x02{}")
	bad("long on an end", "long", "\x97\x01\x01\x00")
	bad("long on a part", "long", "\x88\x01\x01x")
	bad("a request without the own bit", "side", "\x02\x01\x00")
	bad("a cancel without the own bit", "side", "\x05\x01\x00")
	bad("a result with the own bit", "side", "\x13\x01\x00")
	bad("an error with the own bit", "side", "\x14\x01\x02{}")
	return v
}

// readVectors reads the file, which must hold what makeVectors makes.
func readVectors(t testing.TB) vectors {
	t.Helper()
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
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Valid) == 0 || len(v.Invalid) == 0 {
		t.Fatalf("%s holds no vectors", vectorsFile)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestValidVectors(t *testing.T) {
	for _, v := range readVectors(t).Valid {
		t.Run(v.Name, func(t *testing.T) {
			var again []byte
			msg := unhex(t, v.Message)
			for i, rest := 0, msg; len(rest) > 0; i++ {
				var f wire.Frame
				var err error
				if f, rest, err = wire.Next(rest); err != nil {
					t.Fatal(err)
				}
				if i >= len(v.Frames) || frameOf(f) != v.Frames[i] {
					t.Fatalf("frame %d is %+v, want %+v", i, frameOf(f), v.Frames)
				}
				again = wire.Append(again, f)
			}
			if !bytes.Equal(again, msg) {
				t.Errorf("encoded again: %x, want %x", again, msg)
			}
		})
	}
}

func TestInvalidVectors(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range readVectors(t).Invalid {
		t.Run(v.Name, func(t *testing.T) {
			rest := unhex(t, v.Message)
			var err error
			for ok := true; ok; ok = err == nil && len(rest) > 0 {
				_, rest, err = wire.Next(rest)
			}
			words, known := reasons[v.Reason]
			if !known || !errors.Is(err, wire.ErrFrame) || !strings.Contains(err.Error(), words) {
				t.Errorf("%v, want a malformed frame because of %s", err, v.Reason)
			}
		})
		seen[v.Reason] = true
	}
	for r := range reasons {
		if !seen[r] {
			t.Errorf("no vector for %q", r)
		}
	}
}

// FuzzNext: what parses must be encoded again to the same bytes, so that there is one way to
// write each frame; what does not must say so.
func FuzzNext(f *testing.F) {
	v := readVectors(f)
	for _, x := range v.Valid {
		f.Add(unhex(f, x.Message))
	}
	for _, x := range v.Invalid {
		f.Add(unhex(f, x.Message))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		fr, rest, err := wire.Next(msg)
		if err != nil {
			if !errors.Is(err, wire.ErrFrame) || rest != nil {
				t.Fatalf("%v, rest %x", err, rest)
			}
			return
		}
		taken := msg[:len(msg)-len(rest)]
		if again := wire.Append(nil, fr); !bytes.Equal(again, taken) {
			t.Fatalf("%x was read as %+v, which is written as %x", taken, fr, again)
		}
		if len(fr.Payload) > wire.MaxFrame || fr.ID > wire.MaxID || len(taken) > len(fr.Payload)+wire.MaxHead {
			t.Fatalf("%+v is over a limit", fr)
		}
		if cap(fr.Payload) != len(fr.Payload) {
			t.Fatal("appending to the payload would write into the next frame")
		}
	})
}

func FuzzUvarint(f *testing.F) {
	for _, s := range []string{"", "\x00", "\x7f", "\x80", "\x80\x00", "\x80\x01", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, rest, err := wire.Uvarint(b)
		if err != nil {
			return
		}
		if again := appendUvarint(n); !bytes.Equal(again, b[:len(b)-len(rest)]) {
			t.Fatalf("%x was read as %d, which is written as %x", b, n, again)
		}
	})
}

// appendUvarint is the definition: seven bits a byte, lowest first, the high bit on all but
// the last.
func appendUvarint(v uint64) (b []byte) {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}
