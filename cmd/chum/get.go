package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/object/local"
)

// getResult is what get prints.
type getResult struct {
	Link        string      `json:"link"`
	Root        object.Link `json:"root"`
	Path        string      `json:"path"`
	Files       int64       `json:"files"`
	Directories int64       `json:"directories"`
	Bytes       int64       `json:"bytes"`
	Seconds     float64     `json:"seconds"`
}

func (a *app) getCommand() *cobra.Command {
	options := &object.ExportOptions{}
	c := &cobra.Command{
		Use:   "get NAME|NAME/PATH|LINK DEST",
		Short: "Write out what was kept",
		Long: `Write what a name, a path below it, a link (tree:9f86...) or a bare hash points at to DEST.
For a directory DEST must not exist or be empty, for a file it must not exist: nothing is ever
overwritten, and nothing is written outside of DEST. Every byte is checked.

Modes, times and symlinks are restored as they were kept; setuid, setgid and sticky bits only
with --special-bits.`,
		Example: `  chum get notes ./notes
  chum get notes/2026/plan.md plan.md
  chum get tree:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 ./old`,
		Args:              arguments(2, 2, "what to get and where to write it"),
		ValidArgsFunction: a.completeFirstName,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withStore(func(store *local.Store) error { return a.get(c.Context(), store, args[0], args[1], options) })
		},
	}
	c.Flags().BoolVar(&options.NoTimes, "no-times", false, "leave times of modification as they come")
	c.Flags().BoolVar(&options.SpecialBits, "special-bits", false, "restore setuid, setgid and sticky bits as well")
	return c
}

func (a *app) completeFirstName(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return a.completeNames(c, args, prefix)
}

func (a *app) get(ctx context.Context, store *local.Store, what, dest string, options *object.ExportOptions) error {
	e, err := find(ctx, store, what)
	if err != nil {
		return err
	}
	if e.Kind == object.KindSymlink {
		return fail(exitFailed, "%s is a symlink to %s", what, shown(e.Target)).hinted("get what it points at, or the directory that it is in")
	}
	start := time.Now()
	result := getResult{Link: e.Link().String(), Root: e.Link(), Path: filepath.Clean(dest)}
	meter := a.meter("get "+shown(what), "file")
	meter.expect(e.Size, false)
	options.Progress = func(p object.Progress) {
		meter.set(p.Bytes, p.Files)
		result.Files, result.Directories, result.Bytes = p.Files, p.Directories, p.Bytes
	}
	err = object.Export(ctx, store, e.Link(), dest, options)
	meter.stop()
	if err != nil {
		return err
	}
	took := time.Since(start)
	result.Seconds = seconds(took)
	if a.json {
		return a.stdout.document(result)
	}
	if !a.quiet {
		a.stderr.printf("%s: %s in %s and %s, in %s (%s)\n", shown(dest), amount(result.Bytes), counted(result.Files, "file"),
			counted(result.Directories, "directory"), duration(took), rate(result.Bytes, took))
	}
	return nil
}
