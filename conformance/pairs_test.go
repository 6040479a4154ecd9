package conformance

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/spec/vectors"
	"github.com/chumsync/chum/wire"
	"github.com/chumsync/chum/wsrpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func load(t *testing.T) File {
	t.Helper()
	f, err := Load(vectors.Conformance)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// suite makes one for a server; its proxy is closed with the test.
func suite(t *testing.T, url string) *Suite {
	t.Helper()
	p, err := NewProxy(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return &Suite{File: load(t), URL: url, Proxy: p}
}

// goServer is ours, on loopback.
func goServer(t *testing.T, services *rpc.Mux) string {
	t.Helper()
	peers := wsrpc.Handler(services, &wsrpc.Options{RPC: rpc.Options{Logger: slog.New(slog.DiscardHandler)}})
	server := httptest.NewServer(peers)
	t.Cleanup(func() {
		server.Close()
		now, cancel := context.WithCancel(context.Background())
		cancel()
		peers.Shutdown(now)
	})
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

func TestGoToGo(t *testing.T) { judgeServer(t, "Go → Go", goServer(t, Services("resume"))) }

func judgeServer(t *testing.T, pair, url string) {
	t.Helper()
	begin := time.Now()
	verdicts, err := suite(t, url).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := Summarize(pair, vectors.Conformance, verdicts)
	for _, v := range verdicts {
		if v.Why != "" {
			t.Errorf("%s: %s: %s", v.Group, v.Name, v.Why)
		}
	}
	t.Logf("%s: %d cases, %d passed, %d not offered, in %s", pair, len(verdicts), r.Total().Passed, r.Total().NotOffered, time.Since(begin))
	if dir := *results; dir != "" {
		if err := r.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGoToTS(t *testing.T) {
	judgeServer(t, "Go → TS", nodeServer(t))
}

// nodeServer is that of the TypeScript package.
func nodeServer(t *testing.T) string {
	t.Helper()
	node, err := filepath.Glob("../bin/node/node_modules/node-*/bin/node") // what tools/ts.sh brings
	if err != nil {
		t.Fatal(err)
	}
	name := "node"
	if len(node) > 0 {
		name = node[0]
	}
	// From 22.18 on, Node.js runs TypeScript as it is.
	if err := exec.CommandContext(t.Context(), name, "-e", `process.exit(process.features.typescript ? 0 : 1)`).Run(); err != nil {
		t.Skip("there is no Node.js that runs TypeScript (22.18 or newer): make ts brings one")
	}
	if _, err := os.Stat("../ts/node_modules/ws"); err != nil {
		t.Skip("the npm packages of ts are not installed: make ts does it")
	}
	server := exec.CommandContext(t.Context(), name, "../ts/test/conformance/main.ts")
	server.Stderr = os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // with which it ends
		server.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// TestInProcess plays what needs no network on a pipe, which holds no message: nothing can be written that is not read.
func TestInProcess(t *testing.T) {
	f := load(t)
	services := Services()
	quiet := &rpc.Options{Logger: slog.New(slog.DiscardHandler)}
	played := 0
	for _, c := range f.Cases {
		if c.Fault != nil || c.Bare || c.Needs != "" {
			continue
		}
		played++
		t.Run(c.Group+": "+c.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTime)
			defer cancel()
			ours, its := wire.Pipe()
			server := rpc.NewPeer(its, services, quiet)
			defer func() { <-server.Done() }()
			defer ours.Close()
			if c.Steps != nil {
				if err := converse(ctx, ours, f.Hello, &c); err != nil {
					t.Error(err)
				}
				return
			}
			client := rpc.NewPeer(ours, Services(), quiet)
			calls, err := named(c.Calls, rand.Text())
			if err == nil {
				err = playAll(ctx, client, calls, c.Together, nil)
			}
			if err := errors.Join(err, client.Shutdown(ctx)); err != nil {
				t.Error(err)
			}
		})
	}
	if played < 300 {
		t.Errorf("%d cases were played", played)
	}
}
