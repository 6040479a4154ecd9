package jsonrpc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/wire"
)

const (
	maxDepth = 64 + 4 // levels of a message: those of a value, and what stands around it
	maxBatch = 1024   // members of an array
	maxID    = 256    // bytes of an id
	maxName  = 128    // bytes of a method's name
)

// message is what one object says. Members that are not there are nil.
type message struct {
	Version jsontext.Value `json:"jsonrpc"`
	ID      jsontext.Value `json:"id"`
	Method  jsontext.Value `json:"method"`
	Params  jsontext.Value `json:"params"`
	Result  jsontext.Value `json:"result"`
	Error   jsontext.Value `json:"error"`

	// What JSON-RPC does not have. All may be missing.
	Timeout jsontext.Value `json:"timeout"` // milliseconds until the caller gives up
	Credit  jsontext.Value `json:"credit"`  // what it takes of a stream for now
	Meta    jsontext.Value `json:"meta"`    // metadata: an object of strings
}

// fault says why a message is not taken.
type fault struct {
	number int
	reason string
}

// check holds a whole message against the limits of what is looked at.
func check(p []byte) *fault {
	if len(p) > wire.MaxMessage {
		return &fault{invalidRequest, fmt.Sprintf("a message of %d bytes; %d are allowed", len(p), wire.MaxMessage)}
	}
	depth := 0
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '"':
			for i++; i < len(p) && p[i] != '"'; i++ {
				if p[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth > maxDepth {
				return &fault{parseError, fmt.Sprintf("JSON nested deeper than %d levels", maxDepth)}
			}
		case '}', ']':
			depth--
		}
	}
	return nil
}

// parse reads one object.
func parse(p []byte) (m message, _ *fault) {
	switch err := json.Unmarshal(p, &m); {
	case err == nil && jsontext.Value(p).Kind() == '{':
		return m, nil
	case err == nil:
		return m, &fault{invalidRequest, "it must be an object"}
	default:
		if _, ok := errors.AsType[*json.SemanticError](err); ok {
			return m, &fault{invalidRequest, "it must be an object"}
		}
		return m, &fault{parseError, err.Error()}
	}
}

// members counts the members of an array, or says that it is none.
func members(p []byte) (n int, _ *fault) {
	d := jsontext.NewDecoder(bytes.NewBuffer(p))
	_, err := d.ReadToken()
	for err == nil && d.PeekKind() != ']' {
		err = d.SkipValue()
		n++
	}
	if err == nil {
		_, err = d.ReadToken()
	}
	if err == nil {
		if _, err = d.ReadToken(); err == io.EOF {
			err = nil
		} else if err == nil {
			err = errors.New("something stands behind the array")
		}
	}
	switch {
	case err != nil:
		return n, &fault{parseError, err.Error()}
	case n == 0:
		return n, &fault{invalidRequest, "an empty array"}
	case n > maxBatch:
		return n, &fault{invalidRequest, fmt.Sprintf("a batch of %d; %d are allowed", n, maxBatch)}
	}
	return n, nil
}

// id gives the message's id as it stands there, null if there is none that is one.
func (m *message) id() []byte {
	if m.badID() != nil || m.ID == nil {
		return null
	}
	return bytes.Clone(m.ID)
}

func (m *message) badID() *fault {
	switch k := m.ID.Kind(); {
	case m.ID == nil, len(m.ID) <= maxID && (k == '"' || k == '0' || k == 'n'):
		return nil
	case len(m.ID) > maxID:
		return &fault{invalidRequest, fmt.Sprintf("an id of %d bytes; %d are allowed", len(m.ID), maxID)}
	}
	return &fault{invalidRequest, "the id must be a string, a number or null"}
}

// request is a call, or a notification, whose form is right.
type request struct {
	method  []byte
	params  []byte // JSON: an array or an object, or nothing
	timeout uint64 // ms; 0: none
	paced   bool   // the caller says what it takes of the stream: credit, for now
	credit  uint64
	meta    []byte // as a request frame has it
}

func (m *message) request() (r request, _ *fault) {
	bad := func(reason string) (request, *fault) { return r, &fault{invalidRequest, reason} }
	if f := m.badID(); f != nil {
		return r, f
	}
	switch {
	case string(m.Version) != `"2.0"`:
		return bad(`the member "jsonrpc" must be "2.0"`)
	case m.Method.Kind() != '"':
		return bad("the method must be a string")
	}
	var err error
	if r.method, err = jsontext.AppendUnquote(nil, m.Method); err != nil {
		return bad("the method: " + err.Error())
	}
	switch m.Params.Kind() {
	case '[', '{':
		r.params = m.Params
	case 'n':
	default:
		if m.Params != nil {
			return bad("params must be an array or an object")
		}
	}
	if m.Timeout != nil {
		if r.timeout, err = strconv.ParseUint(string(m.Timeout), 10, 64); err != nil {
			return bad("timeout must be an integer of milliseconds")
		}
	}
	if m.Credit != nil {
		r.paced = true
		if r.credit, err = strconv.ParseUint(string(m.Credit), 10, 64); err != nil || r.credit > maxCredit {
			return bad("credit must be an integer of bytes")
		}
	}
	if m.Meta != nil {
		if r.meta, err = appendMeta(nil, m.Meta); err != nil {
			return bad("meta: " + err.Error())
		}
	}
	return r, nil
}
