package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"strings"
	"time"
)

// Each trial has a server process and a client process of its own: this program
// again, or Node, told by childEnv what it is. Parent and child speak JSON values over the
// child's stdin and stdout. A child ends when its stdin does, so it cannot outlive
// its parent, however that ends; and it ends by itself when its job's limit is over.
const childEnv = "CHUM_BENCH_CHILD" // "server" or "client"

// A job is what a child is told first.
type job struct {
	System   string        `json:"system"`
	Scenario string        `json:"scenario"`
	Case     string        `json:"case"`
	Addr     string        `json:"addr"`    // the server's, for the client
	Limit    time.Duration `json:"limit"`   // for the whole process
	Profile  string        `json:"profile"` // if set, CPU and allocation profiles go to files whose names begin so
	Size     sizes         `json:"size"`
}

// An order is what a child is asked for in between, by the client through the parent.
type order string

const (
	orderStart order = "start" // settle, then tell the usage
	orderStop  order = "stop"  // tell the usage
)

// A reply is anything a child says.
type reply struct {
	Addr    string  `json:"addr,omitzero"`    // the server's first
	Order   order   `json:"order,omitzero"`   // the client's, for the server
	Usage   usage   `json:"usage,omitzero"`   // to an order
	Metrics metrics `json:"metrics,omitzero"` // the client's last
	Error   string  `json:"error,omitzero"`
}

// A metrics has one trial's figures by name; the name says the unit.
type metrics map[string]float64

// process is a child as its parent sees it.
type process struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
	role string
}

