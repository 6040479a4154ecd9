package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what a process has used up to now.
type usage struct {
	CPU        time.Duration `json:"cpu"`        // user and system
	Mallocs    uint64        `json:"mallocs"`    // heap objects allocated
	Goroutines int           `json:"goroutines"` // there now
	RSS        int64         `json:"rss"`        // bytes resident now
	Peak       int64         `json:"peak"`       // most bytes resident since settle
}

func readUsage() (usage, error) {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return usage{}, err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano()), Mallocs: m.Mallocs, Goroutines: runtime.NumGoroutine()}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return usage{}, err
	}
	for line := range strings.Lines(string(status)) {
		switch name, value, _ := strings.Cut(line, ":"); name {
		case "VmRSS":
			u.RSS, err = kilobytes(value)
		case "VmHWM":
			u.Peak, err = kilobytes(value)
		}
		if err != nil {
			return usage{}, err
		}
	}
	return u, nil
}

// kilobytes reads "  1234 kB".
func kilobytes(s string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(s), " kB"), 10, 64)
	return n << 10, err
}

// settle gives back to the system what is garbage, and makes the peak begin at
// what is left.
func settle() error {
	debug.FreeOSMemory()
	return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// since returns what was used between from and u; RSS and Goroutines are the growth,
// and Peak how far the most went above from.
func (u usage) since(from usage) usage {
	return usage{u.CPU - from.CPU, u.Mallocs - from.Mallocs, u.Goroutines - from.Goroutines, u.RSS - from.RSS, u.Peak - from.RSS}
}

// pinned runs start with the calling thread on one CPU, the last of those allowed;
// a process started there has that CPU only, as under taskset.
func pinned(start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("bench: which CPUs there are: %w", err)
	}
	last := -1
	for i := range 1024 {
		if all.IsSet(i) {
			last = i
		}
	}
	one.Set(last)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("bench: pin to CPU %d: %w", last, err)
	}
	defer func() { _ = unix.SchedSetaffinity(0, &all) }()
	return start()
}
