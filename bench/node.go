package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gobwas/ws"
)

// Libraries that run on Node at both ends: node/peer.mjs is their server and client.
// rpc-websockets is LGPL-3.0; nothing of it is linked into anything here.
var (
	rpcWebSockets = system{name: "rpc-websockets", also: true, node: true}
	capnweb       = system{name: "capnweb", also: true, node: true}
	socketIO      = system{name: "socket.io", also: true, node: true}
)

// What Node's clients call in Go, see node/systems.mjs: they have no dial.
var (
	chumChecked  = system{name: "chum, checked", serve: chumSystem.serve}
	chumBuiltIn  = system{name: "chum, Node's own WebSocket", serve: chumSystem.serve}
	wsByHand     = system{name: "ws, JSON by hand", serve: serveEcho, floor: true}
	wsPackedHand = system{name: "ws, JSON by hand, packed", serve: serveEcho, floor: true}
)

// serveEcho sends each text message of a WebSocket back.
func serveEcho() (string, func(), error) {
	addr, stop, err := listen(func(c net.Conn) {
		defer c.Close()
		if _, err := ws.Upgrade(c); err != nil {
			return
		}
		conn := newGobwasConn(c, c, false)
		conn.op = ws.OpText
		for {
			p, err := conn.read()
			if err != nil || conn.write(p) != nil {
				return
			}
		}
	})
	return "ws://" + addr, stop, err
}

var (
	nodePeers   = []string{"rpc-websockets", "capnweb", "socket.io"}
	nodeSystems = slices.Concat([]string{"chum", "chum, checked", "chum, Node's own WebSocket", "ws, JSON by hand", "ws, JSON by hand, packed"}, nodePeers)
	nodeColumns = []string{"client CPU-µs/call", "calls/s", "p50 µs", "p99 µs", "CPU-µs/call"}
)

// nodeScenario is measured by node/peer.mjs.
var nodeScenario = scenario{
	name: "node", title: "clients on Node.js: chum's and raw WebSockets of Go servers, the others of servers on Node.js",
	cases: []benchCase{
		{name: "100 open", node: true, systems: nodeSystems, columns: nodeColumns},
		{name: "1 open", node: true, pin: true, systems: nodeSystems, columns: nodeColumns},
	},
}

// nodeDir is beside the sources, where `go run .` and `go test` both run.
const nodeDir = "node"

// nodePath finds a Node.js, and installs what node/package-lock.json names, if it is not
// there, once. Its error says why Node's systems cannot be measured.
var nodePath = sync.OnceValues(func() (string, error) {
	find := exec.Command("bash", "../tools/node.sh")
	var says bytes.Buffer
	find.Stderr = &says
	dir, err := find.Output()
	if err != nil {
		return "", fmt.Errorf("bench: no Node.js: %w: %s", err, bytes.TrimSpace(says.Bytes()))
	}
	node := filepath.Join(strings.TrimSpace(string(dir)), "node")
	want, err := os.Stat(filepath.Join(nodeDir, "package-lock.json"))
	if err != nil {
		return "", fmt.Errorf("bench: run it in its own directory: %w", err)
	}
	have, err := os.Stat(filepath.Join(nodeDir, "node_modules", ".package-lock.json"))
	if err == nil && !have.ModTime().Before(want.ModTime()) {
		return node, nil
	}
	install := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = nodeDir
	if out, err := install.CombinedOutput(); err != nil {
		return "", errors.New("bench: npm ci: " + strings.TrimSpace(string(out)))
	}
	return node, nil
})

// nodeReady says why Node's systems cannot be measured.
func nodeReady() error {
	_, err := nodePath()
	return err
}

// nodeCommand is a process in a role of a job, if that runs on Node; else nil.
func nodeCommand(ctx context.Context, role string, j job) (*exec.Cmd, error) {
	s, _ := systemNamed(j.System) // what has no such name fails in the process of its own
	c, _ := caseNamed(j.Scenario, j.Case)
	if !s.node && (!c.node || role != "client") {
		return nil, nil
	}
	node, err := nodePath()
	if err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, node, filepath.Join(nodeDir, "peer.mjs")), nil //nolint:gosec // G204: a file of ours
}
