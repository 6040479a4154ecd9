package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Kind says what a frame does. The values are the low four bits of its first byte.
type Kind uint8

// The kinds of frames. The comment beside each gives its payload; u stands for an unsigned
// varint, V for a value in the frame's [Form], which in a frame marked Long is u total
// length of the value and then its first bytes.
const (
	Hello   Kind = 1  // id 0. JSON object: version, agent, limits. The first frame of each side
	Request Kind = 2  // u mode, u time left in ms (0: none), u metadata length, metadata, u method length, method, V
	Result  Kind = 3  // V. The call succeeded and is closed
	Error   Kind = 4  // JSON object: code, message, data, executed. The call failed and is closed
	Cancel  Kind = 5  // empty. From the caller: it no longer waits, the handler may stop. Closes the call
	Item    Kind = 6  // V. The next item of the sender's stream in this call
	End     Kind = 7  // u number of items. The sender's stream in this call is complete
	Part    Kind = 8  // bytes: the next part of the long value that the sender began in this call
	Credit  Kind = 9  // u more credit for the receiver's stream in this call
	Mark    Kind = 10 // id 0. empty. Asks for an Ack of all bulk bytes up to here
	Ack     Kind = 11 // id 0. u bulk bytes received since the start of the connection
	Ping    Kind = 12 // id 0. up to 8 bytes, to come back in a Pong
	Pong    Kind = 13 // id 0. the Ping's bytes
	GoAway  Kind = 14 // id 0. u highest id of a request that was taken. No later one will be
	Bye     Kind = 15 // id 0. JSON object: code, message. The last frame: the sender closes
)

var kindNames = [16]string{
	Hello: "hello", Request: "request", Result: "result", Error: "error", Cancel: "cancel",
	Item: "item", End: "end", Part: "part", Credit: "credit", Mark: "mark", Ack: "ack",
	Ping: "ping", Pong: "pong", GoAway: "goaway", Bye: "bye",
}

// String gives the kind's name as the specification has it.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// connection tells that frames of this kind belong to no call: their id is 0.
func (k Kind) connection() bool { return k == Hello || k >= Mark }

// Form says how the bytes of a value are to be read.
type Form uint8

// The forms of a value.
const (
	JSON  Form = 0 // a JSON text, or nothing at all: no value
	Bytes Form = 1 // the raw bytes themselves
	Pair  Form = 2 // u length of a JSON text, the JSON text, then raw bytes
)

// String gives the form's name as the specification has it.
func (f Form) String() string {
	switch f {
	case JSON:
		return "json"
	case Bytes:
		return "bytes"
	case Pair:
		return "pair"
	}
	return fmt.Sprintf("form(%d)", uint8(f))
}

// The limits of the format itself. What a peer accepts beyond them it says in its hello.
const (
	MaxFrame   = 60 << 10  // bytes of a frame's payload, so that one encrypted record holds a frame
	MaxMessage = 1 << 20   // bytes of a message
	MaxID      = 1<<53 - 1 // ids stay exact in JavaScript numbers
	MaxHead    = 1 + 8 + 3 // bytes of the longest frame head: first byte, id, payload length
)

// Bulk tells whether the frame's payload counts against the connection's window: the bytes
// of streams and of long values.
func (f *Frame) Bulk() bool { return f.Long || f.Kind == Item || f.Kind == Part }

// The bits of a frame's first byte.
const (
	kindMask = 0x0f
	ownBit   = 0x10 // the call was made by the sender of this frame
	formBits = 5    // two bits: the Form
	longBit  = 0x80 // the value says its total length first; Part frames bring what is missing
)

// A Frame is one step of a call, or of the connection (id 0).
type Frame struct {
	Kind    Kind
	Form    Form   // of the value in the payload; JSON where the kind has none
	Own     bool   // the call is the sender's own; each side counts its calls' ids by itself
	Long    bool   // the value says its total length first; Part frames bring what is missing
	ID      uint64 // of the call; 0 where the frame belongs to the connection
	Payload []byte
}

// AppendHead appends the head of a frame whose payload of n bytes follows. Callers keep n
// within [MaxFrame].
func AppendHead(b []byte, f Frame, n int) []byte {
	first := byte(f.Kind) | byte(f.Form)<<formBits
	if f.Own {
		first |= ownBit
	}
	if f.Long {
		first |= longBit
	}
	b = append(b, first)
	b = binary.AppendUvarint(b, f.ID)
	return binary.AppendUvarint(b, uint64(n))
}

