//go:build !linux

package main

import "errors"

func mountTmpfs(string, string) (unmount func(), err error) {
	return nil, errors.New("only Linux has a tmpfs")
}
