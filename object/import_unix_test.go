//go:build unix

package object_test

import (
	"syscall"
	"testing"
)

// makeSpecial makes a named pipe.
func makeSpecial(t *testing.T, path string) {
	t.Helper()
	noError(t, syscall.Mkfifo(path, 0o644))
}
