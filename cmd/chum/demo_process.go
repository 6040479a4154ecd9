package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
)

// process prepares a command of this program on one of the two stores.
func (d *demo) process(ctx context.Context, store string, args []string, quiet bool) *exec.Cmd {
	args = append(args, "--json", "--store", filepath.Join(d.dir, store))
	if quiet || d.quiet {
		args = append(args, "--quiet")
	}
	c := exec.CommandContext(ctx, d.self, args...) //nolint:gosec // it is this program
	c.Stderr = d.stderr.Writer
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 2 * drainTime
	return c
}

// chum runs a command to its end and decodes what it prints.
func (d *demo) chum(ctx context.Context, store string, into decoder, args ...string) error {
	d.command(store, args)
	out, err := d.process(ctx, store, args, false).Output()
	if err != nil {
		return ended(ctx, args, err)
	}
	return into.decode(out)
}

// ended is the error of a command that failed; it said why itself.
func ended(ctx context.Context, args []string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("the demonstration ends here: chum %s: %w", strings.Join(args, " "), err)
}

// host starts the server on store A. It returns where it is and what ends it.
func (d *demo) host(ctx context.Context) (url string, stop func() error, err error) {
	d.begin("Serve store A from a process of its own")
	args := []string{"serve", "--listen", "127.0.0.1:0", "--write"}
	d.command("A", args)
	start := time.Now()
	server := d.process(ctx, "A", args, true)
	pipe, err := server.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := server.Start(); err != nil {
		return "", nil, err
	}
	out := bufio.NewReader(pipe)
	ready, err := nextEvent(out)
	if err != nil {
		return "", nil, errors.Join(ended(ctx, args, err), server.Wait())
	}
	d.done(start, 0, "process %d listens at %s", ready.PID, ready.URL)
	return ready.URL, func() error {
		if err := server.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		done, err := nextEvent(out)
		if waited := server.Wait(); waited != nil {
			return ended(ctx, args, waited)
		}
		if err == nil && done.Served != nil {
			d.result.Served = *done.Served
		}
		return err
	}, nil
}

// nextEvent reads a line that serve prints.
func nextEvent(out *bufio.Reader) (e serveEvent, err error) {
	line, err := out.ReadBytes('\n')
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the server ended early")
		}
		return e, err
	}
	return e, json.Unmarshal(line, &e, jsonOptions)
}
