package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/chumsync/chum/wire"
)

// op says what a control message does: a message whose first byte is 0, which begins no frame,
// belongs to the session, and op is its second byte.
type op byte

const (
	opOpen    op = 1 // client, the first message of a new session
	opOpened  op = 2 // server's answer; without an id: no session, the connection goes on without
	opResume  op = 3 // client, the first message of a new connection
	opResumed op = 4 // server's answer
	opRefused op = 5 // server's other answer
	opAck     op = 6 // u messages received; then, perhaps, a message of the layer above
	opClose   op = 7 // the orderly end
)

var opNames = [...]string{opOpen: "open", opOpened: "opened", opResume: "resume", opResumed: "resumed", opRefused: "refused", opAck: "ack", opClose: "close"}

func (o op) String() string {
	if int(o) < len(opNames) && opNames[o] != "" {
		return opNames[o]
	}
	return fmt.Sprintf("op %d", byte(o))
}

const (
	version  = 1
	maxCount = wire.MaxID // counts stay exact in JavaScript numbers
	// maxControl is the longest control message that is read, an ack's message aside.
	maxControl = 4 << 10
)

// What the control messages hold. Unknown members are ignored.
type (
	open struct {
		Version int `json:"version"`
	}
	opened struct {
		ID     string `json:"id,omitzero"`
		Secret string `json:"secret,omitzero"`
		Grace  int64  `json:"grace,omitzero"` // seconds
	}
	resume struct {
		ID       string `json:"id"`
		Try      uint64 `json:"try"`
		Received uint64 `json:"received"`
		Proof    string `json:"proof"`
	}
	resumed struct {
		Received uint64 `json:"received"`
		Proof    string `json:"proof"`
	}
	refused struct {
		Reason string `json:"reason"`
	}
)

// isControl tells a message of the session from one of the layer above.
func isControl(p []byte) bool { return len(p) > 0 && p[0] == 0 }

// control makes a control message.
func control(o op, body any) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		panic("session: " + err.Error()) // structs of strings and numbers
	}
	return append([]byte{0, byte(o)}, text...)
}

// parse reads a control message that must be of the kind wanted.
func parse(p []byte, want op, body any) error {
	switch {
	case !isControl(p):
		return fmt.Errorf("session: %w: data came in place of %s", wire.ErrBroken, want)
	case len(p) < 2:
		return fmt.Errorf("session: %w: a control message of one byte", wire.ErrBroken)
	case op(p[1]) != want:
		return fmt.Errorf("session: %w: %s came in place of %s", wire.ErrBroken, op(p[1]), want)
	case len(p) > maxControl:
		return fmt.Errorf("session: %w: %s of %d bytes; %d are allowed", wire.ErrBroken, want, len(p), maxControl)
	}
	if err := json.Unmarshal(p[2:], body); err != nil {
		return fmt.Errorf("session: %w: malformed %s: %w", wire.ErrBroken, want, err)
	}
	return nil
}

// answers tells whether a control message is of the kind given.
func answers(p []byte, o op) bool { return isControl(p) && len(p) > 1 && op(p[1]) == o }

// maxAck is the longest head of an ack.
const maxAck = 2 + binary.MaxVarintLen64

// appendAck appends the head of an ack.
func appendAck(b []byte, received uint64) []byte {
	return binary.AppendUvarint(append(b, 0, byte(opAck)), received)
}

// split takes the ack off a message. What is left may be a message of the layer above; an ack
// alone has none.
func split(p []byte) (received uint64, data []byte, err error) {
	received, data, err = wire.Uvarint(p[2:])
	if err != nil {
		return 0, nil, fmt.Errorf("session: %w: malformed ack: %w", wire.ErrBroken, err)
	}
	return received, data, nil
}

// The proofs show that a side knows the session's secret without saying it. Each holds for one
// try, so that none can be used again; the two differ, so that neither can be sent back.
func proofOf(secret, side, id string, try, received uint64) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte("chum.1 " + side + "\n" + id + "\n" + strconv.FormatUint(try, 10) + "\n" + strconv.FormatUint(received, 10)))
	return hex.EncodeToString(h.Sum(nil))
}

func (r *resume) prove(secret string) string {
	return proofOf(secret, "resume", r.ID, r.Try, r.Received)
}

func (r *resumed) prove(secret, id string, try uint64) string {
	return proofOf(secret, "resumed", id, try, r.Received)
}

func equal(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

// token makes n random bytes, as text.
func token(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails: it crashes the program instead
	return hex.EncodeToString(b)
}
