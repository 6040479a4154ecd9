package ws

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// Accept takes over an HTTP request that asks for a WebSocket (RFC 6455, 4.2). On an error it
// has answered the request already. The HTTP handler may return, and should: that frees the
// server's buffers.
func Accept(w http.ResponseWriter, r *http.Request, options *Options) (Conn, error) {
	o := options.orDefault()
	if refused := checkRequest(r, o.Origins); refused != nil {
		for name, value := range refused.header {
			w.Header().Set(name, value)
		}
		http.Error(w, refused.text, refused.status)
		return nil, fmt.Errorf("ws: %s", refused.text)
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, http.StatusText(http.StatusNotImplemented), http.StatusNotImplemented)
		return nil, fmt.Errorf("ws: this HTTP server does not hand its connections over: %w", err)
	}
	protocol := ""
	if slices.Contains(slices.Collect(tokens(r.Header, "Sec-WebSocket-Protocol")), Subprotocol) {
		protocol = Subprotocol
	}
	// What the reader has of the connection already may be a frame.
	early, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err == nil {
		err = answer(rw.Writer, w.Header(), r.Header.Get("Sec-WebSocket-Key"), protocol)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("ws: cannot answer the handshake: %w", err)
	}
	return newConn(c, nil, early, false, protocol, o.MaxMessage), nil
}

// answer writes the server's handshake. h is what the HTTP handler has set, cookies say.
func answer(w *bufio.Writer, h http.Header, key, protocol string) error {
	h.Set("Upgrade", "websocket")
	h.Set("Connection", "Upgrade")
	h.Set("Sec-WebSocket-Accept", acceptKey(strings.TrimSpace(key)))
	if protocol != "" {
		h.Set("Sec-WebSocket-Protocol", protocol)
	}
	_, err := w.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	if err == nil {
		err = h.Write(w)
	}
	if err == nil {
		_, err = w.WriteString("\r\n")
	}
	if err == nil {
		err = w.Flush()
	}
	return err
}

// refusal is the answer to a request that is not taken.
type refusal struct {
	status int
	text   string
	header map[string]string
}

// checkRequest says what is wrong with a client's handshake (RFC 6455, 4.2.1), or nil.
func checkRequest(r *http.Request, origins []string) *refusal {
	upgrade := map[string]string{"Upgrade": "websocket", "Connection": "Upgrade"}
	keys := r.Header.Values("Sec-WebSocket-Key")
	switch {
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return &refusal{http.StatusUpgradeRequired, "a WebSocket begins with a request of HTTP/1.1, not " + r.Proto, upgrade}
	case !hasToken(r.Header, "Connection", "Upgrade") || !hasToken(r.Header, "Upgrade", "websocket"):
		return &refusal{http.StatusUpgradeRequired, "this address speaks WebSocket: the request has no Upgrade: websocket with Connection: Upgrade", upgrade}
	case r.Method != http.MethodGet:
		return &refusal{http.StatusMethodNotAllowed, "a WebSocket begins with GET, not " + r.Method, map[string]string{"Allow": http.MethodGet}}
	case r.Header.Get("Sec-WebSocket-Version") != version:
		return &refusal{http.StatusUpgradeRequired, "WebSocket version " + version + " is spoken here", map[string]string{"Sec-WebSocket-Version": version}}
	case len(keys) != 1:
		return &refusal{http.StatusBadRequest, fmt.Sprintf("%d headers Sec-WebSocket-Key; there must be one", len(keys)), nil}
	}
	if key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0])); err != nil || len(key) != 16 {
		return &refusal{http.StatusBadRequest, "the Sec-WebSocket-Key must be 16 bytes in base64", nil}
	}
	if err := checkOrigin(r, origins); err != nil {
		return &refusal{http.StatusForbidden, err.Error(), nil}
	}
	return nil
}

// checkOrigin keeps pages of other sites out (RFC 6455, 10.2).
func checkOrigin(r *http.Request, allowed []string) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil // no browser
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return errors.New("the Origin names no host")
	}
	if strings.EqualFold(u.Host, r.Host) {
		return nil
	}
	for _, pattern := range allowed {
		host := u.Host
		if strings.Contains(pattern, "://") {
			host = u.Scheme + "://" + u.Host
		}
		ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(host))
		if err != nil {
			return errors.New("the server's list of origins cannot be read")
		}
		if ok {
			return nil
		}
	}
	return fmt.Errorf("pages of %q may not connect to %q", u.Host, r.Host)
}
