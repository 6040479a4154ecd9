package main

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/chumsync/chum/rpc"
)

func (a *app) methodsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "methods URL [METHOD]",
		Short: "List what can be called at another side",
		Long: `List the methods of the server at URL: name, kind, the Go types of argument and result, who
may call (the rule) and what the method does. For one METHOD, tell all of it, with JSON Schemas.
--json prints all that the server says, as one document.

  call    takes an argument, answers once
  source  answers with a stream
  sink    is fed a stream, answers once
  duplex  is fed a stream and answers with one`,
		Example: `  chum methods ws://127.0.0.1:7171
  chum methods ws://127.0.0.1:7171 getRef
  chum methods ws://127.0.0.1:7171 --json | jq -r .methods[].name`,
		Args:              arguments(1, 2, "the URL of a server, and at most one method"),
		RunE:              func(c *cobra.Command, args []string) error { return a.methods(c.Context(), args) },
		ValidArgsFunction: a.completeMethod,
	}
}

// completionTime is how long a shell waits for what it may offer.
const completionTime = 2 * time.Second

// completeMethod offers the methods of the server whose URL stands before.
func (a *app) completeMethod(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.methodNames(c.Context(), args[0])
}

// methodNames are the methods of a server as a shell offers them.
func (a *app) methodNames(ctx context.Context, address string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	peer, err := a.connect(ctx, address)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer peer.Close()
	d, err := rpc.Methods.Call(ctx, peer, struct{}{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, m := range d.Methods {
		names = append(names, harmless(m.Name)+"\t"+harmless(firstSentence(m.Doc)))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) methods(ctx context.Context, args []string) error {
	peer, err := a.connect(ctx, args[0])
	if err != nil {
		return err
	}
	defer peer.Close()
	if len(args) == 2 {
		d, m, err := describe(ctx, peer, args[0], args[1])
		if err != nil {
			return err
		}
		if a.json {
			return a.stdout.document(m)
		}
		return a.printMethod(d, m)
	}
	d, err := rpc.Methods.Call(ctx, peer, struct{}{})
	if err != nil {
		return err
	}
	if a.json {
		return a.stdout.document(d)
	}
	rows := make([][]cell, 0, len(d.Methods))
	for _, m := range d.Methods {
		rows = append(rows, []cell{
			{text: harmless(m.Name), shade: bold},
			{text: harmless(m.Kind)},
			{text: harmless(signature(m))},
			{text: harmless(m.Rule)},
			{text: harmless(firstSentence(m.Doc)), shade: faint},
		})
	}
	a.stdout.table(rows)
	return nil
}

// printMethod tells all of one method, and of the types it needs.
func (a *app) printMethod(d rpc.Description, m rpc.MethodInfo) error {
	a.stdout.printf("%s  %s  %s\n", a.stdout.paint(bold, harmless(m.Name)), harmless(m.Kind), harmless(signature(m)))
	if m.Rule != "" {
		a.stdout.printf("rule: %s\n", harmless(m.Rule))
	}
	if m.Doc != "" {
		a.stdout.printf("\n%s\n", harmless(m.Doc))
	}
	var needed []string
	for _, part := range []struct {
		name string
		rpc.TypeInfo
	}{{"arguments", m.Args}, {"items in", m.In}, {"result", m.Result}, {"items out", m.Out}} {
		if part.Go == "" {
			continue
		}
		a.stdout.printf("\n%s: %s, %s\n", part.name, harmless(part.Go), harmless(part.Form))
		if part.Positions != nil {
			a.stdout.printf("by name, or by position: %s\n", harmless(strings.Join(part.Positions, ", ")))
		}
		if part.Raw != "" {
			a.stdout.printf("raw bytes: %s\n", harmless(part.Raw))
		}
		if part.Schema != nil {
			needed = references(d, part.Schema, needed)
			if err := a.printSchema(part.Schema); err != nil {
				return err
			}
		}
	}
	for _, name := range needed {
		a.stdout.printf("\n%s\n", harmless(name))
		if err := a.printSchema(d.Defs[name]); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printSchema(schema jsontext.Value) error {
	schema = schema.Clone()
	if err := schema.Indent(jsontext.WithIndent("  ")); err != nil {
		return err
	}
	a.stdout.printf("%s\n", harmless(string(schema)))
	return nil
}

var reference = regexp.MustCompile(`"\$ref":"#/\$defs/([^"]*)"`)

// references adds the definitions that a schema needs, and those that they need.
func references(d rpc.Description, schema jsontext.Value, found []string) []string {
	for _, r := range reference.FindAllSubmatch(schema, -1) {
		if name := string(r[1]); !slices.Contains(found, name) && d.Defs[name] != nil {
			found = references(d, d.Defs[name], append(found, name))
		}
	}
	return found
}

// firstSentence is what a list has room for of a comment.
func firstSentence(doc string) string {
	doc, _, _ = strings.Cut(doc, "\n\n")
	doc = strings.ReplaceAll(doc, "\n", " ")
	if sentence, _, ok := strings.Cut(doc, ". "); ok {
		return sentence + "."
	}
	return doc
}

// signature writes what goes in and out of a method.
func signature(m rpc.MethodInfo) string {
	in := m.Args.Go
	if m.Args.Form == "none" {
		in = ""
	}
	if m.In.Go != "" {
		if in != "" {
			in += ", "
		}
		in += "stream of " + m.In.Go
	}
	if !strings.HasPrefix(in, "(") { // a plain function has its parentheses
		in = "(" + in + ")"
	}
	switch {
	case m.Out.Go != "":
		return in + " stream of " + m.Out.Go
	case m.Result.Form == "none":
		return in
	}
	return in + " " + m.Result.Go
}
