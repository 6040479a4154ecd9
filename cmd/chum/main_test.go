package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/chumsync/chum/conformance"
	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"chum": chumMain, "testserver": testserver})
}

// leakless looks for goroutines that the tests left behind. testscript.Main ends the process,
// so goleak.VerifyTestMain cannot.
type leakless struct{ m *testing.M }

func (l leakless) Run() int {
	code := l.m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// chumMain is the command as the scripts run it. What it leaves running is an error there.
func chumMain() {
	code := run(os.Args[1:])
	// A read from a pipe that has nothing to give cannot be broken off: the process ends over it.
	if err := goleak.Find(goleak.IgnoreAnyFunction("github.com/chumsync/chum/cmd/chum.interruptible.func1"),
		goleak.IgnoreAnyFunction("main.interruptible.func1")); err != nil {
		fmt.Fprintln(os.Stderr, "LEAK:", err)
		code = 99
	}
	os.Exit(code)
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, ".data"))
			e.Setenv("NO_PROXY", "*")
			self, err := exec.LookPath("chum")
			e.Setenv("CHUM", self)
			return err
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    cmdExits,
			"start":    cmdStart,
			"stop":     cmdStop,
			"random":   cmdRandom,
			"binary":   cmdBinary,
			"rawfile":  cmdRawfile,
			"link":     cmdLink,
			"sametree": cmdSametree,
			"tmpfs":    cmdTmpfs,
			"setmodes": cmdSetmodes,
		},
	})
}

// condition answers what a script may ask beyond the usual.
func condition(cond string) (bool, error) {
	switch cond {
	case "root":
		return os.Getuid() == 0, nil
	case "tmpfs":
		dir, err := os.MkdirTemp("", "chum-tmpfs-")
		if err != nil {
			return false, err
		}
		defer os.Remove(dir)
		unmount, err := mountTmpfs(dir, "1m")
		if err != nil {
			return false, nil
		}
		unmount()
		return true, nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// exits CODE COMMAND...: the command ends with this exit code.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// started is a server that a script runs in the background.
type started struct {
	cmd *exec.Cmd
	out *bufio.Reader
	err strings.Builder
}

// start COMMAND...: runs a server and waits for its URL, which is its first line; as JSON or
// as it is. It goes to the variable URL.
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: start COMMAND [ARG...]")
	}
	s := &started{cmd: exec.Command(args[0], args[1:]...)}
	s.cmd.Dir = ts.Getenv("WORK")
	for _, name := range []string{"PATH", "XDG_DATA_HOME", "CHUM_STORE", "HOME", "TMPDIR", "WORK"} {
		s.cmd.Env = append(s.cmd.Env, name+"="+ts.Getenv(name))
	}
	s.cmd.Stderr = &s.err
	pipe, err := s.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(s.cmd.Start())
	servers.push(ts, s)
	ts.Defer(func() { // where the script failed before it stopped it
		s.cmd.Process.Kill()
		s.cmd.Wait()
	})
	s.out = bufio.NewReader(pipe)
	line, err := s.out.ReadString('\n')
	if err != nil {
		s.cmd.Wait()
		ts.Fatalf("%s printed no URL: %v\n%s", args[0], err, s.err.String())
	}
	ts.Logf("[stdout] %s", line)
	url := strings.TrimSpace(line)
	if _, rest, ok := strings.Cut(line, `"url":"`); ok {
		url, _, _ = strings.Cut(rest, `"`)
	}
	ts.Setenv("URL", url)
	ts.Setenv("ADDR", strings.TrimPrefix(url, "ws://"))
	ts.Setenv("PID", strconv.Itoa(s.cmd.Process.Pid))
}

// servers are those that each script started and has not stopped. Scripts run at the same time.
var servers stacks

type stacks struct {
	mu sync.Mutex
	m  map[*testscript.TestScript][]*started
}

