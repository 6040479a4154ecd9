package object

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// Objects of kind file and tree are JSON in the canonical form of RFC 8785:
// no spaces, members in the order of their names, one spelling for each
// string and number. The append functions write that form; scanner reads
// exactly what they write and nothing else, so that what decodes is what
// would be encoded, and its hash with it.

// timeLayout is RFC 3339 in UTC with always nine digits of fraction, so that
// a moment has one spelling.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

// timeFits reports whether t has a year of one to four digits and is set.
func timeFits(t time.Time) bool {
	year := t.UTC().Year()
	return !t.IsZero() && 1 <= year && year <= 9999
}

// appendTime appends t as a JSON string.
func appendTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, timeLayout)
	return append(b, '"')
}

// appendHash appends h as a JSON string.
func appendHash(b []byte, h Hash) []byte {
	b = append(b, '"')
	b = hex.AppendEncode(b, h[:])
	return append(b, '"')
}

// appendLink appends l as a JSON object.
func appendLink(b []byte, l Link) []byte {
	b = append(b, `{"hash":`...)
	b = appendHash(b, l.Hash)
	b = append(b, `,"kind":"`...)
	b = append(b, l.Kind...)
	b = append(b, `","size":`...)
	b = strconv.AppendInt(b, l.Size, 10)
	return append(b, '}')
}

// appendString appends s, which must be valid UTF-8, as a JSON string in the
// spelling of RFC 8785, section 3.2.2.2.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\t':
			b = append(b, `\t`...)
		case '\n':
			b = append(b, `\n`...)
		case '\f':
			b = append(b, `\f`...)
		case '\r':
			b = append(b, `\r`...)
		default:
			if c < 0x20 {
				b = append(b, `\u00`...)
				b = hex.AppendEncode(b, []byte{c})
			} else {
				b = append(b, c)
			}
		}
	}
	return append(b, '"')
}

// appendBytes appends a member that holds s: under name as a string if s is
// valid UTF-8, else under "raw"+name as lower-case hexadecimal digits.
func appendBytes(b []byte, name, s string) []byte {
	b = append(b, '"')
	if utf8.ValidString(s) {
		b = append(b, name...)
		b = append(b, `":`...)
		return appendString(b, s)
	}
	b = append(b, "raw"...)
	b = append(b, name...)
	b = append(b, `":"`...)
	b = hex.AppendEncode(b, []byte(s))
	return append(b, '"')
}

// scanner reads canonical JSON of a form known beforehand. After the first
// error it reads nothing more and returns zero values; err keeps the error.
// It takes no memory beyond what it returns, and never nests.
type scanner struct {
	data []byte
	at   int
	err  error
}

// fail keeps the first error, with the offset it was found at.
func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("at byte %d: %s", s.at, fmt.Sprintf(format, args...))
	}
}

// next reports whether the input goes on with text, and reads it if so.
func (s *scanner) next(text string) bool {
	if s.err != nil || len(s.data)-s.at < len(text) || string(s.data[s.at:s.at+len(text)]) != text {
		return false
	}
	s.at += len(text)
	return true
}

// expect reads text.
func (s *scanner) expect(text string) {
	if !s.next(text) {
		s.fail("expected %s in canonical form", text)
	}
}

// end checks that nothing follows.
func (s *scanner) end() error {
	if s.at != len(s.data) {
		s.fail("%d bytes follow the end", len(s.data)-s.at)
	}
	return s.err
}

