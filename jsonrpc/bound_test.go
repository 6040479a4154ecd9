package jsonrpc

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

// TestNeverReads sends one thing over and over and reads nothing: the connection is cut, and what
// was held for it is bounded all the time.
func TestNeverReads(t *testing.T) {
	for _, x := range []struct{ name, send string }{
		{"malformed messages", `x`},
		{"invalid requests", `{"id":"` + strings.Repeat("i", 200) + `"}`},
		{"long batches of nothing", "[" + strings.Repeat("1,", 1000) + "1]"},
		{"calls of a method that is not there", `{"jsonrpc":"2.0","id":1,"method":"none"}`},
		{"notifications of a method that is not there", `{"jsonrpc":"2.0","method":"none"}`},
		{"calls that hang", `{"jsonrpc":"2.0","id":1,"method":"hang"}`},
		{"long answers", `{"jsonrpc":"2.0","id":1,"method":"long","params":[100000]}`},
		{"cancels of nothing", `{"jsonrpc":"2.0","method":"rpc.cancel","params":{"id":1}}`},
		{"answers to nothing", `{"jsonrpc":"2.0","id":1,"result":1}`},
		{"sinks", `{"jsonrpc":"2.0","id":1,"method":"deaf"}`},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := connect(t, testMux(), rpc.Options{})
				for range 100_000 {
					if err := c.conn.WriteText([]byte(x.send)); err != nil {
						break
					}
				}
				time.Sleep(time.Minute)
				select {
				case <-c.peer.Done():
				default:
					t.Fatalf("still there: %+v", c.peer.Stats())
				}
				if s := c.peer.Stats(); s.Waiting != 0 || s.In.Open != 0 {
					t.Errorf("left over: %+v", s)
				}
			})
		})
	}
}

// TestNothingIsInVain sends what is no request and reads the answers: each counts in the peer's
// patience, alone or in a batch.
func TestNothingIsInVain(t *testing.T) {
	for _, x := range []struct {
		send  string
		times int
	}{{`x`, 4000}, {"[" + strings.Repeat("1,", 999) + "1]", 4}} {
		synctest.Test(t, func(t *testing.T) {
			c := connect(t, testMux(), rpc.Options{})
			go func() {
				for err := error(nil); err == nil; {
					_, _, err = c.conn.ReadAny()
				}
			}()
			for range x.times {
				if err := c.conn.WriteText([]byte(x.send)); err != nil {
					break
				}
			}
			synctest.Wait()
			if err := c.peer.Err(); err == nil || !strings.Contains(err.Error(), "it floods") {
				t.Errorf("%.10s: after %d messages: %v, %+v", x.send, x.times, err, c.peer.Stats())
			}
		})
	}
}

// TestMessageTooLong answers what is too long, and goes on.
func TestMessageTooLong(t *testing.T) {
	c := connect(t, testMux(), rpc.Options{})
	text := `{"jsonrpc":"2.0","id":1,"method":"echo","params":[%s]}`
	for _, x := range []struct {
		n    int
		want string
	}{
		{wire.MaxMessage, `"result":`},
		{wire.MaxMessage + 1, `"code":-32600`},
		{10 << 20, `"code":-32600`},
	} {
		c.send(fmt.Sprintf(text, strings.Repeat("1", x.n-len(text)+2)))
		if got := c.read(); !strings.Contains(got[:100], x.want) {
			t.Errorf("%d bytes: %.200s", x.n, got)
		}
	}
	c.send(strings.Repeat(" ", 100) + `{"jsonrpc":"2.0","id":1,"method":"nothing"}` + "\n")
	c.want(`{"jsonrpc":"2.0","id":1,"result":null}`)
}

