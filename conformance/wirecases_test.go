package conformance

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
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
				steps = append(steps, Step{Await: &Await{Kind: "result", ID: 1}})
			}
			steps = append(steps, Step{Send: &s})
		}
		m.cases = append(m.cases, Case{Group: "frames", Name: c.Name, Steps: steps, End: &end})
		if all := strings.Join(c.Send, ""); len(c.Send) > 1 && !behind && len(all) < 2*wire.MaxMessage {
			m.cases = append(m.cases, Case{Group: "frames", Name: c.Name + ", in one message", Steps: []Step{{Send: &all}}, End: &end})
		}
	}
	m.answers()
	m.sessions()
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
		steps := []Step{{Send: &ask}, {Await: &Await{Kind: "request", ID: 1}}}
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

	// An empty item costs 32: a window of 65,536 bytes, the largest that a server under test may have, is used up by 2,048.
	item := wire.Append(nil, wire.Frame{Kind: wire.Item, Form: wire.Bytes, Own: true, ID: 1})
	for _, n := range []int{1000, 2049} {
		end := End{}
		if n > 2048 {
			end.Cut = "invalid_argument"
		}
		fed := hex.EncodeToString(append(request(1, 1, "deaf", ""), bytes.Repeat(item, n)...))
		m.cases = append(m.cases, Case{Group: "frames", Name: fmt.Sprintf("%d items that nobody reads", n), Steps: []Step{{Send: &fed}}, End: &end})
	}

	// A source sends as long as there is credit, and no longer.
	credit := 32768
	sent := 0
	more := func(n int) int {
		for credit += n; credit > 0; sent++ {
			credit -= len(strconv.Itoa(sent)) + 32
		}
		return sent
	}
	ask := hex.EncodeToString(request(1, 2, "count", "[1000000]"))
	grant := hex.EncodeToString(wire.Append(nil, wire.Frame{Kind: wire.Credit, Own: true, ID: 1, Payload: binary.AppendUvarint(nil, 5000)}))
	stop := hex.EncodeToString(wire.Append(nil, wire.Frame{Kind: wire.Cancel, Own: true, ID: 1}))
	steps := []Step{{Send: &ask}, {Await: &Await{"item", 1, more(0)}}}
	m.cases = append(m.cases, Case{Group: "frames", Name: "a source keeps to its credit", Steps: steps, End: &End{Items: sent}})
	steps = append(slices.Clone(steps), Step{Send: &grant}, Step{Await: &Await{"item", 1, more(5000)}})
	m.cases = append(m.cases, Case{Group: "frames", Name: "a source goes on with more credit", Steps: steps, End: &End{Items: sent}})
	steps = append(slices.Clone(steps), Step{Send: &stop}, Step{Send: &grant})
	m.cases = append(m.cases, Case{Group: "frames", Name: "a source that was cancelled sends no more", Steps: steps, End: &End{Items: sent}})

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

// sessions are how a server takes the messages of a session, whether it keeps any or not.
func (m *maker) sessions() {
	hello := hex.EncodeToString(helloFrame)
	control := func(op byte, text string) string { return hex.EncodeToString(append([]byte{0, op}, text...)) }
	open := control(1, `{"version":1}`)
	opened := Step{Await: &Await{Kind: "session", ID: 2}}
	send := func(s string) Step { return Step{Send: &s} }
	tell := func(name, needs string, end End, steps ...Step) {
		m.cases = append(m.cases, Case{Group: "sessions", Name: name, Needs: needs, Bare: true, Steps: steps, End: &end})
	}
	greeted := Step{Await: &Await{Kind: "hello"}}
	tell("opened, then a call", "", End{}, send(open), opened, send(hello), greeted)
	tell("the client does not wait for opened", "", End{}, send(open), send(hello), opened, greeted)
	tell("members that nobody knows", "", End{}, send(control(1, `{"version":1,"more":[{}]}`)), opened, send(hello), greeted)
	tell("a version that nobody knows has no session", "", End{}, send(control(1, `{"version":9}`)), opened, send(hello), greeted)
	tell("no session", "", End{}, send(hello), greeted)
	closed := End{Closed: true}
	resume := `{"id":"00112233445566778899aabbccddeeff","try":1,"received":0,"proof":"` + strings.Repeat("0", 64) + `"}`
	tell("a resume of what was never opened is refused", "", closed, send(control(3, resume)), Step{Await: &Await{Kind: "session", ID: 5}})
	for op := range byte(10) {
		if op != 1 && op != 3 {
			tell(fmt.Sprintf("op %d at first", op), "", closed, send(control(op, "{}")))
		}
		if op != 6 && op != 7 {
			tell(fmt.Sprintf("op %d within", op), "resume", closed, send(open), opened, send(hello), greeted, send(control(op, "{}")))
		}
	}
	tell("nothing but 00", "", closed, send("00"))
	within := func(name string, end End, ops ...string) {
		steps := []Step{send(open), opened, send(hello), greeted}
		for _, op := range ops {
			steps = append(steps, send(op))
		}
		tell(name, "resume", end, steps...)
	}
	ack := func(n uint64) string { return hex.EncodeToString(binary.AppendUvarint([]byte{0, 6}, n)) }
	within("an ack", End{}, ack(1))
	within("an ack of nothing new", End{}, ack(1), ack(1), ack(1))
	within("an ack that is lower than the one before", closed, ack(1), ack(0))
	within("an ack of more than was sent", closed, ack(1000))
	within("an ack that is cut short", closed, "000680")
	within("an ack with data", End{Results: 1}, ack(1)+hex.EncodeToString(request(1, 0, "hi", `["x"]`)))
	within("an ack with half a frame", End{Cut: "invalid_argument"}, ack(1)+"12")
	within("acks that acknowledge nothing, 257", End{}, slices.Repeat([]string{ack(1)}, 257)...)
	within("acks that acknowledge nothing, without end", closed, slices.Repeat([]string{ack(1)}, 1000)...)
	tell("an open that is not JSON", "", closed, send(control(1, `{"version":`)))
	tell("an open of nothing", "", closed, send("0001"))
	tell("an open that is too long", "", closed, send(control(1, `{"version":1,"x":"`+strings.Repeat("x", 4096)+`"}`)))
	within("close is an orderly end", closed, control(7, ""))
}
