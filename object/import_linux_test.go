package object_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/chumsync/chum/object"
)

// A directory or file that may not be read is an error that names it.
func TestImportForbidden(t *testing.T) {
	dir := t.TempDir()
	for parent := dir; parent != os.TempDir() && parent != "/"; parent = filepath.Dir(parent) {
		noError(t, os.Chmod(parent, 0o755))
	}
	closed, file := filepath.Join(dir, "closed"), filepath.Join(dir, "file")
	noError(t, os.Mkdir(closed, 0o000))
	noError(t, os.WriteFile(file, []byte("x"), 0o000))
	if os.Geteuid() == 0 {
		// Root may read all, so this thread becomes someone else for a while.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		noError(t, syscall.Setfsuid(65534))
		defer func() { noError(t, syscall.Setfsuid(0)) }()
	}
	s := object.NewMemory()
	_, err := object.Import(t.Context(), s, dir, nil)
	wantError(t, err, fs.ErrPermission, "object: importing "+closed+": ")
	_, err = object.Import(t.Context(), s, file, nil)
	wantError(t, err, fs.ErrPermission, "object: importing "+file+": ")
}