// TestBinaryMessage answers a binary message, and goes on.
func TestBinaryMessage(t *testing.T) {
	c := connect(t, testMux(), rpc.Options{})
	if err := c.conn.WriteMessage([]byte{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if got := c.read(); !strings.Contains(got, "a binary message came") {
		t.Error(got)
	}
	c.ask(`{"jsonrpc":"2.0","id":1,"method":"nothing"}`, `{"jsonrpc":"2.0","id":1,"result":null}`)
}

// TestBatchOfLongAnswers asks for more in a batch than is held for one: the rest is refused, call by
// call, and nothing is left of it.
func TestBatchOfLongAnswers(t *testing.T) {
	c := connect(t, testMux(), rpc.Options{MaxValue: 100_000})
	var batch []string
	for i := range 10 {
		batch = append(batch, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"long","params":[30000]}`, i))
	}
	for range 3 {
		c.send("[" + strings.Join(batch, ",") + "]")
		text := c.read()
		if len(text) > 110_000 {
			t.Errorf("%d bytes of answers", len(text))
		}
		var answers []struct {
			Result string `json:"result"`
			Error  struct {
				Code int `json:"code"`
			} `json:"error"`
		}
		if err := json.Unmarshal([]byte(text), &answers); err != nil {
			t.Fatal(err)
		}
		results, refused := 0, 0
		for _, a := range answers {
			switch {
			case len(a.Result) == 30_000:
				results++
			case a.Error.Code == numbers[rpc.ResourceExhausted]:
				refused++
			}
		}
		if results != 3 || refused != 7 {
			t.Errorf("%d results, %d refused", results, refused)
		}
	}
}

// TestCalledBack serves a client by asking the client: its answers may be of any kind.
func TestCalledBack(t *testing.T) {
	type outcome struct {
		Value    rpc.Value    `json:"-"`
		Text     string       `json:"text"`
		Code     rpc.Code     `json:"code"`
		Executed rpc.Executed `json:"executed"`
		Data     string       `json:"data"`
	}
	m := testMux()
	m.Func("back", func(ctx context.Context) outcome {
		var v rpc.Value
		err := rpc.PeerFrom(ctx).Send(ctx, "ask", "x", []byte("\x00\xff")).Await(&v)
		o := outcome{Text: string(v.JSON)}
		if e, ok := err.(*rpc.Error); ok {
			o = outcome{Text: e.Message, Code: e.Code, Executed: e.Executed, Data: string(e.Data)}
		}
		return o
	})
	c := connect(t, m, rpc.Options{})
	for i, x := range []struct{ answer, want string }{
		{`"result":{"a":1}`, `{"text":"{\"a\":1}","code":"","executed":"","data":""}`},
		{`"result":null,"error":null`, `{"text":"null","code":"","executed":"","data":""}`},
		{`"error":{"code":-32601,"message":"Method not found"}`, `{"text":"Method not found","code":"unimplemented","executed":"no","data":"{\"code\":-32601}"}`},
		{`"error":{"code":-32000,"message":"busy","data":[1]}`, `{"text":"busy","code":"unknown","executed":"yes","data":"{\"code\":-32000,\"data\":[1]}"}`},
		{`"error":{"code":-32003,"message":"no","data":{"code":"not_found","data":5}}`, `{"text":"no","code":"not_found","executed":"yes","data":"5"}`},
		{`"error":{"code":-32003,"message":"no","data":{"code":"aborted"}}`, `{"text":"no","code":"unknown","executed":"yes","data":"{\"code\":-32003,\"data\":{\"code\":\"aborted\"}}"}`},
		{`"error":7`, `could not be read`},
		{`"error":{"code":1.5,"message":"x"}`, `could not be read`},
		{`"error":{"code":1,"message":"` + strings.Repeat("x", 5000) + `"}`, `xxx...`},
	} {
		c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"back"}`, i))
		id := fmt.Sprintf(`"chum:%d"`, i+1)
		c.want(`{"jsonrpc":"2.0","id":` + id + `,"method":"ask","params":["x","AP8="]}`)
		c.send(`{"jsonrpc":"2.0","id":` + id + `,` + x.answer + `}`)
		if got := c.read(); !strings.Contains(got, x.want) || !strings.HasPrefix(got, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{`, i)) {
			t.Errorf("%s: got %s", x.answer, got)
		}
	}
	if s := c.peer.Stats(); s.Strikes != 0 || s.Out.Open != 0 {
		t.Errorf("%+v", s)
	}
}

// TestDetect lets the first message decide.
func TestDetect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, x := range []struct {
			name  string
			begin func(conn *textEnd)
			check func(conn *textEnd, peer *rpc.Peer)
		}{
			{"text", func(conn *textEnd) {
				_ = conn.WriteText([]byte(`{"jsonrpc":"2.0","id":1,"method":"get_data"}`))
			}, func(conn *textEnd, peer *rpc.Peer) {
				text, p, err := conn.ReadAny()
				if !text || err != nil || string(p) != `{"jsonrpc":"2.0","id":1,"result":["hello",5]}` {
					t.Errorf("%v %s %v", text, p, err)
				}
				if peer.Agent() != "json-rpc" {
					t.Errorf("agent %q", peer.Agent())
				}
			}},
			{"binary", func(*textEnd) {}, func(conn *textEnd, peer *rpc.Peer) {
				other := rpc.NewPeer(conn, nil, nil)
				var n int
				if err := other.Send(t.Context(), "subtract", 5, 3).Await(&n); err != nil || n != 2 {
					t.Error(n, err)
				}
				other.Close()
				<-peer.Done()
				if peer.Err() != nil || peer.Agent() != "chum-go" {
					t.Error(peer.Err(), peer.Agent())
				}
			}},
			{"nothing", func(*textEnd) {}, func(_ *textEnd, peer *rpc.Peer) {
				time.Sleep(time.Minute)
				if peer.Err() == nil {
					t.Error("the peer waits for ever")
				}
			}},
			{"an end", func(conn *textEnd) { conn.Close() }, func(_ *textEnd, peer *rpc.Peer) {
				if <-peer.Done(); peer.Err() == nil {
					t.Error("no error")
				}
			}},
			{"closed here", func(*textEnd) {}, func(_ *textEnd, peer *rpc.Peer) {
				peer.Close()
				if peer.Err() != nil {
					t.Error(peer.Err())
				}
			}},
		} {
			m := testMux()
			ours, theirs := textPipe()
			peer := rpc.NewPeer(Detect(ours, m, nil), m, nil)
			synctest.Wait()
			x.begin(theirs)
			t.Log(x.name)
			x.check(theirs, peer)
			theirs.Close()
			peer.Close()
		}
	})
}

// TestBudget has clients make the server hold as much as it will: that adds up to no more than the
// Budget, what is beyond is refused, a client that asks for little is served, and all comes back.
func TestBudget(t *testing.T) {
	const some = 2 << 20
	id := strings.Repeat("i", 200)
	for _, x := range []struct {
		name string
		own  int // bytes that the translators must have counted, at least
		fill func(c *client)
	}{
		{"answers of batches that wait for their last", 500_000, func(c *client) {
			for range 30 {
				c.send(`[` + strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"long","params":[8000]},`, 30) + `{"jsonrpc":"2.0","id":2,"method":"hang"}]`)
			}
		}},
		{"calls that hang, by long names", 300_000, func(c *client) {
			go func() {
				for {
					if _, _, err := c.conn.ReadAny(); err != nil {
						return
					}
				}
			}()
			for range 1000 {
				c.send(`{"jsonrpc":"2.0","id":"` + id + `","method":"hang"}`)
				synctest.Wait()
			}
		}},
		{"long answers that nobody reads", 200_000, func(c *client) {
			for range 30 {
				c.send(`{"jsonrpc":"2.0","id":1,"method":"long","params":[300000]}`)
			}
		}},
		{"answers to nonsense that nobody reads", 200_000, func(c *client) {
			for range 1500 {
				if c.conn.WriteText([]byte(`{"id":"`+id+`"}`)) != nil {
					return
				}
			}
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := rpc.NewBudget(some)
				options := rpc.Options{Budget: b, KeepAlive: -1, CallTimeout: -1}
				var all []*client
				most := int64(0)
				for range 4 {
					c := connect(t, testMux(), options)
					all = append(all, c)
					x.fill(c)
					synctest.Wait()
					if most = max(most, b.Used()); most > some {
						t.Errorf("%d bytes are drawn of %d", b.Used(), some)
					}
				}
				if most < int64(x.own) {
					t.Errorf("only %d bytes were counted", most)
				}
				c := connect(t, testMux(), options)
				c.ask(`{"jsonrpc":"2.0","id":1,"method":"nothing"}`, `{"jsonrpc":"2.0","id":1,"result":null}`)
				for _, c := range append(all, c) {
					c.conn.Close()
					c.peer.Close()
				}
				synctest.Wait()
				if n := b.Used(); n != 0 {
					t.Errorf("%d bytes are still drawn when all have gone", n)
				}
			})
		})
	}
}

// TestAllComesBack asks for everything, and for more than there is: when nothing is open any more,
// nothing is counted.
func TestAllComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &rpc.Options{Budget: rpc.NewBudget(1 << 20), MaxAssembly: 300_000}
		x, y := textPipe()
		m := testMux()
		over := newTranslator(x, m, o)
		go over.read(nil)
		a, b := rpc.NewPeer(over, m, o), rpc.NewPeer(New(y, m, o), m, o)
		defer b.Close()
		defer a.Close()
		if err := a.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		for _, p := range []*rpc.Peer{a, b} {
			for i := range 30 {
				wait.Go(func() {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					promise := p.Send(ctx, "echo", strings.Repeat("x", i*5000))
					if i%3 == 0 {
						cancel()
					}
					_ = promise.Await(nil)
					for range count.Call(t.Context(), p, i) {
						break
					}
				})
			}
		}
		wait.Wait()
		synctest.Wait()
		over.mu.Lock()
		defer over.mu.Unlock()
		if over.table.size != 0 || over.table.held != 0 || over.writing != 0 || o.Budget.Used() != 0 {
			t.Errorf("size %d, held %d, writing %d, drawn %d", over.table.size, over.table.held, over.writing, o.Budget.Used())
		}
	})
}
