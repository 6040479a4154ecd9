package object

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// HashSize is the length of a Hash in bytes.
const HashSize = sha256.Size

// Hash names an object: it is the SHA-256 (FIPS 180-4) of the object's bytes,
// whatever the object's kind. Its text and JSON form is 64 lower-case
// hexadecimal digits.
type Hash [HashSize]byte

// Sum returns the hash of data.
func Sum(data []byte) Hash { return sha256.Sum256(data) }

// ParseHash reads the text form. Only the form that String writes is
// accepted: upper-case digits and other lengths are refused, so that a hash
// has one spelling.
func ParseHash(text string) (Hash, error) {
	var h Hash
	err := h.UnmarshalText([]byte(text))
	return h, err
}

// String returns the text form: 64 lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether h is the zero value, which names no object.
func (h Hash) IsZero() bool { return h == Hash{} }

// Validate refuses the zero hash, the sign of a member that was left out.
func (h Hash) Validate() error {
	if h.IsZero() {
		return errors.New("object: the hash is missing or zero")
	}
	return nil
}

// AppendText appends the text form to b.
func (h Hash) AppendText(b []byte) ([]byte, error) { return hex.AppendEncode(b, h[:]), nil }

// MarshalText returns the text form.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// JSONSchema describes the JSON form, for those who list methods (package rpc).
func (Hash) JSONSchema() jsontext.Value {
	return jsontext.Value(`{"type":"string","pattern":"^[0-9a-f]{64}$"}`)
}

// UnmarshalText reads the text form, as ParseHash does. On error h is
// unchanged.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*HashSize {
		return fmt.Errorf("object: a hash has %d hexadecimal digits, not %d bytes", 2*HashSize, len(text))
	}
	var out Hash
	for i := range out {
		high, low := hexDigit(text[2*i]), hexDigit(text[2*i+1])
		if high < 0 || low < 0 {
			return fmt.Errorf("object: a hash has only the digits 0-9 and a-f (lower case), not %q", text)
		}
		out[i] = byte(high<<4 | low)
	}
	*h = out
	return nil
}

// hexDigit returns the value of a lower-case hexadecimal digit, or -1.
func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
