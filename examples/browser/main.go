package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

//go:embed page
var files embed.FS

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to serve the page; there is no login")
	flag.Parse()
	if err := serve(*addr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(addr string) error {
	listener, err := net.Listen("tcp", addr) //nolint:noctx // a listener at once
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	server := &http.Server{Handler: handler(), ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(listener)
}

// handler serves the page, and at /chum what it calls.
func handler() http.Handler {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // it is embedded
	}
	static := http.FileServerFS(page)
	mux := http.NewServeMux()
	mux.Handle("/chum", wsrpc.Handler(services(), nil))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "+
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		static.ServeHTTP(w, r)
	})
	return mux
}

// What is kept along with a peer.
type (
	slowKey struct{} // bool
	stopKey struct{} // context.CancelCauseFunc of its latest upload
)

func services() *rpc.Mux {
	mux := rpc.NewMux(rpc.Public)
	rpc.HandleReader(mux, Upload, upload)
	Slow.Handle(mux, func(ctx context.Context, on bool) (struct{}, error) {
		rpc.PeerFrom(ctx).SetValue(slowKey{}, on)
		return struct{}{}, nil
	})
	Stop.Handle(mux, func(ctx context.Context, _ struct{}) (struct{}, error) {
		if stop, ok := rpc.PeerFrom(ctx).Value(stopKey{}).(context.CancelCauseFunc); ok {
			stop(rpc.Errorf(rpc.Aborted, "the server has stopped it"))
		}
		return struct{}{}, nil
	})
	mux.Describe(docs)
	return mux
}

const (
	piece    = 64 << 10               // bytes read at once
	slowPace = 2_000_000              // bytes a second
	showEach = 100 * time.Millisecond // so often the page hears how far it is
)

// upload hashes what comes, with a page's yes.
func upload(ctx context.Context, f File, body io.Reader) (r Receipt, err error) {
	page := rpc.PeerFrom(ctx)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	page.SetValue(stopKey{}, stop)
	if yes, err := Ask.Call(ctx, page, fmt.Sprintf("Shall the server take %s, %.1f MB?", f.Name, float64(f.Size)/1e6)); err != nil {
		return r, because(ctx, err)
	} else if !yes {
		return r, rpc.Errorf(rpc.FailedPrecondition, "the page said no")
	}
	hash, b, shown := sha256.New(), make([]byte, piece), time.Now()
	for err != io.EOF {
		var n int
		if n, err = body.Read(b); err != nil && err != io.EOF {
			return r, err
		}
		hash.Write(b[:n])
		r.Size += int64(n)
		if time.Since(shown) >= showEach {
			if _, err := Show.Call(ctx, page, Progress{Size: r.Size}); err != nil {
				return r, because(ctx, err)
			}
			shown = time.Now()
		}
		if page.Value(slowKey{}) == true {
			pause(ctx, time.Second*time.Duration(n)/slowPace)
		}
		if ctx.Err() != nil {
			return r, because(ctx, ctx.Err())
		}
	}
	r.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return r, nil
}

// because is why ctx was ended, if it was; else err.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