// integer reads a number from 0 to limit.
func (s *scanner) integer(limit int64) int64 {
	start := s.at
	for s.err == nil && s.at < len(s.data) && '0' <= s.data[s.at] && s.data[s.at] <= '9' {
		s.at++
	}
	digits := string(s.data[start:s.at])
	if len(digits) > 1 && digits[0] == '0' {
		s.fail("number %.20s begins with 0", digits)
		return 0
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > limit {
		s.fail("expected a number from 0 to %d", limit)
		return 0
	}
	return n
}

// hash reads a string that holds a hash, which must not be zero.
func (s *scanner) hash() Hash {
	s.expect(`"`)
	var h Hash
	if s.err != nil {
		return h
	}
	text := s.data[s.at:min(s.at+2*HashSize, len(s.data))]
	if h.UnmarshalText(text) != nil || h.IsZero() {
		s.fail("expected a hash, %d lower-case hexadecimal digits that are not all 0", 2*HashSize)
		return Hash{}
	}
	s.at += 2 * HashSize
	s.expect(`"`)
	return h
}

// link reads what appendLink writes.
func (s *scanner) link() Link {
	var l Link
	s.expect(`{"hash":`)
	l.Hash = s.hash()
	s.expect(`,"kind":"`)
	l.Kind = s.kind(KindBlob, KindFile, KindTree)
	s.expect(`","size":`)
	l.Size = s.integer(MaxLength)
	s.expect(`}`)
	return l
}

// kind reads one of kinds.
func (s *scanner) kind(kinds ...Kind) Kind {
	for _, k := range kinds {
		// The quote keeps a kind from being read as a longer one's beginning.
		if s.next(string(k) + `"`) {
			s.at--
			return k
		}
	}
	s.fail("expected a kind, one of %q", kinds)
	return ""
}

// time reads what appendTime writes.
func (s *scanner) time() time.Time {
	text := s.text(len(timeLayout))
	t, err := time.Parse(timeLayout, text)
	if s.err == nil && (err != nil || !timeFits(t) || t.Format(timeLayout) != text) {
		s.fail("expected a time in the form %s", timeLayout)
	}
	return t
}

// bytes reads what appendBytes writes, of at most limit bytes.
func (s *scanner) bytes(name string, limit int) string {
	if s.next(`"` + name + `":`) {
		return s.text(limit)
	}
	s.expect(`"raw` + name + `":"`)
	start := s.at
	for s.err == nil && s.at < len(s.data) && hexDigit(s.data[s.at]) >= 0 {
		s.at++
	}
	digits := s.data[start:s.at]
	s.expect(`"`)
	if s.err != nil {
		return ""
	}
	raw := make([]byte, len(digits)/2)
	if _, err := hex.Decode(raw, digits); err != nil || len(raw) > limit {
		s.fail("expected at most %d bytes in hexadecimal", limit)
		return ""
	}
	if utf8.Valid(raw) {
		s.fail("valid UTF-8 under %q", "raw"+name)
		return ""
	}
	return string(raw)
}

// text reads a string of at most limit bytes after unescaping.
func (s *scanner) text(limit int) string {
	s.expect(`"`)
	start := s.at
	var b []byte // the text so far, once there was an escape
	for escaped := false; s.err == nil; {
		if s.at >= len(s.data) {
			s.fail("string without end")
			break
		}
		size := len(b)
		if !escaped {
			size = s.at - start
		}
		c := s.data[s.at]
		if c == '"' {
			text := s.data[start:s.at]
			if escaped {
				text = b
			}
			if !utf8.Valid(text) {
				s.fail("string is not valid UTF-8")
				break
			}
			s.at++
			return string(text)
		}
		if size >= limit {
			s.fail("string of more than %d bytes", limit)
			break
		}
		switch {
		case c == '\\':
			if !escaped {
				b, escaped = append(b, s.data[start:s.at]...), true
			}
			c, n, err := unescape(s.data[s.at:])
			if err != nil {
				s.fail("%v", err)
				break
			}
			b = append(b, c)
			s.at += n
		case c < 0x20:
			s.fail("control character in a string")
		default:
			if escaped {
				b = append(b, c)
			}
			s.at++
		}
	}
	return ""
}

var errEscape = errors.New("escape that is not the canonical one")

// unescape returns the byte that the escape at the beginning of data stands
// for, and the escape's length. It takes only the escapes of appendString.
func unescape(data []byte) (c byte, n int, err error) {
	if len(data) < 2 {
		return 0, 0, errEscape
	}
	switch data[1] {
	case '"', '\\':
		return data[1], 2, nil
	case 'b':
		return '\b', 2, nil
	case 't':
		return '\t', 2, nil
	case 'n':
		return '\n', 2, nil
	case 'f':
		return '\f', 2, nil
	case 'r':
		return '\r', 2, nil
	}
	if len(data) < 6 || string(data[:4]) != `\u00` {
		return 0, 0, errEscape
	}
	high, low := hexDigit(data[4]), hexDigit(data[5])
	if high < 0 || low < 0 {
		return 0, 0, errEscape
	}
	c = byte(high<<4 | low)
	switch {
	case c >= 0x20, c == '\b', c == '\t', c == '\n', c == '\f', c == '\r':
		return 0, 0, errEscape
	}
	return c, 6, nil
}
