package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/adrg/xdg"
	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func main() { os.Exit(run(os.Args[1:])) }

// run is the whole program: it returns the exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second signal ends the process at once

	a := &app{stdin: os.Stdin, stdout: newOutput(os.Stdout), stderr: newOutput(os.Stderr)}
	root := a.root()
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		f := a.explain(ctx, err)
		a.stderr.failure(f)
		return f.code
	}
	return exitOK
}

// app is what all commands share: the flags that each of them has, and where input and output
// go.
type app struct {
	stdin          io.Reader
	stdout, stderr *output

	store   string // the directory
	json    bool
	quiet   bool
	verbose bool

	command string // that began; errors before that are wrong usage
}

// Groups of commands in the help.
const (
	groupKeep   = "keep"
	groupBring  = "bring"
	groupLook   = "look"
	groupExtras = "extras"
)

func (a *app) root() *cobra.Command {
	cobra.EnableCommandSorting = false // they stand in the order in which one meets them
	root := &cobra.Command{
		Use:   "chum",
		Short: "Keep directories as objects and bring them over, by promises on one WebSocket",
		Long: `chum keeps directories and files of any size in a store, under names, and brings
names over to other stores: only what is missing there, checked byte by byte.`,
		Example: `  chum demo                               see it work
  chum put ~/notes                        keep a directory under the name notes
  chum serve                              let others fetch it
  chum sync ws://host:7171 notes --pull   fetch it, or what changed
  chum get notes ./notes                  write it out again`,
		Version:           version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		PersistentPreRun: func(*cobra.Command, []string) {
			slog.SetDefault(a.logger(slog.LevelWarn))
		},
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetUsageTemplate(usageTemplate)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return misuse("%w", err).hinted("see %s --help", c.CommandPath())
	})
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetHelpCommandGroupID(groupExtras)
	root.SetCompletionCommandGroupID(groupExtras)

	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVar(&a.store, "store", "", "use the store in `DIR` (default $CHUM_STORE, or "+shortHome(defaultStore())+")")
	flags.BoolVar(&a.json, "json", false, "print JSON: one document, or one line per item of a list")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "print no progress and no summary, only data and errors")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "tell more, on standard error")
	flags.BoolP("help", "h", false, "print help, also of a command: chum put --help")
	_ = root.MarkPersistentFlagDirname("store")

	root.AddGroup(
		&cobra.Group{ID: groupKeep, Title: "Keep and look:"},
		&cobra.Group{ID: groupBring, Title: "Bring over:"},
		&cobra.Group{ID: groupLook, Title: "Talk to another side:"},
		&cobra.Group{ID: groupExtras, Title: "More:"},
	)
	for _, g := range []struct {
		id       string
		commands []*cobra.Command
	}{
		{groupKeep, []*cobra.Command{a.putCommand(), a.getCommand(), a.lsCommand(), a.catCommand()}},
		{groupBring, []*cobra.Command{a.serveCommand(), a.syncCommand()}},
		{groupLook, []*cobra.Command{a.callCommand(), a.methodsCommand(), a.genCommand(), a.statusCommand(), a.conformanceCommand()}},
		{groupExtras, []*cobra.Command{a.demoCommand(), a.versionCommand(), a.manCommand()}},
	} {
		for _, c := range g.commands {
			c.GroupID = g.id
			c.Flags().SortFlags = false
			c.DisableFlagsInUseLine = true
			run := c.RunE
			c.RunE = func(c *cobra.Command, args []string) error {
				a.command = c.Name()
				return run(c, args)
			}
			root.AddCommand(c)
		}
	}
	return root
}

// usageTemplate is cobra's, in fewer words and in the order in which one reads.
const usageTemplate = `{{"Usage:"}}
  {{if .Runnable}}{{.UseLine}}{{else}}{{.CommandPath}} COMMAND [--flags]{{end}}
{{if .HasExample}}
Examples:
{{.Example}}
{{end}}{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{range $group := .Groups}}
{{.Title}}{{range $cmds}}{{if (and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help")))}}
  {{rpad .Name 12}}{{.Short}}{{end}}{{end}}
{{end}}{{if not .Groups}}
Commands:{{range $cmds}}{{if .IsAvailableCommand}}
  {{rpad .Name 12}}{{.Short}}{{end}}{{end}}
{{end}}{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasAvailableInheritedFlags}}
Flags of every command:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if not .HasParent}}
` + exitText + "\n\n" + environmentText + `
{{end}}`

const environmentText = `Environment:
  CHUM_STORE  directory of the store; --store goes before it
  NO_COLOR    set to anything: print no colours`

// defaultStore is where the store is when nobody says otherwise: $XDG_DATA_HOME/chum/store.
func defaultStore() string { return filepath.Join(xdg.DataHome, "chum", "store") }

// storeDir is the directory of the store: flag before environment before default.
func (a *app) storeDir() string {
	switch env := os.Getenv("CHUM_STORE"); {
	case a.store != "":
		return a.store
	case env != "":
		return env
	}
	return defaultStore()
}

// shortHome writes the home directory as people do.
func shortHome(path string) string {
	if rest, ok := strings.CutPrefix(path, xdg.Home+string(filepath.Separator)); ok && xdg.Home != "" {
		return filepath.Join("~", rest)
	}
	return path
}

// logger makes what reports to standard error: what is at least as grave as level, all with
// --verbose, and with --quiet warnings only.
func (a *app) logger(level slog.Level) *slog.Logger {
	switch {
	case a.verbose:
		level = slog.LevelDebug
	case a.quiet:
		level = slog.LevelWarn
	}
	return slog.New(tint.NewTextHandler(a.stderr, &tint.Options{Level: level, TimeFormat: "15:04:05", NoColor: !a.stderr.colour}))
}

// arguments says how many arguments a command takes, in words that name them.
func arguments(least, most int, names string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return misuse("%s needs %s", c.CommandPath(), names).hinted("usage: %s", c.UseLine())
		case most >= 0 && len(args) > most:
			return misuse("%s takes only %s; %q is too much", c.CommandPath(), names, args[most]).hinted("usage: %s", c.UseLine())
		}
		return nil
	}
}

// terminal tells whether a file is one, and how wide.
func terminal(f *os.File) (is bool, width int) {
	fd := int(f.Fd())
	if !term.IsTerminal(fd) {
		return false, 0
	}
	width, _, err := term.GetSize(fd)
	if err != nil || width <= 0 {
		width = 80
	}
	return true, width
}
