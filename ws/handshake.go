package ws

import (
	"crypto/sha1" //nolint:gosec // RFC 6455, 4.2.2 asks for it, and nothing secret depends on it
	"encoding/base64"
	"net/http"
	"strings"
)

const version = "13" // of the protocol, in Sec-WebSocket-Version

// acceptKey is the answer to a client's key (RFC 6455, 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see the import
	return base64.StdEncoding.EncodeToString(sum[:])
}

// hasToken tells whether a header that is a list has the token, in any case of letters.
func hasToken(h http.Header, name, token string) bool {
	for t := range tokens(h, name) {
		if strings.EqualFold(t, token) {
			return true
		}
	}
	return false
}

// tokens are the elements of a header that is a list, on one line or several.
func tokens(h http.Header, name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, line := range h.Values(name) {
			for t := range strings.SplitSeq(line, ",") {
				if t = strings.Trim(t, " \t"); t != "" && !yield(t) {
					return
				}
			}
		}
	}
}
