package conformance

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A File is the cases and what holds for all of them.
type File struct {
	About string `json:"about"`
	// Hello is what the sender of a wire case says first, in hexadecimal.
	Hello string `json:"hello_hex"` //nolint:tagliatelle // as the other vectors have it
	Cases []Case `json:"cases"`
}

// A Case is one question to an implementation. It has either Calls or Steps.
type Case struct {
	Group string `json:"group"`
	Name  string `json:"name"`
	// Needs is what an implementation may leave out: "resume", sessions on the server. "" is nothing.
	Needs string `json:"needs,omitzero"`
	// Fault is what becomes of the connection; nil is nothing.
	Fault *Fault `json:"fault,omitzero"`
	// Calls make it a peer case.
	Calls []Call `json:"calls,omitzero"`
	// Together says that all calls are made before the first has answered.
	Together bool `json:"together,omitzero"`
	// Steps make it a wire case. Bare says that nothing goes before them, not even the hello.
	Steps []Step `json:"steps,omitzero"`
	Bare  bool   `json:"bare,omitzero"`
	// End is what comes of the steps.
	End *End `json:"end,omitzero"`
}

// A Call is one to be made, and its Outcome that is wanted. It travels as the argument of the method "back", too.
type Call struct {
	Method string `json:"method"`
	// Arg is the argument of a typed call, see data.go for bytes in it. Missing: nothing.
	Arg jsontext.Value `json:"arg,omitzero"`
	// Args are those of a call by name, by position; Arg is then missing.
	Args []jsontext.Value `json:"args,omitzero"`
	// Named makes a call by name that has no arguments.
	Named bool `json:"named,omitzero"`
	// Items are what is fed to a sink or a duplex.
	Items jsontext.Value `json:"items,omitzero"`
	// Take is how many items are read of a stream before it is left. 0 is all.
	Take int `json:"take,omitzero"`
	// Timeout is the call's, in milliseconds. 0 is that of the peer.
	Timeout int `json:"timeout,omitzero"`
	// Cancel and Cut name a handler: when it runs ("started"), the call is cancelled or its connection cut.
	Cancel string `json:"cancel,omitzero"`
	Cut    string `json:"cut,omitzero"`
	// Metadata, Key, Repeat and Priority go with the call.
	Metadata map[string]string `json:"metadata,omitzero"`
	Key      string            `json:"key,omitzero"`
	Repeat   bool              `json:"repeat,omitzero"`
	Priority int               `json:"priority,omitzero"`

	// Times is how often the case makes the call, all at once. 0 is once.
	Times int `json:"times,omitzero"`
	// Back has the other side make the call of this one.
	Back bool    `json:"back,omitzero"`
	Want Outcome `json:"want,omitzero"`
}

// An Outcome is what a call came to, as data.
type Outcome struct {
	Result   jsontext.Value `json:"result,omitzero"`
	Items    jsontext.Value `json:"items,omitzero"` // of a stream, the last bytes or numbers also when it failed
	Code     string         `json:"code,omitzero"`
	Executed string         `json:"executed,omitzero"`
	Data     jsontext.Value `json:"data,omitzero"` // of the error
}

// A Fault is what a Proxy does to a connection. It counts messages of WebSockets in each direction, from 1.
type Fault struct {
	Split   bool `json:"split,omitzero"`   // each frame becomes a message of its own
	Trickle int  `json:"trickle,omitzero"` // bytes are written so many at a time
	Delay   int  `json:"delay,omitzero"`   // milliseconds, of each message
	Up      int  `json:"up,omitzero"`      // the connection is reset after so many messages to the server; 0 never
	Down    int  `json:"down,omitzero"`    // likewise from the server
	Half    bool `json:"half,omitzero"`    // of the next message half is still written
	Conns   int  `json:"conns,omitzero"`   // so many connections of the case are reset; 0 is 1
}

// A Step of a wire case sends a message or waits for a frame.
type Step struct {
	Send  *string `json:"send_hex,omitzero"` //nolint:tagliatelle // likewise
	Await *Await  `json:"await,omitzero"`
}

// An Await is a frame that must have come before the next step.
type Await struct {
	Kind string `json:"kind"` // as wire.Kind names it; or "session", and its op as the id
	ID   uint64 `json:"id"`
	// Times is how many of them must have come. 0 is one.
	Times int `json:"times,omitzero"`
}

// An End is what came of a wire case: the answers, and whether the connection is cut.
type End struct {
	// Cut is the code of the bye with which the connection ends; "" if it goes on. What was answered before is then not asked.
	Cut string `json:"cut,omitzero"`
	// Closed says that the connection ends, with a bye or without.
	Closed bool `json:"closed,omitzero"`
	// Results is how many of the sender's calls were answered with a result, Errors what became of the others.
	Results int       `json:"results,omitzero"`
	Errors  []Refusal `json:"errors,omitzero"`
	// Items is how many came of a stream, no more and no less.
	Items int `json:"items,omitzero"`
	// Back is the result of the sender's call of "back", which then is among Results.
	Back *Outcome `json:"back,omitzero"`
	// Last says that there is no id left for a call to see that the connection goes on.
	Last bool `json:"last,omitzero"`
}

// A Refusal is an error that answers a call.
type Refusal struct {
	ID       uint64 `json:"id"`
	Code     string `json:"code"`
	Executed string `json:"executed"`
}

// Load reads cases. It refuses what it does not understand, so that no case is played half.
func Load(text []byte) (File, error) {
	var f File
	if err := json.Unmarshal(text, &f, json.RejectUnknownMembers(true)); err != nil {
		return f, fmt.Errorf("conformance: %w", err)
	}
	if len(f.Cases) == 0 {
		return f, errors.New("conformance: there are no cases")
	}
	for i := range f.Cases {
		c := &f.Cases[i]
		if (len(c.Calls) == 0) == (len(c.Steps) == 0) || (len(c.Steps) > 0) != (c.End != nil) {
			return f, fmt.Errorf("conformance: %s: %s: it needs either calls, or steps and an end", c.Group, c.Name)
		}
	}
	return f, nil
}
