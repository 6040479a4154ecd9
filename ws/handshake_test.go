package ws_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chumsync/chum/ws"
)

// RFC 6455, 4.1 and 4.2: which requests a server takes.
func TestServersHandshake(t *testing.T) {
	type change struct{ old, new string }
	for _, tt := range []struct {
		section, name string
		changes       []change
		status        int
		header        string // "Name: value" that the answer must have, or "Name:" that it must not
	}{
		{"4.2.2", "as it should be", nil, 101, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
		{"4.2.1", "other cases of letters", []change{{"websocket\r", "WebSocket\r"}, {": Upgrade", ": uPGRADE"}}, 101, "Upgrade: websocket"},
		{"4.2.1", "tokens in lists", []change{{"websocket\r", "h2c,  websocket \r"}, {": Upgrade", ": keep-alive, Upgrade"}}, 101, "Connection: Upgrade"},
		{"4.2.1", "tokens on two lines", []change{{": Upgrade", ": keep-alive\r\nConnection: Upgrade"}}, 101, ""},
		{"4.2.1", "tokens that only begin alike", []change{{": Upgrade", ": Upgraded"}}, 426, "Upgrade: websocket"},
		{"4.2.1", "no Upgrade", []change{{"Upgrade: websocket\r\n", ""}}, 426, "Upgrade: websocket"},
		{"4.2.1", "another Upgrade", []change{{"websocket\r", "h2c\r"}}, 426, "Connection: Upgrade"},
		{"4.2.1", "no Connection", []change{{"Connection: Upgrade\r\n", ""}}, 426, "Upgrade: websocket"},
		{"4.2.1", "POST", []change{{"GET", "POST"}}, 405, "Allow: GET"},
		{"4.2.1", "HEAD", []change{{"GET", "HEAD"}}, 405, "Allow: GET"},
		{"4.2.1", "HTTP/1.0", []change{{"HTTP/1.1", "HTTP/1.0"}}, 426, "Upgrade: websocket"},
		{"4.2.1", "no Host", []change{{"Host: x\r\n", ""}}, 400, ""},
		{"4.4", "version 8", []change{{"Version: 13", "Version: 8"}}, 426, "Sec-WebSocket-Version: 13"},
		{"4.4", "no version", []change{{"Sec-WebSocket-Version: 13\r\n", ""}}, 426, "Sec-WebSocket-Version: 13"},
		{"4.2.1", "no key", []change{{"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""}}, 400, "Sec-WebSocket-Accept:"},
		{"4.2.1", "an empty key", []change{{"dGhlIHNhbXBsZSBub25jZQ==", ""}}, 400, "Sec-WebSocket-Accept:"},
		{"4.2.1", "a short key", []change{{"dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="}}, 400, ""},
		{"4.2.1", "a key that is not base64", []change{{"dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ!=="}}, 400, ""},
		{"11.3.1", "two keys", []change{{"\r\n\r\n", "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"}}, 400, ""},
		{"4.2.2", "no subprotocol", nil, 101, "Sec-WebSocket-Protocol:"},
		{"4.2.2", "our subprotocol", []change{{"\r\n\r\n", "\r\nSec-WebSocket-Protocol: chum.1\r\n\r\n"}}, 101, "Sec-WebSocket-Protocol: chum.1"},
		{"4.2.2", "our subprotocol among others", []change{{"\r\n\r\n", "\r\nSec-WebSocket-Protocol: a, chum.1\r\nSec-WebSocket-Protocol: b\r\n\r\n"}}, 101, "Sec-WebSocket-Protocol: chum.1"},
		{"4.2.2", "another subprotocol", []change{{"\r\n\r\n", "\r\nSec-WebSocket-Protocol: chum.2\r\n\r\n"}}, 101, "Sec-WebSocket-Protocol:"},
		{"9.1", "deflate", []change{{"\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"}}, 101, "Sec-WebSocket-Extensions:"},
		{"9.1", "deflate with odd parameters", []change{{"\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99; =;;, ,\"x\r\n\r\n"}}, 101, "Sec-WebSocket-Extensions:"},
		{"10.2", "a page of another site", []change{{"\r\n\r\n", "\r\nOrigin: https://evil.example\r\n\r\n"}}, 403, ""},
	} {
		t.Run(tt.section+"/"+tt.name, func(t *testing.T) {
			var connErr error
			done := make(chan struct{})
			hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(done)
				w.Header().Set("Set-Cookie", "kept=1")
				c, err := ws.Accept(w, r, nil)
				if connErr = err; err == nil {
					c.Close()
				}
			}))
			defer hs.Close()
			n, err := net.Dial("tcp", hs.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			request := handshake
			for _, c := range tt.changes {
				if !strings.Contains(request, c.old) {
					t.Fatalf("no %q to change", c.old)
				}
				request = strings.Replace(request, c.old, c.new, 1)
			}
			io.WriteString(n, request)
			answer, err := http.ReadResponse(bufio.NewReader(n), nil)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != tt.status {
				t.Errorf("status %s, want %d", answer.Status, tt.status)
			}
			if name, value, _ := strings.Cut(tt.header, ":"); name != "" && answer.Header.Get(name) != strings.TrimSpace(value) {
				t.Errorf("%s: %q, want %q", name, answer.Header.Get(name), strings.TrimSpace(value))
			}
			if tt.name == "no Host" {
				return // refused before it was ours
			}
			<-done
			if (connErr == nil) != (tt.status == 101) {
				t.Errorf("Accept: %v", connErr)
			}
			if answer.Header.Get("Set-Cookie") != "kept=1" {
				t.Error("a header that the handler has set is lost")
			}
		})
	}
}

// RFC 6455, 4.1: which answers a client takes.
func TestClientsHandshake(t *testing.T) {
	for _, tt := range []struct {
		section, name string
		answer        string // behind the status line's "HTTP/1.1 "; ACCEPT is what the key asks for
		text          string // of the error; "" means there is none
	}{
		{"4.1", "as it should be", "101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n", ""},
		{"4.1", "other cases of letters, in lists", "101 x\r\nupgrade: h2c, WebSocket\r\nCONNECTION: keep-alive\r\nConnection: upgrade\r\nsec-websocket-accept:   ACCEPT  \r\n", ""},
		{"4.1", "our subprotocol", "101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Protocol: chum.1\r\n", ""},
		{"4.1", "status 200", "200 OK\r\nContent-Length: 5\r\n\r\nhello", "it answered 200 OK hello"},
		{"4.1", "status 401", "401 Unauthorized\r\nContent-Length: 0\r\n", "it answered 401 Unauthorized"},
		{"4.1", "status 102, then the end", "102 Processing\r\n\r\n", "cannot connect"},
		{"4.1", "no Upgrade", "101 x\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n", "Upgrade"},
		{"4.1", "another Upgrade", "101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n", `Upgrade: "h2c"`},
		{"4.1", "no Connection", "101 x\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ACCEPT\r\n", "Connection"},
		{"4.1", "no key", "101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", "Sec-WebSocket-Accept"},
		{"4.1", "the key of another", "101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", "does not answer our key"},
		{"4.1", "another subprotocol", "101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Protocol: chum.2\r\n", "not offered"},
		{"4.1", "two subprotocols", "101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Protocol: chum.1\r\nSec-WebSocket-Protocol: chum.1\r\n", "not offered"},
		{"4.1, 9.1", "an extension", "101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", "none was offered"},
	} {
		t.Run(tt.section+"/"+tt.name, func(t *testing.T) {
			answer := "HTTP/1.1 " + tt.answer
			if !strings.Contains(answer, "\r\n\r\n") {
				answer += "\r\n"
			}
			url, served := answerOnce(t, answer, nil)
			if tt.name == "status 102, then the end" {
				go func() { (<-served).Close() }()
			}
			c, err := ws.Dial(t.Context(), url, nil)
			switch {
			case err == nil && tt.text != "":
				c.Close()
				t.Error("taken")
			case err != nil && (tt.text == "" || !strings.Contains(err.Error(), tt.text) || !strings.HasPrefix(err.Error(), "ws: ")):
				t.Errorf("%v, want %q in it", err, tt.text)
			case err == nil:
				want := ""
				if strings.Contains(answer, ws.Subprotocol) {
					want = ws.Subprotocol
				}
				if c.Subprotocol() != want {
					t.Errorf("subprotocol %q", c.Subprotocol())
				}
				f := <-served
				c.Close()
				if code, _ := f.gotClose(t); code != 1000 {
					t.Errorf("closed with %d", code)
				}
				f.Close()
			}
		})
	}
}

// What a client sends, byte by byte: RFC 6455, 4.1.
func TestClientsRequest(t *testing.T) {
	got := make(chan *http.Request, 2)
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r
		if r.URL.Path == "/" { // and a redirect to another scheme's name of the same
			w.Header().Set("Location", strings.Replace("ws://"+r.Host, "http", "ws", 1)+"/there?x=1")
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		http.NotFound(w, r)
	}))
	defer hs.Close()
	if c, err := ws.Dial(t.Context(), hs.URL, nil); err == nil {
		c.Close()
		t.Fatal("connected")
	}
	first, second := <-got, <-got
	if second.URL.RequestURI() != "/there?x=1" {
		t.Errorf("redirected to %s", second.URL)
	}
	for name, want := range map[string]string{
		"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "chum.1", "Sec-WebSocket-Extensions": "",
	} {
		for _, r := range []*http.Request{first, second} {
			if v := strings.Join(r.Header.Values(name), "|"); v != want {
				t.Errorf("%s: %q, want %q", name, v, want)
			}
		}
	}
	if key := first.Header.Get("Sec-WebSocket-Key"); len(key) != 24 {
		t.Errorf("Sec-WebSocket-Key: %q", key)
	}
}