func (t *stacks) push(ts *testscript.TestScript, s *started) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = make(map[*testscript.TestScript][]*started)
	}
	t.m[ts] = append(t.m[ts], s)
}

// pop gives the last; nil if there is none.
func (t *stacks) pop(ts *testscript.TestScript) *started {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.m[ts]
	if len(list) == 0 {
		return nil
	}
	t.m[ts] = list[:len(list)-1]
	return list[len(list)-1]
}

// stop [SIGNAL]: ends the server started last, which must exit with 0. What it printed since
// the URL can be looked at as that of exec.
func cmdStop(ts *testscript.TestScript, neg bool, args []string) {
	s := servers.pop(ts)
	if neg || s == nil {
		ts.Fatalf("no server was started")
	}
	sig := syscall.SIGTERM
	if len(args) == 1 && args[0] == "INT" {
		sig = syscall.SIGINT
	}
	ts.Check(s.cmd.Process.Signal(sig))
	rest, err := io.ReadAll(s.out)
	ts.Check(err)
	err = s.cmd.Wait()
	ts.Stdout().Write(rest)
	io.WriteString(ts.Stderr(), s.err.String())
	if err != nil {
		ts.Fatalf("the server ended with %v\n%s", err, s.err.String())
	}
}

// random FILE BYTES: a file that nothing can compress.
func cmdRandom(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	f, err := os.Open("/dev/urandom")
	ts.Check(err)
	defer f.Close()
	b := make([]byte, n)
	_, err = io.ReadFull(f, b)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// binary FILE BASE64
func cmdBinary(ts *testscript.TestScript, _ bool, args []string) {
	b, err := base64.StdEncoding.DecodeString(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// rawfile DIR QUOTED TEXT: a file whose name is a Go string.
func cmdRawfile(ts *testscript.TestScript, _ bool, args []string) {
	name, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), name), []byte(args[2]), 0o644))
}

// link VARIABLE: keeps the link that the last command printed.
func cmdLink(ts *testscript.TestScript, _ bool, args []string) {
	words := strings.Fields(ts.ReadFile("stdout"))
	for _, w := range words {
		if kind, hash, ok := strings.Cut(w, ":"); ok && len(hash) == 64 {
			ts.Setenv(args[0], w)
			ts.Setenv(args[0]+"_KIND", kind)
			ts.Setenv(args[0]+"_HASH", hash)
			return
		}
	}
	ts.Fatalf("no link in %q", words)
}

// sametree A B: equal in contents, modes, times and targets, by what the demonstration uses.
func cmdSametree(ts *testscript.TestScript, neg bool, args []string) {
	var c comparison
	err := c.compare(context.Background(), ts.MkAbs(args[0]), ts.MkAbs(args[1]))
	if neg == (err == nil) {
		ts.Fatalf("compared %+v: %v", c, err)
	}
}

// tmpfs DIR SIZE: a small file system.
func cmdTmpfs(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	unmount, err := mountTmpfs(dir, args[1])
	ts.Check(err)
	ts.Defer(unmount)
}

// setmodes DIR: gives all that is in it the usual modes, whatever the umask was.
func cmdSetmodes(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Type()&os.ModeSymlink != 0 {
			return err
		}
		mode := os.FileMode(0o644)
		if d.IsDir() {
			mode = 0o755
		}
		return os.Chmod(path, mode)
	}))
}