// startProcess starts this program in a role with a job. It is killed when ctx ends.
func startProcess(ctx context.Context, role string, j job, pin bool) (*process, error) {
	cmd, err := nodeCommand(ctx, role, j)
	if err != nil {
		return nil, err
	}
	if cmd == nil {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd = exec.CommandContext(ctx, self) //nolint:gosec // G204: it is this program
	}
	cmd.Env = append(os.Environ(), childEnv+"="+role)
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if pin {
		err = pinned(cmd.Start)
	} else {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, in: in, out: json.NewDecoder(bufio.NewReader(out)), role: role}
	if err := p.tell(j); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func (p *process) tell(v any) error {
	if err := json.NewEncoder(p.in).Encode(v); err != nil {
		return fmt.Errorf("bench: tell the %s process: %w", p.role, err)
	}
	return nil
}

func (p *process) hear() (r reply, err error) {
	if err = p.out.Decode(&r); err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	if err != nil {
		err = fmt.Errorf("bench: %s process: %w", p.role, err)
	}
	return r, err
}

// stop ends the process and waits for it.
func (p *process) stop() {
	p.in.Close()
	kill := time.AfterFunc(time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait() // how a process that was told to end ends does not matter
}

// trial runs a job of a case once, in two fresh processes, and returns the client's
// figures. The case's link, if it has one, is in this process.
func trial(ctx context.Context, j job, c benchCase) (metrics, error) {
	ctx, cancel := context.WithTimeout(ctx, j.Limit)
	defer cancel()
	server, err := startProcess(ctx, "server", j, c.pin)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	hello, err := server.hear()
	if err != nil {
		return nil, err
	}
	j.Addr = hello.Addr
	if c.link != nil {
		scheme, addr, found := strings.Cut(hello.Addr, "://")
		if !found {
			scheme, addr = "", hello.Addr
		}
		via, stop, err := c.link.forward(addr)
		if err != nil {
			return nil, err
		}
		defer stop()
		j.Addr = via
		if found {
			j.Addr = scheme + "://" + via
		}
	}
	client, err := startProcess(ctx, "client", j, c.pin)
	if err != nil {
		return nil, err
	}
	defer client.stop()
	for {
		said, err := client.hear()
		if err != nil || said.Order == "" {
			return said.Metrics, err
		}
		if err := server.tell(said.Order); err != nil {
			return nil, err
		}
		used, err := server.hear()
		if err != nil {
			return nil, err
		}
		if err := client.tell(used); err != nil {
			return nil, err
		}
	}
}

// childMain is main in a child. It returns false in the parent.
func childMain() bool {
	role := os.Getenv(childEnv)
	if role == "" {
		return false
	}
	var j job
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	if err := in.Decode(&j); err != nil {
		os.Exit(1)
	}
	time.AfterFunc(j.Limit, func() { os.Exit(1) })
	l := &lab{job: j, out: out, said: make(chan json.RawMessage)}
	go func() { // sees the end of stdin at any moment
		for {
			var v json.RawMessage
			if in.Decode(&v) != nil {
				os.Exit(0)
			}
			l.said <- v
		}
	}()
	run := l.server
	if role == "client" {
		run = l.client
	}
	if err := run(); err != nil {
		failed := reply{Error: fmt.Sprintf("%s, %s/%s: %v", j.System, j.Scenario, j.Case, err)}
		if err := out.Encode(failed); err != nil {
			os.Exit(1) // the parent is gone
		}
	}
	<-l.said // until stdin ends
	return true
}

// A lab is a child as seen from inside. In the client it measures both.
type lab struct {
	job
	out     *json.Encoder
	said    chan json.RawMessage
	profile *os.File
	from    [2]usage // client, server
}

func (l *lab) server() error {
	s, err := systemNamed(l.System)
	if err != nil {
		return err
	}
	addr, stop, err := s.serve()
	if err != nil {
		return err
	}
	defer stop()
	if err := l.out.Encode(reply{Addr: addr}); err != nil {
		return err
	}
	for v := range l.said {
		var o order
		if err := json.Unmarshal(v, &o); err != nil {
			return err
		}
		used, err := l.obey(o, "server")
		if err != nil {
			return err
		}
		if err := l.out.Encode(reply{Usage: used}); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) client() error {
	s, err := systemNamed(l.System)
	if err != nil {
		return err
	}
	c, err := caseNamed(l.Scenario, l.Case)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m, err := c.run(ctx, l, s)
	if err != nil {
		return err
	}
	return l.out.Encode(reply{Metrics: m})
}

// obey carries out an order in this process.
func (l *lab) obey(o order, role string) (used usage, err error) {
	switch o {
	case orderStart:
		if err := settle(); err != nil {
			return usage{}, err
		}
		if l.Profile != "" && l.profile == nil {
			if l.profile, err = os.Create(l.Profile + "-" + role + ".cpu.pprof"); err != nil {
				return usage{}, err
			}
			if err := pprof.StartCPUProfile(l.profile); err != nil {
				return usage{}, err
			}
		}
		return readUsage()
	case orderStop:
		if used, err = readUsage(); err == nil && l.profile != nil {
			pprof.StopCPUProfile()
			err, l.profile = errors.Join(l.profile.Close(), l.profileAllocs(role)), nil
		}
		return used, err
	}
	return usage{}, fmt.Errorf("bench: unknown order %q", o)
}

// profileAllocs writes what was allocated where since the process began.
func (l *lab) profileAllocs(role string) error {
	f, err := os.Create(l.Profile + "-" + role + ".allocs.pprof")
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}

// ask has the server carry out an order, through the parent.
func (l *lab) ask(o order) (usage, error) {
	if err := l.out.Encode(reply{Order: o}); err != nil {
		return usage{}, err
	}
	var r reply
	err := json.Unmarshal(<-l.said, &r)
	return r.Usage, err
}

// start begins the measured part, in both processes. Nothing else may go on meanwhile.
func (l *lab) start() (err error) {
	if l.from[1], err = l.ask(orderStart); err != nil {
		return err
	}
	l.from[0], err = l.obey(orderStart, "client")
	return err
}

// stop ends the measured part and tells what each process has used since start.
func (l *lab) stop() (client, server usage, err error) {
	if client, err = l.obey(orderStop, "client"); err != nil {
		return usage{}, usage{}, err
	}
	if server, err = l.ask(orderStop); err != nil {
		return usage{}, usage{}, err
	}
	return client.since(l.from[0]), server.since(l.from[1]), nil
}
