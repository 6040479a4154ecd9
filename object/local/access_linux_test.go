package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A directory without write access. Root may write anywhere, so this thread
// gives that up for file access, for the moment.
func TestReadOnlyDirectory(t *testing.T) {
	dir := mkdir(t, storeDir(t))
	below := filepath.Join(dir, "below")
	if os.Geteuid() == 0 {
		// 0555 so that the directory may be searched by another.
		for d := dir; d != os.TempDir(); d = filepath.Dir(d) {
			chmod(t, d, 0o755)
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Setfsuid(0) }()
	} else {
		chmod(t, dir, 0o500)
		defer chmod(t, dir, 0o700)
	}
	for _, dir := range []string{dir, below} {
		_, err := Open(dir, quiet)
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "write access") {
			t.Errorf("%s: error %v, want one about write access", dir, err)
		}
	}
}
