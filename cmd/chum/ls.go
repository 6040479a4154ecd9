package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/object/local"
)

// pageRows is how many entries are aligned with each other. A directory may have millions.
const pageRows = 1000

func (a *app) lsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ls [NAME|NAME/PATH|LINK]",
		Short: "List the names, or what is in a directory",
		Long: `Without an argument, list the names: when each was changed, how much is beneath it, and
what it points at. With one, list the directory that it means, or the single file.

With --json, each name is a line as a ref has it, each entry a line as a directory has it.
File names that are not plain text are quoted.`,
		Example: `  chum ls
  chum ls notes/2026
  chum ls --json | jq -r .name`,
		Args:              arguments(0, 1, "at most one name, path or link"),
		ValidArgsFunction: a.completeFirstName,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withStore(func(store *local.Store) error {
				if len(args) == 0 {
					return a.listNames(c.Context(), store)
				}
				return a.listEntries(c.Context(), store, args[0])
			})
		},
	}
}

func (a *app) listNames(ctx context.Context, store *local.Store) error {
	var rows [][]cell
	for ref, err := range store.Refs(ctx) {
		if err != nil {
			return err
		}
		if a.json {
			if err := a.stdout.line(ref); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []cell{
			{text: date(ref.Changed), shade: faint},
			{text: amount(ref.Root.Size), right: true},
			{text: ref.Root.String()[:len(ref.Root.Kind)+13], shade: faint},
			{text: shown(ref.Name), shade: bold},
		})
	}
	a.stdout.table(rows)
	if len(rows) == 0 && !a.json && !a.quiet {
		a.stderr.printf("the store %s has no names yet: chum put PATH makes one\n", shortHome(a.storeDir()))
	}
	return nil
}

func (a *app) listEntries(ctx context.Context, store *local.Store, what string) error {
	e, err := find(ctx, store, what)
	if err != nil {
		return err
	}
	var rows [][]cell
	add := func(e object.Entry) error {
		if a.json {
			return a.stdout.line(e)
		}
		if rows = append(rows, row(e)); len(rows) == pageRows {
			a.stdout.table(rows)
			rows = rows[:0]
		}
		return nil
	}
	if e.Kind != object.KindTree {
		if e.Name == "" {
			e.Name, e.Mode = what, 0o644 // a file that is the root has no name or mode of its own
		}
		if err := add(e); err != nil {
			return err
		}
	} else {
		for child, err := range object.ReadTree(ctx, store, e.Link()) {
			if err == nil {
				err = add(child)
			}
			if err != nil {
				return err
			}
		}
	}
	a.stdout.table(rows)
	return nil
}

// row is an entry in a table: mode, size, time, name.
func row(e object.Entry) []cell {
	name := cell{text: shown(e.Name)}
	size := amount(e.Size)
	switch e.Kind {
	case object.KindTree:
		name.text += "/"
		name.shade = blue
	case object.KindSymlink:
		name.text += " -> " + shown(e.Target)
		size = "-"
	}
	return []cell{{text: modeText(e), shade: faint}, {text: size, right: true}, {text: date(e.Time), shade: faint}, name}
}

// modeText writes kind and mode as ls -l does.
func modeText(e object.Entry) string {
	if e.Kind == object.KindSymlink {
		return "lrwxrwxrwx"
	}
	text := []byte("-rwxrwxrwx")
	if e.Kind == object.KindTree {
		text[0] = 'd'
	}
	for i := range 9 {
		if e.Mode&(1<<(8-i)) == 0 {
			text[1+i] = '-'
		}
	}
	for _, special := range []struct {
		bit     uint32
		at      int
		on, off byte // with and without the right to execute
	}{{0o4000, 3, 's', 'S'}, {0o2000, 6, 's', 'S'}, {0o1000, 9, 't', 'T'}} {
		switch {
		case e.Mode&special.bit == 0:
		case text[special.at] == 'x':
			text[special.at] = special.on
		default:
			text[special.at] = special.off
		}
	}
	return string(text)
}
