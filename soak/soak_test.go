// Package soak tests chum with real processes and a bad network between them: many connections, cut at random under load by
// toxiproxy; a server that is killed. It has tests only.
package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chumsync/chum/rpc"
)

var (
	conns = flag.Int("conns", 50, "connections")
	span  = flag.Duration("span", 5*time.Second, "how long calls are made")
	grace = flag.Duration("grace", 45*time.Second, "what open calls may take to end afterwards")
	pause = flag.Duration("pause", 300*time.Millisecond, "between two calls of a connection")
)

// childEnv tells a child process, which is this test binary again, what it is.
const childEnv = "CHUM_SOAK_CHILD"

func TestMain(m *testing.M) {
	var err error
	switch role := strings.Fields(os.Getenv(childEnv)); {
	case len(role) == 3 && role[0] == "server":
		err = serve(role[1], role[2])
	case len(role) == 1 && role[0] == "client":
		err = drive()
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child starts a process of the role. It ends when the test does.
func child(t *testing.T, role ...string) (cmd *exec.Cmd, in io.WriteCloser, out *bufio.Reader) {
	t.Helper()
	cmd = exec.Command(must(os.Executable()))
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join(role, " "))
	cmd.Stderr = &lines{t: t, who: role[0]}
	in, stdout := must(cmd.StdinPipe()), must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, in, bufio.NewReader(stdout)
}

// lines keeps what a child says, for when the test fails.
type lines struct {
	t   *testing.T
	who string
}

func (l *lines) Write(p []byte) (int, error) {
	if testing.Verbose() {
		fmt.Printf("%s: %s", l.who, p)
	}
	return len(p), nil
}

// startServer starts the server process on addr and returns it with the address it has.
func startServer(t *testing.T, addr, ledger string) (*exec.Cmd, string) {
	t.Helper()
	cmd, _, out := child(t, "server", addr, ledger)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatalf("the server does not start: %v", err)
	}
	return cmd, strings.TrimSpace(line)
}

// startClients starts client processes that share the connections; the channel gives what they saw together.
func startClients(t *testing.T, n int, addrs []string) <-chan tally {
	t.Helper()
	parts := make(chan tally, n)
	for i := range n {
		_, in, out := child(t, "client")
		order := load{Name: fmt.Sprint("client", i), Addrs: addrs, Conns: (*conns + i) / n, Time: *span, Pause: *pause, Grace: *grace}
		if err := json.NewEncoder(in).Encode(order); err != nil {
			t.Fatal(err)
		}
		go func() {
			var part tally
			if err := json.NewDecoder(out).Decode(&part); err != nil {
				part.Failed = append(part.Failed, outcome{Error: fmt.Sprint("a client process ended without a word: ", err)})
			}
			parts <- part
		}()
	}
	all := make(chan tally, 1)
	go func() {
		var sum tally
		for range n {
			sum.add(<-parts)
		}
		all <- sum
	}()
	return all
}

// TestStorm cuts connections at random under load: no call fails, no handler runs twice, and streams are whole.
func TestStorm(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger")
	_, addr := startServer(t, "127.0.0.1:0", ledger)
	net := newNetwork(t, 8, addr)
	clients := startClients(t, 2, net.addrs())
	storm, cancel := context.WithTimeout(context.Background(), *span)
	defer cancel()
	net.storm(storm, 75*time.Millisecond)
	sum := <-clients
	t.Logf("%d connections for %v: %d times cut, %d times slowed; %v", *conns, *span, net.cuts, net.others, &sum)
	check(t, &sum, ledger)
	if len(sum.Failed) > 0 || sum.Lost > 0 {
		t.Errorf("%d calls failed and %d sessions were lost, though the server was there all the time; the first: %+v", len(sum.Failed), sum.Lost, sum.Failed[:min(len(sum.Failed), 3)])
	}
	if sum.Resumed < *conns/10 {
		t.Errorf("only %d resumes: the storm was none", sum.Resumed)
	}
}

// TestServerKilled kills the server amid calls and starts it anew: what ended as not executed was not.
func TestServerKilled(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger")
	server, addr := startServer(t, "127.0.0.1:0", ledger)
	net := newNetwork(t, 4, addr)
	clients := startClients(t, 2, net.addrs())
	storm, cancel := context.WithTimeout(context.Background(), *span)
	defer cancel()
	go func() {
		wait(storm, *span/2)
		_ = server.Process.Kill()
	}()
	killed := make(chan struct{})
	go func() {
		_ = server.Wait()
		close(killed)
	}()
	stormDone := make(chan struct{})
	go func() { net.storm(storm, 75*time.Millisecond); close(stormDone) }()
	<-killed
	startServer(t, addr, ledger)
	<-stormDone
	sum := <-clients
	t.Logf("%d connections for %v, the server killed: %v", *conns, *span, &sum)
	check(t, &sum, ledger)
	if sum.Lost == 0 {
		t.Error("no session was lost: the server was not killed amid them")
	}
}

// check holds what the clients saw against the ledger.
func check(t *testing.T, sum *tally, ledger string) {
	t.Helper()
	runs, err := readLedger(ledger)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, n := range sum.Calls {
		total += n
	}
	if total == 0 || len(runs) == 0 {
		t.Fatalf("%d calls ended, %d keys ran", total, len(runs))
	}
	for key, n := range runs {
		if n > 1 {
			t.Errorf("%s ran %d times", key, n)
		}
	}
	if len(sum.Twice) > 0 {
		t.Errorf("calls back ran twice: %v", sum.Twice)
	}
	no, maybe := 0, 0
	for _, o := range sum.Failed {
		switch {
		case o.Executed == rpc.No && runs[o.Key] > 0:
			t.Errorf("%s ended as not executed, and ran: %s", o.Key, o.Error)
		case o.Executed == rpc.No:
			no++
		case o.Executed == rpc.Maybe:
			maybe++
		default: // an answer, or a client process that ended without a word
			t.Errorf("%s %s failed: %s", o.Kind, o.Key, o.Error)
		}
		if strings.HasPrefix(o.Error, errWrong.Error()) {
			t.Errorf("%s %s: %s", o.Kind, o.Key, o.Error)
		}
	}
	if succeeded := total - len(sum.Failed); succeeded > len(runs) {
		t.Errorf("%d calls succeeded, %d ran", succeeded, len(runs))
	}
	t.Logf("%d handlers ran; of the calls that failed, %d were not executed, %d maybe", len(runs), no, maybe)
	if sum.Ended > 0 {
		t.Errorf("%d peers ended, though nobody closed them", sum.Ended)
	}
	if sum.Unended > 0 {
		t.Errorf("%d calls never ended", sum.Unended)
	}
}
