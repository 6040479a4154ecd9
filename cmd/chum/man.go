package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/chumsync/chum"
)

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man [DIR]",
		Short:  "Print the manual pages as roff, or write them to a directory",
		Hidden: true,
		Example: `  chum man | man -l -
  chum man /usr/local/share/man/man1`,
		Args: arguments(0, 1, "at most a directory"),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				manPage(a.stdout, c.Root())
				return nil
			}
			for _, page := range append([]*cobra.Command{c.Root()}, c.Root().Commands()...) {
				if page.Hidden || page.Name() == "help" {
					continue
				}
				var b strings.Builder
				manPage(&b, page)
				path := filepath.Join(args[0], manName(page)+".1")
				if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
					return err
				}
				if _, err := fmt.Fprintln(a.stdout, path); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manPage writes the page of a command, from the same texts as its help, in the macros of
// man(7).
func manPage(w io.Writer, c *cobra.Command) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	p(`.TH %q 1 "" "chum %s" "chum"`, strings.ToUpper(manName(c)), roff(chum.Version))
	p(".SH NAME\n%s \\- %s", roff(manName(c)), roff(c.Short))
	p(".SH SYNOPSIS\n.B %s", roff(useLine(c)))
	p(".SH DESCRIPTION")
	long := c.Long
	if long == "" {
		long = c.Short + "."
	}
	for part := range strings.SplitSeq(long, "\n\n") {
		manParagraph(p, part)
	}
	if !c.HasParent() {
		p(".SH COMMANDS")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				p(".TP\n.B %s\n%s", roff(sub.Use), roff(sub.Short))
			}
		}
	}
	manFlags(p, "OPTIONS", c.LocalFlags())
	if c.HasParent() {
		manFlags(p, "OPTIONS OF EVERY COMMAND", c.InheritedFlags())
	}
	if c.Example != "" {
		p(".SH EXAMPLES\n.nf\n%s\n.fi", roff(c.Example))
	}
	if c.HasParent() {
		p(".SH SEE ALSO\n.BR chum (1), which has the exit codes and the environment")
		return
	}
	manList(p, exitText)
	manList(p, environmentText)
	p(".SH FILES\n.TP\n.I $XDG_DATA_HOME/chum/store\nthe store, unless \\-\\-store or CHUM_STORE says otherwise")
}

// manList prints a text of the help, a title and lines of a word and what it means, as a
// section.
func manList(p func(string, ...any), text string) {
	title, lines, _ := strings.Cut(text, ":\n")
	p(".SH %s", strings.ToUpper(title))
	for line := range strings.Lines(lines) {
		word, meaning, _ := strings.Cut(strings.TrimSpace(line), " ")
		p(".TP\n.B %s\n%s", roff(word), roff(strings.TrimSpace(meaning)))
	}
}

func useLine(c *cobra.Command) string {
	if !c.HasParent() {
		return "chum COMMAND [--flags]"
	}
	return c.UseLine()
}

// manParagraph prints a paragraph; indented lines stay as they are.
func manParagraph(p func(string, ...any), text string) {
	p(".PP")
	if strings.HasPrefix(text, " ") {
		p(".nf\n%s\n.fi", roff(text))
		return
	}
	p("%s", roff(text))
}

func manFlags(p func(string, ...any), title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	p(".SH %s", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0s" {
			usage += " (default " + f.DefValue + ")"
		}
		p(".TP\n.B %s\n%s", roff(name), roff(usage))
	})
}

// roff writes text so that it means itself: backslashes, dashes that are to stay dashes, and
// lines that would begin with a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
