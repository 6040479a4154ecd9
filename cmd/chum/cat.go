package main

import (
	"bufio"
	"context"

	"github.com/spf13/cobra"

	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/object/local"
)

func (a *app) catCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cat NAME/PATH|NAME|LINK...",
		Short: "Print the content of a file",
		Long: `Print the content of files to standard output, one after the other. Each chunk is checked
before it is printed. There is no JSON form of it.`,
		Example: `  chum cat notes/2026/plan.md
  chum cat mydb.sql | psql mydb`,
		Args:              arguments(1, -1, "what to print"),
		ValidArgsFunction: a.completeFirstName,
		RunE: func(c *cobra.Command, args []string) error {
			if a.json {
				return misuse("cat prints bytes as they are, which JSON cannot hold").hinted("leave --json out; chum ls --json tells what there is about a file")
			}
			return a.withStore(func(store *local.Store) error {
				for _, what := range args {
					if err := a.cat(c.Context(), store, what); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (a *app) cat(ctx context.Context, store *local.Store, what string) error {
	e, err := find(ctx, store, what)
	if err != nil {
		return err
	}
	switch e.Kind {
	case object.KindTree:
		return fail(exitFailed, "%s is a directory", what).hinted("chum ls %s lists it", what)
	case object.KindSymlink:
		return fail(exitFailed, "%s is a symlink to %s", what, shown(e.Target)).hinted("print what it points at")
	}
	f, err := object.Open(ctx, store, e.Link())
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(a.stdout, 64<<10)
	if _, err := f.WriteTo(w); err != nil {
		w.Flush() //nolint:errcheck // what was checked is printed; the error says more
		return err
	}
	return w.Flush()
}
