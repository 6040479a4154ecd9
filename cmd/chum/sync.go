package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/chumsync/chum"
	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/object/local"
	"github.com/chumsync/chum/rpc"
)

// syncResult is what sync prints.
type syncResult struct {
	URL        string        `json:"url"`
	DryRun     bool          `json:"dryRun"`
	Steps      []chum.Step   `json:"steps"`
	Pulled     chum.Received `json:"pulled"` // objects that came here
	Pushed     chum.Received `json:"pushed"` // objects that went there
	Seconds    float64       `json:"seconds"`
	Connection rpc.Stats     `json:"connection"`
}

func (a *app) syncCommand() *cobra.Command {
	var pull, push bool
	var plan chum.Plan
	c := &cobra.Command{
		Use:   "sync URL [NAME...] [--pull|--push] [--dry-run]",
		Short: "Bring names up to date, here and at a server",
		Long: `Bring the names given, or all names of both sides, up to date with the server at URL: what
only one side has or has changed goes to the other. Only objects that are missing travel, and
a name is set when everything beneath it is there; so it may be broken off at any moment.

A name that both sides changed is a conflict: it is left as it is on both, and the exit code
is 4. With --pull or --push one side's version is taken; the other one stays in its store,
under the link that is printed as old. The server must be started with --write to be changed.`,
		Example: `  chum sync ws://127.0.0.1:7171
  chum sync files.example.org:7171 notes --pull
  chum sync ws://127.0.0.1:7171 --push --dry-run`,
		Args: arguments(1, -1, "the URL of a server"),
		ValidArgsFunction: func(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.completeNames(c, args[1:], prefix)
		},
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case pull && push:
				return misuse("--pull and --push exclude each other").hinted("without either, both sides are brought up to date")
			case pull:
				plan.Direction = chum.Pull
			case push:
				plan.Direction = chum.Push
			}
			plan.Names = args[1:]
			for _, name := range plan.Names {
				if err := object.CheckName(name); err != nil {
					return misuse("%w", err).hinted("chum ls lists the names here")
				}
			}
			return a.withStore(func(store *local.Store) error { return a.sync(c.Context(), store, args[0], plan) })
		},
	}
	c.Flags().BoolVar(&pull, "pull", false, "change only this side; of what both sides changed, take the other side's")
	c.Flags().BoolVar(&push, "push", false, "change only the other side; of what both sides changed, take this side's")
	c.Flags().BoolVarP(&plan.DryRun, "dry-run", "n", false, "tell what would be done, and do nothing")
	return c
}

func (a *app) sync(ctx context.Context, store *local.Store, address string, plan chum.Plan) error {
	start := time.Now()
	peer, err := a.connect(ctx, address)
	if err != nil {
		return err
	}
	defer peer.Close()
	report, err := a.bring(ctx, store, peer, plan)
	if done := peer.Shutdown(ctx); err == nil {
		err = done
	}
	took := time.Since(start)
	result := syncResult{
		URL: address, DryRun: plan.DryRun, Steps: report.Steps,
		Pulled: report.Total(chum.Pulled), Pushed: report.Total(chum.Pushed),
		Seconds: seconds(took), Connection: peer.Stats(),
	}
	if result.Steps == nil {
		result.Steps = []chum.Step{}
	}
	if a.json {
		if printed := a.stdout.document(result); err == nil {
			err = printed
		}
	} else {
		a.printSync(result, took, err)
	}
	return err
}

// bring brings the names over and shows how far it is.
func (a *app) bring(ctx context.Context, store *local.Store, peer *rpc.Peer, plan chum.Plan) (*chum.Report, error) {
	if plan.DryRun {
		return chum.NewSync(store).Run(ctx, peer, plan)
	}
	var current string
	var m *meter
	plan.Progress = func(p chum.Progress) {
		if p.Name != current {
			m.stop()
			current, m = p.Name, a.meter(string(p.Action)+" "+shown(p.Name), "object")
			m.expect(p.Content, true) // what is there already does not move
		}
		m.set(p.Moved.Bytes, p.Moved.Objects)
	}
	report, err := chum.NewSync(store).Run(ctx, peer, plan)
	m.stop()
	return report, err
}

func (a *app) printSync(result syncResult, took time.Duration, failed error) {
	var rows [][]cell
	same := 0
	for _, s := range result.Steps {
		if s.Action == chum.Same {
			same++
			if !a.verbose {
				continue
			}
		}
		rows = append(rows, stepRow(s))
	}
	a.stdout.table(rows)
	for _, s := range result.Steps {
		a.printOld(s, result.DryRun)
	}
	if a.quiet {
		return
	}
	wire := int64(result.Connection.Sent.Bytes + result.Connection.Received.Bytes)
	moved := result.Pulled.Bytes + result.Pushed.Bytes
	switch {
	case failed != nil && !errors.Is(failed, chum.ErrConflicts): // the error says more
	case result.DryRun:
		a.stderr.printf("dry run: nothing was changed\n")
	case len(rows) == 0 || same == len(result.Steps):
		a.stderr.printf("everything up to date: %s, %s on the wire, in %s\n", counted(same, "name"), amount(wire), duration(took))
	default:
		a.stderr.printf("%s, %s moved (%s on the wire) in %s (%s)\n", counted(result.Pulled.Objects+result.Pushed.Objects, "object"),
			amount(moved), amount(wire), duration(took), rate(moved, took))
	}
	if a.verbose {
		a.stderr.stats(result.Connection)
	}
}

// stepRow is a step in a table: what was done, objects, bytes, name.
func stepRow(s chum.Step) []cell {
	shades := map[chum.Action]shade{chum.Pulled: green, chum.Pushed: green, chum.Conflict: red, chum.Behind: amber, chum.Refused: red, chum.Same: faint}
	objects, size := "-", "-"
	if s.Moved.Objects > 0 {
		objects, size = counted(s.Moved.Objects, "object"), amount(s.Moved.Bytes)
	}
	return []cell{
		{text: string(s.Action), shade: shades[s.Action]},
		{text: objects, right: true},
		{text: size, right: true},
		{text: shown(s.Name), shade: bold},
	}
}

// printOld tells where the version that was replaced is to be found, and both of a conflict.
func (a *app) printOld(s chum.Step, dry bool) {
	switch {
	case s.Action == chum.Conflict:
		a.stderr.printf("%s: both sides changed it: here %s, there %s\n", shown(s.Name), s.Root, s.Theirs)
	case dry || s.Old.IsZero() || s.Old == s.Root:
	case s.Action == chum.Pulled && a.verbose:
		a.stderr.printf("%s: the old version stays here as %s\n", shown(s.Name), s.Old)
	case s.Action == chum.Pushed && a.verbose:
		a.stderr.printf("%s: the old version stays there as %s\n", shown(s.Name), s.Old)
	}
}
