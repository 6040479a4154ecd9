package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Two libraries that run on Node at both ends: node/peer.mjs is their server and
// client. rpc-websockets is LGPL-3.0; nothing of it is linked into anything here.
var (
	rpcWebSockets = system{name: "rpc-websockets", also: true, node: true}
	capnweb       = system{name: "capnweb", also: true, node: true}
)

// nodeDir is beside the sources, where `go run .` and `go test` both run.
const nodeDir = "node"

// nodeReady installs what node/package-lock.json names, if it is not there, once. What
// it returns says why Node's systems cannot be measured.
var nodeReady = sync.OnceValue(func() error {
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("bench: %s is not installed", name)
		}
	}
	want, err := os.Stat(filepath.Join(nodeDir, "package-lock.json"))
	if err != nil {
		return fmt.Errorf("bench: run it in its own directory: %w", err)
	}
	have, err := os.Stat(filepath.Join(nodeDir, "node_modules", ".package-lock.json"))
	if err == nil && !have.ModTime().Before(want.ModTime()) {
		return nil
	}
	install := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = nodeDir
	if out, err := install.CombinedOutput(); err != nil {
		return errors.New("bench: npm ci: " + strings.TrimSpace(string(out)))
	}
	return nil
})

func nodeCommand(ctx context.Context) *exec.Cmd {
	return exec.CommandContext(ctx, "node", filepath.Join(nodeDir, "peer.mjs")) //nolint:gosec // G204: a file of ours
}
