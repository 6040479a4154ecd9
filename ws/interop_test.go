package ws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"github.com/chumsync/chum/ws"
)

// The WebSockets of others, at the other end of ours, in either role.

// A foreigner is a connection by another library.
type foreigner interface {
	read() (text bool, p []byte, err error)
	write(text bool, p []byte) error
	ping() error
	leave(code int, reason string)
	left(err error) int // the code of a Close frame
}

type coderEnd struct{ *coder.Conn }

func (c coderEnd) read() (bool, []byte, error) {
	kind, p, err := c.Read(context.Background())
	return kind == coder.MessageText, p, err
}

func (c coderEnd) write(text bool, p []byte) error {
	kind := coder.MessageBinary
	if text {
		kind = coder.MessageText
	}
	// In fragments, as it writes when one does not know the length.
	w, err := c.Writer(context.Background(), kind)
	if err != nil {
		return err
	}
	for half := len(p) / 2; ; half = len(p) {
		if _, err := w.Write(p[:half]); err != nil {
			return err
		}
		if p = p[half:]; len(p) == 0 {
			return w.Close()
		}
	}
}

func (c coderEnd) ping() error                   { return c.Ping(context.Background()) }
func (c coderEnd) leave(code int, reason string) { c.Close(coder.StatusCode(code), reason) }
func (c coderEnd) left(err error) int            { return int(coder.CloseStatus(err)) }

type gorillaEnd struct{ *gorilla.Conn }

func (c gorillaEnd) read() (bool, []byte, error) {
	kind, p, err := c.ReadMessage()
	return kind == gorilla.TextMessage, p, err
}

func (c gorillaEnd) write(text bool, p []byte) error {
	kind := gorilla.BinaryMessage
	if text {
		kind = gorilla.TextMessage
	}
	w, err := c.NextWriter(kind) // in fragments of its buffer
	if err != nil {
		return err
	}
	if _, err := w.Write(p); err != nil {
		return err
	}
	return w.Close()
}

func (c gorillaEnd) ping() error {
	return c.WriteControl(gorilla.PingMessage, []byte("there?"), time.Now().Add(time.Second))
}

func (c gorillaEnd) leave(code int, reason string) {
	c.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
}

func (c gorillaEnd) left(err error) int {
	if e, ok := errors.AsType[*gorilla.CloseError](err); ok {
		return e.Code
	}
	return 0
}

// libraries connect one of ours with one of theirs.
var libraries = map[string]struct {
	dial   func(url string) (foreigner, error)
	accept func(w http.ResponseWriter, r *http.Request) (foreigner, error)
}{
	"coder": {
		func(url string) (foreigner, error) {
			c, _, err := coder.Dial(context.Background(), url, &coder.DialOptions{CompressionMode: coder.CompressionContextTakeover, Subprotocols: []string{"chum.1"}})
			if err == nil {
				c.SetReadLimit(-1)
			}
			return coderEnd{c}, err
		},
		func(w http.ResponseWriter, r *http.Request) (foreigner, error) {
			c, err := coder.Accept(w, r, &coder.AcceptOptions{CompressionMode: coder.CompressionNoContextTakeover, Subprotocols: []string{"chum.1"}})
			if err == nil {
				c.SetReadLimit(-1)
			}
			return coderEnd{c}, err
		},
	},
	"gorilla": {
		func(url string) (foreigner, error) {
			d := gorilla.Dialer{EnableCompression: true, Subprotocols: []string{"chum.1"}}
			c, _, err := d.Dial(strings.Replace(url, "http", "ws", 1), nil)
			return gorillaEnd{c}, err
		},
		func(w http.ResponseWriter, r *http.Request) (foreigner, error) {
			u := gorilla.Upgrader{EnableCompression: true, Subprotocols: []string{"chum.1"}}
			c, err := u.Upgrade(w, r, nil)
			return gorillaEnd{c}, err
		},
	},
}

