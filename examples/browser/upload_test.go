package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

// A page is one without a browser.
type page struct {
	*rpc.Peer
	server *rpc.Peer
	asked  chan context.Context // the contexts of its questions; it answers with yes
	shown  int64                // the last that it was shown
}

// withPage runs a test on fake time.
func withPage(t *testing.T, answer bool, do func(t *testing.T, p *page)) {
	synctest.Test(t, func(t *testing.T) {
		here, there := wire.Pipe()
		p := &page{asked: make(chan context.Context, 10)}
		mux := rpc.NewMux(rpc.Public)
		Ask.Handle(mux, func(ctx context.Context, _ string) (bool, error) {
			p.asked <- ctx
			if !answer {
				<-ctx.Done()
			}
			return answer, nil
		})
		Show.Handle(mux, func(_ context.Context, progress Progress) (struct{}, error) {
			p.shown = progress.Size
			return struct{}{}, nil
		})
		p.server = rpc.NewPeer(there, services(), nil)
		p.Peer = rpc.NewPeer(here, mux, nil)
		do(t, p)
		synctest.Wait()
		if s := p.server.Stats(); s.In.Open != 0 || s.Out.Open != 0 {
			t.Errorf("%d uploads and %d questions are still open", s.In.Open, s.Out.Open)
		}
		p.Close()
		<-p.server.Done()
	})
}

func TestUpload(t *testing.T) {
	withPage(t, true, func(t *testing.T, p *page) {
		Slow.Call(t.Context(), p.Peer, true)
		data := bytes.Repeat([]byte("0123456789"), 1_000_000)
		begin := time.Now()
		w := rpc.Writer(t.Context(), p.Peer, Upload, File{Name: "ten", Size: 1e7})
		if _, err := io.Copy(w, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		receipt, err := w.Result()
		sum := sha256.Sum256(data)
		if want := (Receipt{Size: 1e7, SHA256: hex.EncodeToString(sum[:])}); err != nil || receipt != want {
			t.Errorf("%+v, %v; want %+v", receipt, err, want)
		}
		if took := time.Since(begin).Round(time.Second); took != 5*time.Second {
			t.Errorf("10 MB at 2 MB/s took %v", took)
		}
		if p.shown < 9e6 || p.shown > 1e7 {
			t.Errorf("the page was shown %d of 10 MB", p.shown)
		}
	})
}

// The caller cancels: the handler, and what it asked the page, end.
func TestCancel(t *testing.T) {
	withPage(t, false, func(t *testing.T, p *page) {
		w := rpc.Writer(t.Context(), p.Peer, Upload, File{Name: "x", Size: 1})
		question := <-p.asked
		w.Cancel()
		<-question.Done()
		if _, err := w.Result(); rpc.CodeOf(err) != rpc.Cancelled {
			t.Errorf("error %v, want cancelled", err)
		}
	})
}

func TestStop(t *testing.T) {
	for name, answer := range map[string]bool{"while it asks": false, "while it reads": true} {
		t.Run(name, func(t *testing.T) {
			withPage(t, answer, func(t *testing.T, p *page) {
				Slow.Call(t.Context(), p.Peer, true) // or it would be over before the stop
				w := rpc.Writer(t.Context(), p.Peer, Upload, File{Name: "x", Size: 1 << 40})
				<-p.asked
				time.AfterFunc(time.Second, func() { Stop.Call(t.Context(), p.Peer, struct{}{}) })
				for err := error(nil); err == nil; {
					_, err = w.Write(make([]byte, 64<<10))
				}
				if _, err := w.Result(); rpc.CodeOf(err) != rpc.Aborted {
					t.Errorf("error %v, want aborted", err)
				}
			})
		})
	}
}
