package main

import (
	"context"
	"errors"
	"iter"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chumsync/chum"
	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/object/local"
	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

// command prepares the real command on a store of its own.
func command(t *testing.T, store string, args ...string) (c *exec.Cmd, stderr *strings.Builder) {
	t.Helper()
	c = exec.Command("chum", append(args, "--store", store)...)
	c.Env = append(os.Environ(), "NO_PROXY=*")
	stderr = new(strings.Builder)
	c.Stderr = stderr
	return c, stderr
}

// exitCode waits for a command.
func exitCode(t *testing.T, c *exec.Cmd) int {
	t.Helper()
	err := c.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

func checkInterrupted(t *testing.T, code int, stderr, store string) {
	t.Helper()
	if code != exitInterrupted || !strings.Contains(stderr, "chum: interrupted\nhint: ") {
		t.Errorf("exit code %d, want %d; it said %q", code, exitInterrupted, stderr)
	}
	s, err := local.Open(store, nil) // closed in order, and nothing is half there
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for ref := range s.Refs(t.Context()) {
		t.Errorf("there is a name %q", ref.Name)
	}
}

// A put that waits for its input ends at a signal, and leaves no name.
func TestInterruptPut(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		store := filepath.Join(t.TempDir(), "store")
		c, stderr := command(t, store, "put", "-", "--name", "x")
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		// More than a pipe holds: when it is written, the command reads.
		if _, err := in.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if err := c.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		checkInterrupted(t, exitCode(t, c), stderr.String(), store)
	}
}

// A sync that waits for the other side ends at a signal; the other side sees it.
func TestInterruptSync(t *testing.T) {
	asked, gone := make(chan struct{}), make(chan struct{})
	mux := rpc.NewMux(rpc.Public)
	chum.ListRefs.Handle(mux, func(ctx context.Context, _ struct{}) iter.Seq2[object.Ref, error] {
		return func(yield func(object.Ref, error) bool) {
			close(asked)
			<-ctx.Done()
			close(gone)
			yield(object.Ref{}, ctx.Err())
		}
	})
	server := wsrpc.Handler(mux, nil)
	h := httptest.NewServer(server)
	defer h.Close()
	defer server.Shutdown(t.Context())

	store := filepath.Join(t.TempDir(), "store")
	c, stderr := command(t, store, "sync", h.URL)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	checkInterrupted(t, exitCode(t, c), stderr.String(), store)
	<-gone
}

// When the other side goes away amid a sync, it says so.
func TestConnectionLost(t *testing.T) {
	mux := rpc.NewMux(rpc.Public)
	chum.ListRefs.Handle(mux, func(ctx context.Context, _ struct{}) iter.Seq2[object.Ref, error] {
		return func(func(object.Ref, error) bool) { rpc.PeerFrom(ctx).Close() }
	})
	server := wsrpc.Handler(mux, nil)
	h := httptest.NewServer(server)
	defer h.Close()
	defer server.Shutdown(t.Context())
	c, stderr := command(t, filepath.Join(t.TempDir(), "store"), "sync", h.URL)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, c); code != exitConnection || !strings.Contains(stderr.String(), "hint: the connection was lost") {
		t.Errorf("exit code %d, want %d; it said %q", code, exitConnection, stderr)
	}
}
