package jsonrpc

import (
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/rpc"
)

// The errors that JSON-RPC defines (section 5.1).
const (
	parseError     = -32700
	invalidRequest = -32600
	methodNotFound = -32601
	invalidParams  = -32602
	internalError  = -32603
)

// numbers are the error codes as JSON-RPC has them. Those from -32000 down are ours; they never
// change.
var numbers = map[rpc.Code]int{
	rpc.Unimplemented:      methodNotFound,
	rpc.InvalidArgument:    invalidParams,
	rpc.Internal:           internalError,
	rpc.Cancelled:          -32000,
	rpc.Unknown:            -32001,
	rpc.DeadlineExceeded:   -32002,
	rpc.NotFound:           -32003,
	rpc.AlreadyExists:      -32004,
	rpc.PermissionDenied:   -32005,
	rpc.ResourceExhausted:  -32006,
	rpc.FailedPrecondition: -32007,
	rpc.Aborted:            -32008,
	rpc.OutOfRange:         -32009,
	rpc.Unavailable:        -32010,
	rpc.DataLoss:           -32011,
	rpc.Unauthenticated:    -32012,
}

// meanings are the messages that JSON-RPC gives its codes. What else there is to say is the
// reason in the data.
var meanings = map[int]string{
	parseError:     "Parse error",
	invalidRequest: "Invalid Request",
	methodNotFound: "Method not found",
}

// body is the payload of the peer's error and bye frames.
type body struct {
	Code     rpc.Code       `json:"code"`
	Message  string         `json:"message,omitzero"`
	Data     jsontext.Value `json:"data,omitzero"`
	Executed rpc.Executed   `json:"executed,omitzero"`
}

// object is the error member of a response.
type object struct {
	Code    int            `json:"code"`
	Message string         `json:"message"`
	Data    jsontext.Value `json:"data,omitzero"`
}

// data is what we put into an error object's member data.
type data struct {
	Code     rpc.Code       `json:"code,omitzero"`
	Executed rpc.Executed   `json:"executed,omitzero"`
	Reason   string         `json:"reason,omitzero"` // what was wrong, where the message is a fixed one
	Data     jsontext.Value `json:"data,omitzero"`   // the handler's own
}

// objectOf makes the error object of an error of the peer.
func objectOf(e body) object {
	n, ok := numbers[e.Code]
	if !ok {
		n, e.Code = numbers[rpc.Unknown], rpc.Unknown
	}
	if e.Executed == "" {
		e.Executed = rpc.Yes
	}
	return makeObject(n, e.Message, data{Code: e.Code, Executed: e.Executed, Data: e.Data})
}

// malformed makes the error object for what is no request.
func malformed(n int, reason string) object {
	d := data{Executed: rpc.No}
	if n == methodNotFound {
		d.Code = rpc.Unimplemented
	}
	return makeObject(n, reason, d)
}

func makeObject(n int, message string, d data) object {
	if fixed, ok := meanings[n]; ok {
		message, d.Reason = fixed, message
	}
	text, err := json.Marshal(d, jsontext.AllowInvalidUTF8(true))
	if err != nil { // only the handler's own can be at fault
		d.Data = nil
		text, _ = json.Marshal(d, jsontext.AllowInvalidUTF8(true))
	}
	return object{Code: n, Message: message, Data: text}
}

// appendObject appends an error object as JSON.
func appendObject(b []byte, o object) []byte {
	text, err := json.Marshal(o, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic("jsonrpc: " + err.Error()) // its data is known to be JSON
	}
	return append(b, text...)
}

const (
	maxMessage = 4 << 10 // bytes of an error's message, as a peer would cut it
	maxData    = 8 << 10 // bytes of an error's data that are passed on
)

// bodyOf makes an error of the peer out of the error member of a response. If it is one of ours,
// its data says so by the code's name; else the number is kept in the data.
func bodyOf(raw jsontext.Value) body {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		return body{Code: rpc.Unknown, Message: fmt.Sprintf("the other side failed, and its error could not be read: %v", err), Executed: rpc.Yes}
	}
	if len(o.Message) > maxMessage {
		o.Message = o.Message[:maxMessage] + "..."
	}
	if len(o.Data) > maxData {
		o.Data = nil
	}
	var d data
	if o.Data.Kind() == '{' && json.Unmarshal(o.Data, &d) == nil && numbers[d.Code] == o.Code && d.Code != "" {
		if d.Reason != "" {
			o.Message = d.Reason
		}
		return body{Code: d.Code, Message: o.Message, Data: d.Data, Executed: d.Executed}
	}
	e := body{Code: rpc.Unknown, Message: o.Message, Executed: rpc.Yes}
	switch o.Code {
	case methodNotFound:
		e.Code, e.Executed = rpc.Unimplemented, rpc.No
	case invalidParams:
		e.Code = rpc.InvalidArgument
	case parseError, invalidRequest:
		e.Code, e.Executed = rpc.Internal, rpc.No
	case internalError:
		e.Code = rpc.Internal
	}
	e.Data = append(jsontext.Value(`{"code":`), strconv.Itoa(o.Code)...)
	if o.Data != nil {
		e.Data = append(append(e.Data, `,"data":`...), o.Data...)
	}
	e.Data = append(e.Data, '}')
	return e
}

// appendBody appends the payload of an error frame for the peer.
func appendBody(b []byte, e body) []byte {
	text, err := json.Marshal(e, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic("jsonrpc: " + err.Error()) // its data is known to be JSON
	}
	return append(b, text...)
}

// failed makes an error of this side.
func failed(code rpc.Code, ran rpc.Executed, format string, args ...any) body {
	return body{Code: code, Message: fmt.Sprintf(format, args...), Executed: ran}
}
