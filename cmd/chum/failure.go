package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/chumsync/chum"
	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/object/local"
	"github.com/chumsync/chum/rpc"
)

// The exit codes. They are part of the interface: programs decide by them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitConnection  = 5
	exitRefused     = 6
	exitInterrupted = 130 // 128 and the number of SIGINT, as shells count
)

const exitText = `Exit codes:
  0    done
  1    failed
  2    wrong usage
  3    not found: a name, a path, an object, a method
  4    conflict: both sides changed a name
  5    cannot connect, or the connection was lost
  6    refused: permission denied, here or at the other side
  130  interrupted`

// A failure is an error for people: what was wrong, what to do, and the exit code.
type failure struct {
	err  error
	hint string // may be empty
	code int
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// hinted says what to do.
func (f *failure) hinted(format string, args ...any) *failure {
	f.hint = fmt.Sprintf(format, args...)
	return f
}

// fail makes a failure.
func fail(code int, format string, args ...any) *failure {
	return &failure{err: fmt.Errorf(format, args...), code: code}
}

// misuse makes a failure of wrong usage.
func misuse(format string, args ...any) *failure { return fail(exitUsage, format, args...) }

// explain turns what a command returned into a failure with a hint.
func (a *app) explain(ctx context.Context, err error) *failure {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || rpc.CodeOf(err) == rpc.Cancelled) {
		f := fail(exitInterrupted, "interrupted")
		switch a.command {
		case "put", "sync":
			f.hint = "what was stored so far is kept: the same command goes on from there"
		case "get":
			f.hint = "what was written so far stays: remove it and run the same command again"
		}
		return f
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return &failure{err: err, hint: f.hint, code: f.code} // with what was wrapped around it
	}
	if a.command == "" {
		return misuse("%w", err).hinted("see chum --help")
	}
	f := &failure{err: err, code: exitFailed}
	if !explainLocal(f) && !explainRemote(f) {
		explainFiles(f)
	}
	return f
}

// explainLocal knows the errors of the store here and of what it holds.
func explainLocal(f *failure) bool {
	if locked, ok := errors.AsType[*local.LockedError](f.err); ok {
		explainLocked(f, locked)
		return true
	}
	switch err := f.err; {
	case errors.Is(err, chum.ErrConflicts):
		f.code = exitConflict
		f.hint = "chum sync URL NAME --pull takes the other side's version, --push this side's;" +
			" the one that is replaced stays in its store, under the link that is printed as old"
	case errors.Is(err, object.ErrConflict):
		f.code = exitConflict
		f.hint = "somebody changed it at the same moment: run the same command again"
	case errors.Is(err, local.ErrNewer):
		f.hint = "use the newer chum, or another store with --store DIR"
	case errors.Is(err, object.ErrCorrupt):
		f.hint = "the disk changed what was stored: put the same content again, or fetch it with chum sync URL NAME --pull; then check the disk"
	case errors.Is(err, object.ErrBadName):
		f.code = exitUsage
		f.hint = "a name is one word such as notes; give another one with --name"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		f.hint = "the disk is full: free some space and run the same command again; what was stored so far is kept"
	default:
		return false
	}
	return true
}

func explainLocked(f *failure, locked *local.LockedError) {
	if locked.PID == 0 {
		f.err = fmt.Errorf("the store %s is in use by another process", locked.Dir)
		f.hint = "wait for it, or use another store with --store DIR"
		return
	}
	f.err = fmt.Errorf("the store %s is in use by process %d: %s", locked.Dir, locked.PID, locked.Command)
	if strings.Contains(locked.Command, " serve") {
		f.hint = fmt.Sprintf("a server holds its store: reach it with chum sync URL, stop it with kill %d, or use another store with --store DIR", locked.PID)
		return
	}
	f.hint = fmt.Sprintf("wait for it, stop it with kill %d, or use another store with --store DIR", locked.PID)
}

// explainRemote knows what the other side answers.
func explainRemote(f *failure) bool {
	remote, ok := errors.AsType[*rpc.Error](f.err)
	if !ok {
		return false
	}
	switch remote.Code {
	case rpc.PermissionDenied, rpc.Unauthenticated:
		f.code = exitRefused
		f.hint = "the server only gives: start it with chum serve --write to let others change its names, or fetch only, with chum sync URL --pull"
	case rpc.NotFound:
		f.code = exitNotFound
	case rpc.Unimplemented:
		f.code = exitNotFound
		f.hint = "chum methods URL lists what there is"
	case rpc.Aborted:
		f.code = exitConflict
		f.hint = "somebody changed it at the same moment: run the same command again"
	case rpc.Unavailable:
		f.code = exitConnection
		f.hint = "the connection was lost: run the same command again, what came over is kept"
	case rpc.DeadlineExceeded:
		f.hint = "the other side did not answer in time: try again, or give a call more time with --timeout"
	case rpc.Internal:
		f.hint = "the reason stands in the log of the other side"
	case rpc.ResourceExhausted:
		f.hint = "the other side has no room left: its disk is full, or a limit is reached"
	}
	return true
}

// explainFiles knows errors of files and what else is left.
func explainFiles(f *failure) {
	switch {
	case errors.Is(f.err, object.ErrNotFound):
		f.code = exitNotFound
		f.hint = "chum ls lists the names here, chum call URL listRefs those at the other side"
	case errors.Is(f.err, fs.ErrNotExist):
		f.code = exitNotFound
		f.hint = "check the path"
	case errors.Is(f.err, fs.ErrPermission):
		f.code = exitRefused
		f.hint = "check whom it belongs to and its mode"
	}
}

// text is the error as people read it: without the packages it went through.
func (f *failure) text() string {
	s := ": " + f.err.Error()
	for _, pkg := range []string{"chum", "object", "local", "rpc", "ws"} {
		s = strings.ReplaceAll(s, ": "+pkg+": ", ": ")
	}
	return strings.TrimPrefix(s, ": ")
}