// testserver is a server with methods of all kinds that a chum serve does not have. It prints
// its URL, and runs until it is told to end.
func testserver() {
	if len(os.Args) > 1 && os.Args[1] == "notchum" {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		fmt.Println("ws://" + ln.Addr().String())
		go http.Serve(ln, http.NotFoundHandler())
		untilTold()
		return
	}
	mux := rpc.NewMux(rpc.Public)
	if len(os.Args) > 1 && os.Args[1] == "impolite" { // for the conformance suite
		mux.Func("conformance", func() conformance.About { return conformance.About{Suite: 1} })
		mux.Func("hi", func(name string) string { return "bye " + name })
	}
	mux.Func("add", func(a, b int) int { return a + b })
	mux.Func("login", func(name, password string) (string, error) {
		if password != "open sesame" {
			return "", rpc.Errorf(rpc.Unauthenticated, "wrong name or password")
		}
		return "welcome, \x1b[31m" + name, nil
	})
	mux.Func("nothing", func() {})
	mux.Func("fails", func() error { return errors.New("a secret") })
	mux.Func("panics", func() { panic("a secret") })
	mux.Func("drops", func(ctx context.Context) { rpc.PeerFrom(ctx).Close() })
	mux.Func("sleeps", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	mux.Func("length", func(name string, data []byte) string { return fmt.Sprintf("%s: %d", name, len(data)) })
	rpc.Method[[]byte, []byte]("reverse").Handle(mux, func(_ context.Context, b []byte) ([]byte, error) {
		r := make([]byte, len(b))
		for i := range b {
			r[len(b)-1-i] = b[i]
		}
		return r, nil
	})
	rpc.Source[int, int]("count").Handle(mux, func(_ context.Context, n int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i+1, nil) {
					return
				}
			}
			if n == 13 {
				yield(0, rpc.Errorf(rpc.OutOfRange, "no luck"))
			}
		}
	})
	rpc.Sink[struct{}, int, int]("sum").Handle(mux, func(_ context.Context, _ struct{}, in iter.Seq2[int, error]) (sum int, err error) {
		for n, err := range in {
			if err != nil {
				return 0, err
			}
			sum += n
		}
		return sum, nil
	})
	rpc.Duplex[struct{}, string, string]("upper").Handle(mux, func(_ context.Context, _ struct{}, in iter.Seq2[string, error]) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for s, err := range in {
				if !yield(strings.ToUpper(s), err) {
					return
				}
			}
		}
	})
	rpc.Method[rpc.Value, rpc.Value]("any").Handle(mux, func(_ context.Context, v rpc.Value) (rpc.Value, error) { return v, nil })
	rpc.Method[string, labelled]("named").Handle(mux, func(_ context.Context, name string) (labelled, error) {
		return labelled{name, []byte("bytes of " + name)}, nil
	})
	rpc.Source[int, labelled]("several").Handle(mux, func(_ context.Context, n int) iter.Seq2[labelled, error] {
		return func(yield func(labelled, error) bool) {
			for range n {
				if !yield(labelled{"x", []byte("bytes of x")}, nil) {
					return
				}
			}
		}
	})
	rpc.HandleReader(mux, rpc.Sink[labelled, []byte, string]("label"), func(_ context.Context, l labelled, r io.Reader) (string, error) {
		n, err := io.Copy(io.Discard, r)
		return fmt.Sprintf("%s, %s, %d", l.Name, bytes.TrimSpace(l.Data), n), err
	})
	rpc.Duplex[struct{}, []byte, []byte]("mirror").Handle(mux, func(_ context.Context, _ struct{}, in iter.Seq2[[]byte, error]) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			for b, err := range in {
				if err != nil {
					yield(nil, err)
					return
				}
				if !yield(b[:1], nil) || !yield(b[1:], nil) {
					return
				}
			}
		}
	})
	rpc.HandleReader(mux, rpc.Sink[struct{}, []byte, int64]("measure"), func(_ context.Context, _ struct{}, r io.Reader) (int64, error) {
		return io.Copy(io.Discard, r)
	})
	rpc.HandleWriter(mux, rpc.Source[int, []byte]("zeros"), func(_ context.Context, n int, w io.Writer) error {
		_, err := w.Write(make([]byte, n))
		return err
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("ws://" + ln.Addr().String())
	go http.Serve(ln, wsrpc.Handler(mux, nil))
	untilTold()
}

// labelled is JSON with raw bytes beside it.
type labelled struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
}

func untilTold() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, os.Interrupt)
	<-told
}
