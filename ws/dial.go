package ws

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"time"
)

// Dial connects to a WebSocket server at a URL with the scheme ws, wss, http or https. ctx
// bounds the handshake and has no effect later.
func Dial(ctx context.Context, rawURL string, options *Options) (Conn, error) {
	o := options.orDefault()
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("ws: %w", err)
	}
	switch {
	case u.Scheme != "ws" && u.Scheme != "wss" && u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("ws: %q: the URL must begin with ws:// or wss://", rawURL)
	case u.Host == "":
		return nil, fmt.Errorf("ws: %q: the URL names no host", rawURL)
	}
	httpScheme(u)

	var c net.Conn // the last that the transport used
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { c = i.Conn }}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ws: %w", err)
	}
	if o.Header != nil {
		r.Header = o.Header.Clone()
	}
	key := newKey()
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Sec-WebSocket-Version", version)
	r.Header.Set("Sec-WebSocket-Key", key)
	r.Header.Set("Sec-WebSocket-Protocol", Subprotocol)
	r.Header.Del("Sec-WebSocket-Extensions")

	transport := ownTransport(o.Transport)
	defer transport.CloseIdleConnections() // nobody else has this one; what a failed handshake leaves is idle
	client := &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("redirected 10 times")
		}
		httpScheme(r.URL)
		return nil
	}}
	a, err := client.Do(r)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op
		}
		return nil, fmt.Errorf("ws: cannot connect to %s: %w", rawURL, err)
	}
	if a.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(io.LimitReader(a.Body, 200))
		a.Body.Close()
		return nil, fmt.Errorf("ws: %s does not speak WebSocket there: it answered %s %s", rawURL, a.Status, strings.TrimSpace(string(text)))
	}
	if err := checkAnswer(a.Header, key); err != nil {
		a.Body.Close()
		return nil, fmt.Errorf("ws: %s does not speak WebSocket as it should: %w", rawURL, err)
	}
	early, rest, err := takeOver(c, a.Body)
	if err != nil {
		a.Body.Close()
		return nil, fmt.Errorf("ws: cannot connect to %s: %w", rawURL, err)
	}
	return newConn(c, rest, early, true, a.Header.Get("Sec-WebSocket-Protocol"), o.MaxMessage), nil
}

// httpScheme gives a URL the scheme by which package http knows it.
func httpScheme(u *url.URL) {
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
}

// newKey is the client's part of the handshake (RFC 6455, 4.1).
func newKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.StdEncoding.EncodeToString(b[:])
}

// ownTransport returns a transport with the settings of t, for one request.
func ownTransport(t *http.Transport) *http.Transport {
	if t == nil {
		t, _ = http.DefaultTransport.(*http.Transport)
	}
	if t == nil { // somebody replaced the default
		t = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	t = t.Clone()
	t.ForceAttemptHTTP2 = false // the upgrade exists in HTTP/1.1 only
	return t
}

// checkAnswer says what is wrong with a server's handshake (RFC 6455, 4.1).
func checkAnswer(h http.Header, key string) error {
	switch protocol, extensions := h.Values("Sec-WebSocket-Protocol"), h.Values("Sec-WebSocket-Extensions"); {
	case !hasToken(h, "Upgrade", "websocket"):
		return fmt.Errorf("its answer has Upgrade: %q", h.Get("Upgrade"))
	case !hasToken(h, "Connection", "Upgrade"):
		return fmt.Errorf("its answer has Connection: %q", h.Get("Connection"))
	case strings.TrimSpace(h.Get("Sec-WebSocket-Accept")) != acceptKey(key):
		return fmt.Errorf("its Sec-WebSocket-Accept %q does not answer our key", h.Get("Sec-WebSocket-Accept"))
	case len(protocol) > 1 || len(protocol) == 1 && protocol[0] != Subprotocol:
		return fmt.Errorf("it chose the subprotocol %q, which was not offered", protocol)
	case len(extensions) > 0:
		return fmt.Errorf("it chose the extensions %q, and none was offered", extensions)
	}
	return nil
}

// takeOver takes the connection from the transport: what has come behind the handshake and
// lies in the transport's buffer, and a reader of the rest, nil if that is c itself.
func takeOver(c net.Conn, body io.Reader) (early []byte, rest io.Reader, err error) {
	if !isSocket(c) {
		return nil, body, nil
	}
	// With a deadline that is over, only what is buffered can be read.
	err = c.SetReadDeadline(time.Unix(1, 0))
	for b := make([]byte, 4<<10); err == nil; {
		var n int
		n, err = body.Read(b)
		early = append(early, b[:n]...)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, nil, err
	}
	return early, nil, c.SetReadDeadline(time.Time{})
}
