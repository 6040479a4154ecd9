package conformance

import (
	"bytes"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/chumsync/chum/wire"
)

// wire are conversations with a side that writes by hand. Most are those of conversations.json, whose methods are of the
// suite, too; those there that answer calls of the peer under test are told anew, with such as "back" has it make.
func (m *maker) wire(t *testing.T) {
	text, err := os.ReadFile("../spec/vectors/conversations.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Conversations []struct {
			Name    string    `json:"name"`
			Send    []string  `json:"send_hex"`
			Cut     bool      `json:"cut"`
			Results int       `json:"results"`
			Errors  []Refusal `json:"errors"`
			Settled []Refusal `json:"settled"`
		} `json:"conversations"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, c := range file.Conversations {
		if len(c.Settled) > 0 || answersOneOfFour(c.Send) {
			continue
		}
		end := End{Results: c.Results, Errors: c.Errors, Last: c.Name == "id 2^53-1"}
		if c.Cut {
			end = End{Cut: "invalid_argument"}
		}
		behind := strings.Contains(c.Name, "behind the answer") // which the sender must then have
		var steps []Step
		for i, s := range c.Send {
			if behind && i > 0 {
				steps = append(steps, Step{Await: &Await{"result", 1}})
			}
			steps = append(steps, Step{Send: &s})
		}
		m.cases = append(m.cases, Case{Group: "frames", Name: c.Name, Steps: steps, End: &end})
		if all := strings.Join(c.Send, ""); len(c.Send) > 1 && !behind && len(all) < 2*wire.MaxMessage {
			m.cases = append(m.cases, Case{Group: "frames", Name: c.Name + ", in one message", Steps: []Step{{Send: &all}}, End: &end})
		}
	}
	m.answers()
}

// answersOneOfFour tells whether a frame is of one of the four calls that conversations.json has the peer make.
func answersOneOfFour(messages []string) bool {
	return slices.ContainsFunc(messages, func(s string) bool {
		msg, _ := hex.DecodeString(s)
		for len(msg) > 0 {
			f, rest, err := wire.Next(msg)
			if err != nil {
				return false
			}
			if !f.Own && f.ID >= 1 && f.ID <= 4 || f.Kind == wire.GoAway {
				return true
			}
			msg = rest
		}
		return false
	})
}

// yours is a frame of the call that "back" has the server make: its first.
func yours(kind wire.Kind, payload string) []byte {
	return wire.Append(nil, wire.Frame{Kind: kind, ID: 1, Payload: []byte(payload)})
}

func request(id uint64, mode byte, method, args string) []byte {
	payload := append([]byte{mode, 0, 0, byte(len(method))}, method+args...)
	return wire.Append(nil, wire.Frame{Kind: wire.Request, Own: true, ID: id, Payload: payload})
}

// answers are what a server makes of answers to its own calls, right and wrong.
func (m *maker) answers() {
	wrong := Outcome{Code: "data_loss", Executed: "yes"}
	tell := func(name string, c Call, cut bool, want Outcome, answers ...[]byte) {
		end := End{Results: 1, Back: &want}
		if cut {
			end = End{Cut: "invalid_argument"}
		}
		ask := hex.EncodeToString(request(1, 0, "back", "["+string(writeData(c))+"]"))
		steps := []Step{{Send: &ask}, {Await: &Await{"request", 1}}}
		for _, a := range answers {
			s := hex.EncodeToString(a)
			steps = append(steps, Step{Send: &s})
		}
		m.cases = append(m.cases, Case{Group: "frames", Name: name, Steps: steps, End: &end})
		if len(answers) > 1 {
			all := hex.EncodeToString(bytes.Join(answers, nil))
			m.cases = append(m.cases, Case{Group: "frames", Name: name + ", in one message", Steps: append(steps[:2:2], Step{Send: &all}), End: &end})
		}
	}
	hi := Call{Method: "hi", Arg: data("x")}
	count := Call{Method: "count", Arg: data(3)}
	total := Call{Method: "total", Items: data("=[]")}
	echo := Call{Method: "echo", Arg: data(patternOf(3))}
	long := func(f []byte) []byte { f[0] |= 0x80; return f }
	formed := func(f []byte, form wire.Form) []byte { f[0] |= byte(form) << 5; return f }

	tell("an answer to the server's call", hi, false, Outcome{Result: data("y")}, yours(wire.Result, `"y"`))
	tell("an answer with white space", hi, false, Outcome{Result: data("y")}, yours(wire.Result, " \n\t\"\\u0079\" "))
	tell("an answer of no bytes is the zero value", hi, false, Outcome{Result: data("")}, yours(wire.Result, ``))
	tell("an answer of another type to the server", hi, false, wrong, yours(wire.Result, `5`))
	tell("an answer that is not JSON to the server", hi, false, wrong, yours(wire.Result, `"y`))
	tell("an answer with something behind it", hi, false, wrong, yours(wire.Result, `"y" 1`))
	tell("an answer of a lone surrogate", hi, false, wrong, yours(wire.Result, `"\ud800"`))
	tell("an answer that is not UTF-8", hi, false, wrong, yours(wire.Result, "\"\xff\""))
	tell("an answer in form bytes to the server", hi, false, wrong, formed(yours(wire.Result, "y"), wire.Bytes))
	tell("bytes as base64", echo, false, Outcome{Result: data([]byte("abc"))}, yours(wire.Result, `"YWJj"`))
	tell("bytes raw", echo, false, Outcome{Result: data([]byte("abc"))}, formed(yours(wire.Result, "abc"), wire.Bytes))
	tell("a long answer in parts", hi, false, Outcome{Result: data("abc")}, long(yours(wire.Result, "\x05\"a")), yours(wire.Part, "b"), yours(wire.Part, "c\""))
	tell("a long answer of nothing at first", hi, false, Outcome{Result: data("a")}, long(yours(wire.Result, "\x03")), yours(wire.Part, "\"a\""))
	tell("a long answer past its length", hi, true, Outcome{}, long(yours(wire.Result, "\x03\"a")), yours(wire.Part, "\"\""))
	tell("a result amid a long answer", hi, true, Outcome{}, long(yours(wire.Result, "\x05\"a")), yours(wire.Result, `"y"`))
	tell("an error amid a long answer", hi, false, Outcome{Code: "aborted", Executed: "yes"}, long(yours(wire.Result, "\x05\"a")), yours(wire.Error, `{"code":"aborted"}`))
	tell("a part of no long answer", hi, true, Outcome{}, yours(wire.Part, "x"))
	tell("two answers to the server", hi, false, Outcome{Result: data("y")}, yours(wire.Result, `"y"`), yours(wire.Result, `"z"`))
	tell("an error, then an answer", hi, false, Outcome{Code: "aborted", Executed: "yes"}, yours(wire.Error, `{"code":"aborted"}`), yours(wire.Result, `"z"`))
	tell("an error that says no", hi, false, Outcome{Code: "not_found", Executed: "no", Data: data("=[1]")}, yours(wire.Error, `{"code":"not_found","executed":"no","data":[1]}`))
	tell("an error of a code that nobody knows", hi, false, Outcome{Code: "unknown", Executed: "maybe"}, yours(wire.Error, `{"code":"teapot","executed":"maybe"}`))
	tell("an error that says nothing", hi, false, Outcome{Code: "unknown", Executed: "yes"}, yours(wire.Error, `{}`))
	tell("an error that cannot be read", hi, false, wrong, yours(wire.Error, `no`))
	tell("an item where the server asked for none", hi, true, Outcome{}, yours(wire.Item, `1`))
	tell("an end where the server asked for none", hi, true, Outcome{}, yours(wire.End, "\x00"))
	tell("credit where the server streams nothing", hi, false, Outcome{Result: data("y")}, yours(wire.Credit, "\x05"), yours(wire.Result, `"y"`))
	tell("a cancel from the callee to the server", hi, true, Outcome{}, yours(wire.Cancel, ""))
	items := [][]byte{yours(wire.Item, "0"), yours(wire.Item, "1")}
	tell("a stream to the server", count, false, Outcome{Items: data("=[0,1]")}, append(slices.Clone(items), yours(wire.End, "\x02"), yours(wire.Result, ""))...)
	tell("a stream without its end", count, false, Outcome{Items: data("=[0,1]"), Code: "data_loss", Executed: "yes"}, append(slices.Clone(items), yours(wire.Result, ""))...)
	tell("a stream whose end counts wrongly", count, true, Outcome{}, append(slices.Clone(items), yours(wire.End, "\x03"))...)
	tell("an item behind the end of a stream", count, true, Outcome{}, yours(wire.End, "\x00"), yours(wire.Item, "0"))
	tell("a stream that ends twice", count, true, Outcome{}, yours(wire.End, "\x00"), yours(wire.End, "\x00"))
	tell("a stream that is broken off", count, false, Outcome{Items: data("=[0,1]"), Code: "aborted", Executed: "yes"}, append(slices.Clone(items), yours(wire.Error, `{"code":"aborted"}`))...)
	tell("an answer before the server has fed", total, false, Outcome{Result: data(7)}, yours(wire.Result, "7"))
	tell("credit above 2^40 to the server", total, true, Outcome{}, yours(wire.Credit, "\x80\x80\x80\x80\x80\x40"))

	// A frame of each kind that is longer than its message.
	for kind := wire.Hello; kind <= wire.Bye; kind++ {
		head := []byte{byte(kind), 1, 5, 'x'}
		switch kind {
		case wire.Request, wire.Cancel:
			head[0] |= 0x10
		case wire.Hello, wire.Mark, wire.Ack, wire.Ping, wire.Pong, wire.GoAway, wire.Bye:
			head[1] = 0
		}
		s := hex.EncodeToString(head)
		m.cases = append(m.cases, Case{
			Group: "frames", Name: "a " + kind.String() + " past the end of its message",
			Steps: []Step{{Send: &s}}, End: &End{Cut: "invalid_argument"},
		})
	}
}
