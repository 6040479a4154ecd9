package main

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

// A stream of bytes takes no more memory the longer it is, from a file up and down to a file.
func TestCallStreams(t *testing.T) {
	const size, most = 256 << 20, 128 << 20 // most: with the race detector's share
	mux := rpc.NewMux(rpc.Public)
	started := make(chan int, 1)
	var peak int // bytes, of the command's process when all has passed
	rpc.HandleReader(mux, rpc.Sink[struct{}, []byte, int64]("up"), func(_ context.Context, _ struct{}, r io.Reader) (int64, error) {
		n, err := io.Copy(io.Discard, r)
		peak = peakMemory(t, <-started)
		return n, err
	})
	rpc.HandleWriter(mux, rpc.Source[int64, []byte]("down"), func(_ context.Context, n int64, w io.Writer) error {
		for piece := make([]byte, 1<<20); n > 0; n -= int64(len(piece)) {
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		peak = peakMemory(t, <-started)
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
	run := func(args ...string) (got int64) {
		c, stderr := command(t, t.TempDir(), append([]string{"call", h.URL}, args...)...)
		out, err := c.StdoutPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		started <- c.Process.Pid
		if args[0] == "up" {
			text, _ := io.ReadAll(out)
			got, _ = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		} else {
			got, _ = io.Copy(io.Discard, out)
		}
		if code := exitCode(t, c); code != exitOK {
			t.Fatalf("%v: exit code %d, it said %q", args, code, stderr)
		}
		return got
	}
	for _, args := range [][]string{{"up", "--body", long}, {"down", strconv.Itoa(size), "--raw"}} {
		got := run(args...)
		if got != size {
			t.Errorf("%v: %d bytes of %d", args, got, size)
		}
		t.Logf("%s: %d bytes of memory at most", args[0], peak)
		if peak > most {
			t.Errorf("%v: %d bytes of memory for a stream of %d", args, peak, size)
		}
	}
}

// peakMemory is the most resident memory, in bytes, that a process has had. What wait4 tells would
// count that of the process it was forked from, too: this one.
func peakMemory(t *testing.T, pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	t.Errorf("/proc tells nothing of the memory of process %d: %s", pid, text)
	return 0
}
