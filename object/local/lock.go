package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// LockedError says that the store is open in another process, or a second
// time in this one.
type LockedError struct {
	Dir     string
	PID     int    // of the holder; 0 if it has not said yet
	Command string // the holder's command line, as far as it fits in 1 KiB
}

// Error says who holds the store.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("local: %s is in use by another process: wait for it or stop it", e.Dir)
	}
	return fmt.Sprintf("local: %s is in use by process %d (%s): wait for it or stop it", e.Dir, e.PID, e.Command)
}

// lock is the right to use a directory. The operating system gives it back
// when the process ends, however it ends.
type lock struct {
	held   *flock.Flock
	holder string // the file that says who holds it
}

// lockDir takes the lock of dir or returns a *LockedError.
func lockDir(dir string) (*lock, error) {
	l := &lock{
		held:   flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600)),
		holder: filepath.Join(dir, "holder"),
	}
	switch ok, err := l.held.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("local: lock %s: %w", dir, err)
	case !ok:
		return nil, l.whoHolds(dir)
	}
	// Only for the error of whoever comes second: failing is no harm.
	_ = os.WriteFile(l.holder, fmt.Appendf(nil, "%d\n%s\n", os.Getpid(), commandLine()), 0o600)
	return l, nil
}

// release gives the lock back.
func (l *lock) release() error {
	_ = os.Remove(l.holder)
	return l.held.Close()
}

// whoHolds returns the error that names the holder. There is a moment between
// taking the lock and saying so; the error is then less precise, not wrong.
func (l *lock) whoHolds(dir string) error {
	e := &LockedError{Dir: dir}
	b, err := os.ReadFile(l.holder)
	if err != nil {
		return e
	}
	pid, command, _ := strings.Cut(strings.TrimSuffix(string(b), "\n"), "\n")
	if e.PID, err = strconv.Atoi(pid); err != nil || e.PID < 1 {
		return &LockedError{Dir: dir}
	}
	e.Command = command
	return e
}

// commandLine returns this process's, fit to be shown in one line.
func commandLine() string {
	line := strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.Join(os.Args, " "))
	const limit = 1 << 10
	if len(line) > limit {
		line = strings.ToValidUTF8(line[:limit], "") + "..."
	}
	return line
}
