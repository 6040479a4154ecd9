package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/object/local"
)

// putResult is what put prints about a path.
type putResult struct {
	Name        string        `json:"name"`
	Path        string        `json:"path"`
	Link        string        `json:"link"`
	Root        object.Link   `json:"root"`
	Changed     bool          `json:"changed"` // the name points at something new
	Files       int64         `json:"files"`
	Directories int64         `json:"directories"`
	Objects     int64         `json:"objects"`
	Seconds     float64       `json:"seconds"`
	Skipped     []skippedPath `json:"skipped"`
}

type skippedPath struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

func (a *app) putCommand() *cobra.Command {
	var name string
	var noTimes bool
	c := &cobra.Command{
		Use:   "put PATH... [--name NAME]",
		Short: "Keep files and directories under names",
		Long: `Keep each PATH, a file or directory of any size, under a name: the last element of the
path unless --name says otherwise. A name that is there already gets a new version; what did
not change is not stored again. "-" keeps standard input, and needs --name.

Modes, times of modification and symlinks are kept; symlinks are not followed. Sockets, pipes
and devices are skipped, and it says so. Prints each name and the link to what was kept.`,
		Example: `  chum put ~/notes
  chum put . --name project
  pg_dump mydb | chum put - --name mydb.sql`,
		Args: arguments(1, -1, "a PATH"),
		RunE: func(c *cobra.Command, paths []string) error {
			if name != "" && len(paths) > 1 {
				return misuse("--name is for one path, and here are %d", len(paths)).hinted("put them one at a time, or without --name")
			}
			jobs, err := putJobs(paths, name)
			if err != nil {
				return err
			}
			return a.withStore(func(store *local.Store) error {
				for _, job := range jobs {
					if err := a.put(c.Context(), store, job, noTimes); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	c.Flags().StringVar(&name, "name", "", "keep it under `NAME`, for a single path")
	c.Flags().BoolVar(&noTimes, "no-times", false, "leave times of modification out, so that equal contents have equal links")
	return c
}

// putJob is a path and the name that it is kept under.
type putJob struct{ path, name string }

// putJobs finds the names before anything is read, which may take long.
func putJobs(paths []string, name string) ([]putJob, error) {
	var jobs []putJob
	taken := map[string]string{}
	for _, path := range paths {
		job := putJob{path, name}
		switch {
		case path == "":
			return nil, misuse("a path is empty").hinted(`the current directory is "."`)
		case name != "":
		case path == "-":
			return nil, misuse("standard input has no name").hinted("give it one with --name")
		default:
			full, err := filepath.Abs(path)
			if err != nil {
				return nil, err
			}
			job.name = filepath.Base(full)
		}
		if err := object.CheckName(job.name); err != nil {
			return nil, misuse("%s: %w", path, err).hinted("give it another name with --name")
		}
		if other, ok := taken[job.name]; ok {
			return nil, misuse("%s and %s would both be kept as %q", other, path, job.name).hinted("put one of them by itself, with --name")
		}
		taken[job.name] = path
		jobs = append(jobs, job)
	}
	return jobs, nil
}

func (a *app) put(ctx context.Context, store *local.Store, job putJob, noTimes bool) error {
	start := time.Now()
	result := putResult{Name: job.name, Path: job.path, Skipped: []skippedPath{}}
	meter := a.meter("put "+shown(job.name), "object")
	root, err := intake(ctx, a.stdin, store, job.path, &result, noTimes, meter)
	meter.stop()
	for _, s := range result.Skipped {
		a.stderr.printf("%s: skipped, %s\n", shown(s.Path), s.Reason)
	}
	if err != nil {
		return err
	}
	result.Root, result.Link = root, root.String()
	if result.Changed, err = point(ctx, store, job.name, root); err != nil {
		return err
	}
	took := time.Since(start)
	result.Seconds = seconds(took)
	if a.json {
		return a.stdout.line(result)
	}
	a.stdout.printf("%s  %s\n", a.stdout.paint(bold, shown(job.name)), root)
	switch {
	case a.quiet:
	case !result.Changed:
		a.stderr.printf("%s: unchanged, %s\n", shown(job.name), amount(root.Size))
	default:
		a.stderr.printf("%s: %s in %s and %s, %s objects, in %s (%s)\n", shown(job.name), amount(root.Size), counted(result.Files, "file"),
			counted(result.Directories, "directory"), count(result.Objects), duration(took), rate(root.Size, took))
	}
	return nil
}

// intake stores what is at path, or what standard input has.
func intake(ctx context.Context, stdin io.Reader, store *local.Store, path string, result *putResult, noTimes bool, meter *meter) (object.Link, error) {
	if path == "-" {
		in := interruptible(ctx, stdin)
		defer in.Close()
		l, err := object.PutFile(ctx, store, &counter{r: in, meter: meter})
		result.Files = 1
		return l, err
	}
	defer scan(ctx, path, meter)()
	return object.Import(ctx, store, path, &object.ImportOptions{
		NoTimes: noTimes,
		Progress: func(p object.Progress) {
			meter.set(p.Bytes, p.Objects)
			result.Files, result.Directories, result.Objects = p.Files, p.Directories, p.Objects
		},
		Skipped: func(path, reason string) {
			result.Skipped = append(result.Skipped, skippedPath{path, reason})
		},
	})
}

// scan finds out how much there is at path, for the time left to be known, while it is read
// already. The caller calls end when that does not matter any more.
func scan(ctx context.Context, path string, meter *meter) (end func()) {
	if meter == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		var total int64
		err := filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				if info, err := e.Info(); err == nil {
					total += info.Size()
				}
			}
			return ctx.Err() // what cannot be read is for Import to say
		})
		if err == nil {
			meter.expect(total, false)
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}

// point lets a name point at root. It tells whether that changed anything.
func point(ctx context.Context, refs object.Refs, name string, root object.Link) (changed bool, err error) {
	for {
		now := time.Now()
		next := object.Ref{Name: name, Root: root, Changed: now.UTC().Round(0)}
		switch ref, err := refs.Ref(ctx, name); {
		case errors.Is(err, object.ErrNotFound):
		case err != nil:
			return false, err
		case ref.Root == root:
			return false, nil
		default:
			next = ref.Next(root, now)
		}
		if err := refs.SetRef(ctx, next); !errors.Is(err, object.ErrConflict) {
			return err == nil, err
		}
	}
}

// counter tells a meter what was read.
type counter struct {
	r     io.Reader
	n     int64
	meter *meter
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.meter.set(c.n, 0)
	return n, err
}

// interruptible reads from r until ctx ends, even while r has nothing to give: a terminal or
// a pipe may wait for ever.
func interruptible(ctx context.Context, r io.Reader) io.ReadCloser {
	out, in := io.Pipe()
	go func() {
		_, err := io.Copy(in, r)
		in.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	return out
}
