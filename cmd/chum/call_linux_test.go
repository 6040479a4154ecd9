package main

import (
	"context"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

// A stream of bytes takes no more memory the longer it is, from a file up and down to a file.
func TestCallStreams(t *testing.T) {
	const size, most = 256 << 20, 128 << 20 // most: with the race detector's share
	mux := rpc.NewMux(rpc.Public)
	rpc.HandleReader(mux, rpc.Sink[struct{}, []byte, int64]("up"), func(_ context.Context, _ struct{}, r io.Reader) (int64, error) {
		return io.Copy(io.Discard, r)
	})
	rpc.HandleWriter(mux, rpc.Source[int64, []byte]("down"), func(_ context.Context, n int64, w io.Writer) error {
		for piece := make([]byte, 1<<20); n > 0; n -= int64(len(piece)) {
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		return nil
	})
	server := wsrpc.Handler(mux, nil)
	h := httptest.NewServer(server)
	defer h.Close()
	defer server.Shutdown(t.Context())

	long := filepath.Join(t.TempDir(), "long")
	if err := os.WriteFile(long, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(long, size); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (c *exec.Cmd, got int64) {
		c, stderr := command(t, t.TempDir(), append([]string{"call", h.URL}, args...)...)
		out, err := c.StdoutPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if args[0] == "up" {
			text, _ := io.ReadAll(out)
			got, _ = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		} else {
			got, _ = io.Copy(io.Discard, out)
		}
		if code := exitCode(t, c); code != exitOK {
			t.Fatalf("%v: exit code %d, it said %q", args, code, stderr)
		}
		return c, got
	}
	for _, args := range [][]string{{"up", "--body", long}, {"down", strconv.Itoa(size), "--raw"}} {
		c, got := run(args...)
		if got != size {
			t.Errorf("%v: %d bytes of %d", args, got, size)
		}
		rss := c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10 // Linux counts KiB
		t.Logf("%s: %d bytes of memory at most", args[0], rss)
		if rss > most {
			t.Errorf("%v: %d bytes of memory for a stream of %d", args, rss, size)
		}
	}
}
