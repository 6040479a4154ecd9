package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/rpc/tsgen"
)

type genOptions struct {
	tsgen.Options

	file string // "" is standard output
}

func (a *app) genCommand() *cobra.Command {
	var o genOptions
	c := &cobra.Command{
		Use:   "gen ts URL|- [-o FILE] [--only METHOD]",
		Short: "Generate a TypeScript client for the methods of another side",
		Long: `Write TypeScript for the methods of the server at URL, for the npm package @chumsync/chum: the
types, a function for each method that calls it, a constant for each that both sides use, and
checks of all that arrives. "-" reads from standard input what chum methods URL --json printed,
so that the file can be made without the server.

What JavaScript cannot hold is an error that names the method, the place and what to do, such as
an integer of 64 bits without bounds; --only leaves out the methods that are not named.
A FILE that would not change is not touched.`,
		Example: `  chum gen ts ws://127.0.0.1:7171 -o src/methods.ts
  chum gen ts ws://127.0.0.1:7171 --only getRef,listRefs
  chum methods ws://127.0.0.1:7171 --json > methods.json
  chum gen ts - -o src/methods.ts < methods.json`,
		Args:              arguments(2, 2, `the language, ts, and the URL of a server or "-"`),
		RunE:              func(c *cobra.Command, args []string) error { return a.gen(c.Context(), args, o) },
		ValidArgsFunction: completeLanguage,
	}
	c.Flags().StringVarP(&o.file, "output", "o", "", "write to `FILE`, not to standard output")
	c.Flags().StringSliceVar(&o.Only, "only", nil, "leave out all but this `METHOD`; may be given again, or as a list with commas")
	c.Flags().StringVar(&o.Import, "import", "", "import the runtime from `MODULE` (default @chumsync/chum)")
	c.Flags().StringVar(&o.Check, "import-check", "", "import the checkers from `MODULE` (default that of --import with /check)")
	_ = c.MarkFlagFilename("output", "ts")
	_ = c.RegisterFlagCompletionFunc("only", func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) != 2 || args[1] == "-" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.methodNames(c.Context(), args[1])
	})
	return c
}

func completeLanguage(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"ts\tTypeScript"}, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) gen(ctx context.Context, args []string, o genOptions) error {
	if args[0] != "ts" {
		return misuse("%q is no language that is generated", args[0]).hinted("chum gen ts generates TypeScript")
	}
	d, err := a.description(ctx, args[1])
	if err != nil {
		return err
	}
	text, err := tsgen.Generate(d, &o.Options)
	if err != nil {
		return fail(exitFailed, "%s", strings.ReplaceAll(err.Error(), "tsgen: ", "")).
			hinted("--only METHOD leaves out the methods that are not named; chum methods URL lists them")
	}
	if o.file == "" {
		_, err := a.stdout.Write(text)
		return err
	}
	if old, err := os.ReadFile(o.file); err == nil && bytes.Equal(old, text) {
		a.note("%s is up to date\n", shown(o.file))
		return nil
	}
	if err := os.WriteFile(o.file, text, 0o644); err != nil {
		return err
	}
	a.note("%s written\n", shown(o.file))
	return nil
}

// note tells of something that went well.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		a.stderr.printf(format, args...)
	}
}

// description asks a server what it serves, or reads what one said.
func (a *app) description(ctx context.Context, address string) (d rpc.Description, err error) {
	if address == "-" {
		text, err := a.readInput(ctx)
		if err != nil {
			return d, err
		}
		if err = json.Unmarshal(text, &d); err == nil && d.Methods == nil {
			err = errors.New("it has no member methods")
		}
		if err != nil {
			return d, misuse("standard input does not tell of methods: %w", err).hinted("it should hold what chum methods URL --json prints")
		}
		return d, nil
	}
	peer, err := a.connect(ctx, address)
	if err != nil {
		return d, err
	}
	defer peer.Close()
	return rpc.Methods.Call(ctx, peer, struct{}{})
}