// Append appends the whole frame.
func Append(b []byte, f Frame) []byte {
	return append(AppendHead(b, f, len(f.Payload)), f.Payload...)
}

// Extend adds bytes to the payload of the last frame in b, which begins at the index at. Callers
// keep the payload within [MaxFrame].
func Extend(b []byte, at int, more []byte) []byte {
	f, _, err := Next(b[at:])
	if err != nil {
		panic("wire: Extend: " + err.Error())
	}
	old := len(b) - at - len(f.Payload)
	var room [MaxHead]byte
	head := AppendHead(room[:0], f, len(f.Payload)+len(more))
	if grown := len(head) - old; grown > 0 { // its length has more digits now
		b = append(b, room[:grown]...)
		copy(b[at+len(head):], b[at+old:len(b)-grown])
	}
	copy(b[at:], head)
	return append(b, more...)
}

// ErrFrame is what every error of [Next] matches: the bytes are not what the format allows.
var ErrFrame = errors.New("wire: malformed frame")

// Next takes the first frame off a message. The payload points into msg. The error matches
// [ErrFrame] and says what is wrong: nothing of the message can be used from there on.
func Next(msg []byte) (f Frame, rest []byte, err error) {
	if len(msg) == 0 {
		return f, nil, fmt.Errorf("%w: empty", ErrFrame)
	}
	first := msg[0]
	f.Kind = Kind(first & kindMask)
	f.Own = first&ownBit != 0
	f.Form = Form(first >> formBits & 3)
	f.Long = first&longBit != 0
	if f.Kind == 0 {
		return f, nil, fmt.Errorf("%w: unknown kind 0", ErrFrame)
	}
	var n uint64
	if f.ID, msg, err = Uvarint(msg[1:]); err != nil {
		return f, nil, fmt.Errorf("%w: %s frame: id: %w", ErrFrame, f.Kind, err)
	}
	if n, msg, err = Uvarint(msg); err != nil {
		return f, nil, fmt.Errorf("%w: %s frame: length: %w", ErrFrame, f.Kind, err)
	}
	if err := f.check(n, uint64(len(msg))); err != nil {
		return f, nil, fmt.Errorf("%w: %s frame: %w", ErrFrame, f.Kind, err)
	}
	f.Payload = msg[:n:n]
	return f, msg[n:], nil
}

// check holds the head of a frame against the rules that need no knowledge of calls.
func (f *Frame) check(n, have uint64) error {
	switch valued := f.Kind == Request || f.Kind == Result || f.Kind == Item; {
	case n > MaxFrame:
		return fmt.Errorf("%d bytes are more than the %d a frame may have", n, MaxFrame)
	case n > have:
		return fmt.Errorf("%d bytes announced, %d left in the message", n, have)
	case f.ID > MaxID:
		return fmt.Errorf("id %d is above 2^53-1", f.ID)
	case f.Kind.connection() && (f.ID != 0 || f.Own):
		return fmt.Errorf("it belongs to the connection, yet names call %d", f.ID)
	case !f.Kind.connection() && f.ID == 0:
		return errors.New("it belongs to a call, yet its id is 0")
	case f.Form > Pair:
		return fmt.Errorf("unknown form %d", f.Form)
	case !valued && f.Form != JSON:
		return fmt.Errorf("form %s where there is no value", f.Form)
	case !valued && f.Long:
		return errors.New("marked long where there is no value")
	case (f.Kind == Request || f.Kind == Cancel) && !f.Own,
		(f.Kind == Result || f.Kind == Error) && f.Own:
		return errors.New("it came from the wrong side of the call")
	}
	return nil
}

// Uvarint takes an unsigned varint (the base-128 form of Protocol Buffers, in its shortest
// encoding) off b.
func Uvarint(b []byte) (v uint64, rest []byte, err error) {
	if len(b) > 0 && b[0] < 0x80 { // one byte: nearly always
		return uint64(b[0]), b[1:], nil
	}
	v, n := binary.Uvarint(b)
	switch {
	case n == 0:
		return 0, nil, errors.New("number cut short")
	case n < 0:
		return 0, nil, errors.New("number above 64 bits")
	case b[n-1] == 0:
		return 0, nil, errors.New("number not in its shortest form")
	}
	return v, b[n:], nil
}
