package rpc

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Code says in one word what went wrong, from a closed set. The words are those of gRPC
// (https://grpc.io/docs/guides/status-codes), since that is the list people know.
type Code string

// The codes.
const (
	Cancelled          Code = "cancelled"           // the caller no longer wanted it
	Unknown            Code = "unknown"             // a code that this side does not know
	InvalidArgument    Code = "invalid_argument"    // the arguments are wrong whatever the state
	DeadlineExceeded   Code = "deadline_exceeded"   // the time was over before the answer came
	NotFound           Code = "not_found"           // what was asked for is not there
	AlreadyExists      Code = "already_exists"      // what was to be made is there
	PermissionDenied   Code = "permission_denied"   // the method's rule says no
	ResourceExhausted  Code = "resource_exhausted"  // a limit was met: too many, too long, disk full
	FailedPrecondition Code = "failed_precondition" // the state does not allow it; do not try again as it is
	Aborted            Code = "aborted"             // somebody else changed it meanwhile; read again and retry
	OutOfRange         Code = "out_of_range"        // past the end
	Unimplemented      Code = "unimplemented"       // no such method here
	Internal           Code = "internal"            // the handler failed; its text stays in the other side's log
	Unavailable        Code = "unavailable"         // the connection is gone or going
	DataLoss           Code = "data_loss"           // what arrived is not what it should be
	Unauthenticated    Code = "unauthenticated"     // say first who you are
)

var codes = map[Code]bool{
	Cancelled: true, Unknown: true, InvalidArgument: true, DeadlineExceeded: true, NotFound: true,
	AlreadyExists: true, PermissionDenied: true, ResourceExhausted: true, FailedPrecondition: true,
	Aborted: true, OutOfRange: true, Unimplemented: true, Internal: true, Unavailable: true,
	DataLoss: true, Unauthenticated: true,
}

// Executed says whether the handler of a failed call ran: what one must know before asking
// again.
type Executed string

// The three answers.
const (
	No    Executed = "no"    // proven: the handler did not start
	Maybe Executed = "maybe" // the call was sent and nothing came back
	Yes   Executed = "yes"   // the handler ran; its answer is an error, or was lost or wrong
)

// Error is how a call fails. Handlers return one (see [Errorf]) to tell the caller more than
// "internal"; callers find it with errors.As, or ask [CodeOf].
//
// A call that ended because its context did also matches context.Canceled or
// context.DeadlineExceeded with errors.Is.
type Error struct {
	Code     Code           // what went wrong
	Message  string         // for people: what was wrong and what to do
	Data     jsontext.Value // for programs: any JSON, or nil
	Executed Executed       // whether the handler ran; set by this package, not by handlers

	cause error
}

// Errorf makes an Error for a handler to return. The format is that of fmt.Errorf; an error
// given with %w can be found in the result on this side, only its text travels.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), cause: errors.Unwrap(err)}
}

// Error gives the message, the code and whether the call was executed.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Message != "" {
		s = e.Message + " (" + s + ")"
	}
	switch e.Executed {
	case Maybe:
		s += "; it is not known whether the call was executed"
	case No, Yes:
	}
	return s
}

// Unwrap returns the error behind this one on this side, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// CodeOf tells the code of an error: that of the [Error] in its chain, Cancelled or
// DeadlineExceeded for those of package context, Internal for any other, "" for nil.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, context.DeadlineExceeded):
		return DeadlineExceeded
	}
	return Internal
}

// ExecutedOf tells whether the handler of the call that failed with err ran. It is Maybe for
// an error that is not an [Error].
func ExecutedOf(err error) Executed {
	var e *Error
	if errors.As(err, &e) && e.Executed != "" {
		return e.Executed
	}
	return Maybe
}

// failure makes an error of a call on this side.
func failure(code Code, ran Executed, format string, args ...any) *Error {
	e := Errorf(code, format, args...)
	e.Executed = ran
	return e
}

// restate makes the error of a call out of what went wrong on this side: the same code and
// words.
func restate(err error, ran Executed) *Error {
	e := failure(CodeOf(err), ran, "%w", err)
	if inner, ok := errors.AsType[*Error](err); ok {
		e.Message = inner.Message
	}
	return e
}

// fromContext makes the error of a call whose context ended.
func fromContext(err error, ran Executed) *Error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Code: DeadlineExceeded, Message: "the call's time is over", Executed: ran, cause: context.DeadlineExceeded}
	}
	return &Error{Code: Cancelled, Message: "the caller cancelled the call", Executed: ran, cause: err}
}

// errorBody is the payload of an error or bye frame.
type errorBody struct {
	Code     Code           `json:"code"`
	Message  string         `json:"message,omitempty"`
	Data     jsontext.Value `json:"data,omitempty"`
	Executed Executed       `json:"executed,omitempty"`
}

// maxMessage bounds the text of an error, so that its frame is always small.
const maxMessage = 4 << 10

// appendError appends the payload of an error frame. What is too long is cut or left out:
// an error must always get through.
func appendError(b []byte, e *Error) []byte {
	body := errorBody{Code: e.Code, Message: e.Message, Data: e.Data, Executed: e.Executed}
	if len(body.Message) > maxMessage {
		body.Message = body.Message[:maxMessage] + "..."
	}
	if len(body.Data) > bulkFrom {
		body.Data = nil
	}
	p, err := json.Marshal(body, jsontext.AllowInvalidUTF8(true))
	if err != nil { // only Data can be at fault
		body.Data = nil
		p, _ = json.Marshal(body, jsontext.AllowInvalidUTF8(true))
	}
	return append(b, p...)
}

// parseError reads the payload of an error or bye frame. An answer that cannot be read still
// is the answer: an error.
func parseError(p []byte) *Error {
	var body errorBody
	if err := unmarshal(p, &body); err != nil {
		return failure(DataLoss, Yes, "the other side failed, and its error could not be read: %w", err)
	}
	if !codes[body.Code] {
		body.Message = fmt.Sprintf("%s: %s", body.Code, body.Message)
		body.Code = Unknown
	}
	if body.Executed != No && body.Executed != Maybe {
		body.Executed = Yes
	}
	e := &Error{Code: body.Code, Message: body.Message, Data: body.Data, Executed: body.Executed}
	switch e.Code {
	case Cancelled:
		e.cause = context.Canceled
	case DeadlineExceeded:
		e.cause = context.DeadlineExceeded
	}
	return e
}
