package jsonrpc

import (
	"encoding/json"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/rpc"
)

// FuzzMessage gives a peer one text message after a few good ones. Whatever it is: all that comes
// back is JSON-RPC, the peer holds nothing of it in the end, and nobody panics or hangs.
func FuzzMessage(f *testing.F) {
	text, err := os.ReadFile(vectorsFile)
	if err != nil {
		f.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		f.Fatal(err)
	}
	for _, c := range v.Conversations {
		for _, s := range c.Steps {
			if len(s.Send) < 10_000 {
				f.Add([]byte(s.Send))
			}
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		synctest.Test(t, func(t *testing.T) {
			m := makeMux(100)
			ours, theirs := textPipe()
			options := &rpc.Options{Logger: slog.New(slog.DiscardHandler)}
			translator := New(ours, m, options).(*translator)
			peer := rpc.NewPeer(translator, m, options)
			go func() {
				for {
					_, p, err := theirs.ReadAny()
					if err != nil {
						return
					}
					if !jsontext.Value(p).IsValid() {
						t.Errorf("not JSON: %q", p)
					}
				}
			}()
			for _, text := range []string{
				`{"jsonrpc":"2.0","id":1,"method":"deaf"}`,
				`{"jsonrpc":"2.0","id":2,"method":"count","params":[5],"credit":1}`,
				`{"jsonrpc":"2.0","id":3,"method":"twice"}`,
				string(p),
			} {
				if err := theirs.WriteText([]byte(text)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			if err := peer.Err(); err != nil {
				t.Errorf("one message ended the connection: %v", err)
			}
			for _, id := range []string{"1", "2", "3"} {
				_ = theirs.WriteText([]byte(`{"jsonrpc":"2.0","method":"rpc.cancel","params":{"id":` + id + `}}`))
			}
			theirs.Close()
			<-peer.Done()
			peer.Close()
			synctest.Wait()
			if s := peer.Stats(); s.In.Open != 0 || s.Waiting != 0 {
				t.Errorf("left over: %+v", s)
			}
		})
	})
}