func TestOtherLibraries(t *testing.T) {
	for name, library := range libraries {
		for _, weDial := range []bool{true, false} {
			meet := func(t *testing.T) (ws.Conn, foreigner) {
				t.Helper()
				ours, theirs := make(chan ws.Conn, 1), make(chan foreigner, 1)
				hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if weDial {
						if c, err := library.accept(w, r); err == nil {
							theirs <- c
						}
					} else if c, err := ws.Accept(w, r, nil); err == nil {
						ours <- c
					}
				}))
				t.Cleanup(hs.Close)
				if weDial {
					c, err := ws.Dial(t.Context(), hs.URL, nil)
					if err != nil {
						t.Fatal(err)
					}
					ours <- c
				} else {
					c, err := library.dial(hs.URL)
					if err != nil {
						t.Fatal(err)
					}
					theirs <- c
				}
				c, f := <-ours, <-theirs
				t.Cleanup(func() {
					c.Close()
					switch f := f.(type) {
					case coderEnd:
						f.CloseNow()
					case gorillaEnd:
						f.Close()
					}
				})
				return c, f
			}
			t.Run(fmt.Sprintf("%s/we dial %v/messages", name, weDial), func(t *testing.T) {
				c, f := meet(t)
				if c.Subprotocol() != ws.Subprotocol {
					t.Errorf("subprotocol %q", c.Subprotocol())
				}
				sizes := []int{0, 1, 125, 126, 5000, 65535, 65536, 200_000, 1 << 20}
				failed := make(chan error, 1)
				go func() { // it echoes, and pings
					for i := range 2 * len(sizes) {
						text, p, err := f.read()
						if err == nil {
							err = f.write(text, p)
						}
						if err == nil && i == 3 && name == "gorilla" { // coder's waits for a pong that only a read gets
							err = f.ping()
						}
						if err != nil {
							failed <- err
							return
						}
					}
					failed <- nil
				}()
				for _, n := range sizes {
					p, text := payload(n), bytes.Repeat([]byte("ü€𝄞."), n/10)
					if err := c.WriteMessage(p); err != nil {
						t.Fatal(err)
					}
					if isText, got, err := c.ReadAny(); err != nil || isText || !bytes.Equal(got, p) {
						t.Fatalf("%d bytes: %d, text %v, %v", n, len(got), isText, err)
					}
					if err := c.WriteText(text); err != nil {
						t.Fatal(err)
					}
					if isText, got, err := c.ReadAny(); err != nil || !isText || !bytes.Equal(got, text) {
						t.Fatalf("%d bytes of text: %d, text %v, %v", len(text), len(got), isText, err)
					}
				}
				if err := <-failed; err != nil {
					t.Error(err)
				}
			})
			t.Run(fmt.Sprintf("%s/we dial %v/they leave", name, weDial), func(t *testing.T) {
				c, f := meet(t)
				go f.leave(4000, "enough")
				if _, err := c.ReadMessage(); err == nil || !strings.Contains(err.Error(), "4000 enough") {
					t.Error(err)
				}
				if name == "gorilla" { // coder's reads the answer itself
					if _, _, err := f.read(); f.left(err) != 4000 {
						t.Errorf("our answer: %v", err)
					}
				}
			})
			t.Run(fmt.Sprintf("%s/we dial %v/we leave", name, weDial), func(t *testing.T) {
				c, f := meet(t)
				if err := c.WriteMessage([]byte("last")); err != nil {
					t.Fatal(err)
				}
				c.Close()
				if _, p, err := f.read(); err != nil || string(p) != "last" {
					t.Errorf("%q, %v", p, err)
				}
				if _, _, err := f.read(); f.left(err) != 1000 {
					t.Error(err)
				}
				if _, err := c.ReadMessage(); err == nil || err == io.EOF {
					t.Error(err)
				}
			})
		}
	}
}
