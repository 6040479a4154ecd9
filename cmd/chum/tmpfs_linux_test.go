package main

import "golang.org/x/sys/unix"

// mountTmpfs mounts a file system of a size such as "8m", which needs the right to.
func mountTmpfs(dir, size string) (unmount func(), err error) {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,size="+size); err != nil {
		return nil, err
	}
	return func() { unix.Unmount(dir, unix.MNT_DETACH) }, nil
}
