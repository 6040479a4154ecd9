//go:build unix

package local

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkOwner refuses a directory in which others could put or change files.
func checkOwner(dir string, info fs.FileInfo) error {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("local: %s belongs to user id %d and you are %d: use a store of your own", dir, stat.Uid, os.Geteuid())
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Errorf("local: %s can be written by others (mode %04o): run chmod go-w on it once you trust what is in it", dir, perm)
	}
	return nil
}
