package jsonrpc

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/rpc"
)

var update = flag.Bool("update", false, "write the answers in ../spec/vectors/jsonrpc.json anew")

const vectorsFile = "../spec/vectors/jsonrpc.json"

// vectors are conversations of a foreign side with a peer that serves testMux. After each message
// stand all that come because of it, in order; the members of an array may come in any order.
type vectors struct {
	About         string         `json:"about"`
	Serves        []string       `json:"serves"`
	Conversations []conversation `json:"conversations"`
}

type conversation struct {
	Name  string `json:"name"`
	Steps []step `json:"steps"`
	Ends  string `json:"ends,omitempty"` // why the peer cuts the connection; "": it does not
}

type step struct {
	Send string   `json:"send"`
	Wait int      `json:"wait_ms,omitempty"` // after it
	Get  []string `json:"get"`
}

func TestVectors(t *testing.T) {
	text, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Conversations) < 40 {
		t.Fatalf("%d conversations", len(v.Conversations))
	}
	for i := range v.Conversations {
		x := &v.Conversations[i]
		t.Run(x.Name, func(t *testing.T) { converse(t, x) })
	}
	if *update {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorsFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// converse holds one conversation; with -update it notes what comes.
func converse(t *testing.T, x *conversation) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, testMux(), rpc.Options{})
		var mu sync.Mutex
		var came []string
		go func() {
			for {
				_, p, err := c.conn.ReadAny()
				if err != nil {
					return
				}
				mu.Lock()
				came = append(came, string(p))
				mu.Unlock()
			}
		}()
		for i := range x.Steps {
			s := &x.Steps[i]
			c.send(s.Send)
			time.Sleep(time.Duration(s.Wait) * time.Millisecond)
			synctest.Wait()
			mu.Lock()
			got := came
			came = nil
			mu.Unlock()
			if *update {
				s.Get = append([]string{}, got...)
			}
			if !reflect.DeepEqual(sorted(t, got), sorted(t, s.Get)) {
				t.Errorf("after %s\ngot\n  %s\nwant\n  %s", s.Send, strings.Join(got, "\n  "), strings.Join(s.Get, "\n  "))
			}
		}
		why := ""
		if err := c.peer.Err(); err != nil {
			why = err.Error()
		}
		if (x.Ends == "") != (why == "") || !strings.Contains(why, x.Ends) {
			t.Errorf("the connection ended with %q, want %q", why, x.Ends)
		}
	})
}

// words are what an error says to people. The library that reads JSON has several for the same.
var words = regexp.MustCompile(`"(message|reason)":"(?:[^"\\]|\\.)+"`)

// sorted makes a set of each array among messages.
func sorted(t *testing.T, list []string) []any {
	t.Helper()
	all := []any{}
	for _, text := range list {
		text = words.ReplaceAllString(text, `"$1":""`)
		if text[0] != '[' {
			all = append(all, text)
			continue
		}
		var members []json.RawMessage
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		set := map[string]int{}
		for _, m := range members {
			set[string(m)]++
		}
		all = append(all, set)
	}
	return all
}
