//go:build !linux

package local

import (
	"os"
	"runtime"
)

// syncData is fsync, and F_FULLFSYNC on macOS: package os sees to it.
func syncData(f *os.File) error { return f.Sync() }

// syncDir does nothing on Windows, where a directory cannot be synced and
// its entries are journaled.
func syncDir(d *os.File) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return d.Sync()
}
