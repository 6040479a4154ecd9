package main

import (
	"net"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// A shell does not hang over a server that takes connections and says nothing.
func TestCompletionEnds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a := &app{quiet: true, stdout: &output{Writer: t.Output()}, stderr: &output{Writer: t.Output()}}
	start := time.Now()
	names, directive := a.methodNames(t.Context(), "ws://"+ln.Addr().String())
	if took := time.Since(start); names != nil || directive != cobra.ShellCompDirectiveError || took > connectTime/2 {
		t.Errorf("%q, %v in %v", names, directive, took)
	}
}
