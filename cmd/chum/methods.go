package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chumsync/chum/rpc"
)

func (a *app) methodsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "methods URL",
		Short: "List what can be called at another side",
		Long: `List the methods of the server at URL: name, kind, and the Go types of argument and result.

  call    takes an argument, answers once
  source  answers with a stream
  sink    is fed a stream, answers once
  duplex  is fed a stream and answers with one`,
		Example: `  chum methods ws://127.0.0.1:7171
  chum methods ws://127.0.0.1:7171 --json | jq -r .name`,
		Args: arguments(1, 1, "the URL of a server"),
		RunE: func(c *cobra.Command, args []string) error { return a.methods(c.Context(), args[0]) },
	}
}

func (a *app) methods(ctx context.Context, address string) error {
	peer, err := a.connect(ctx, address)
	if err != nil {
		return err
	}
	defer peer.Close()
	description, err := rpc.Methods.Call(ctx, peer, struct{}{})
	if err != nil {
		return err
	}
	var rows [][]cell
	for _, m := range description.Methods {
		if a.json {
			if err := a.stdout.line(m); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []cell{
			{text: harmless(m.Name), shade: bold},
			{text: harmless(m.Kind)},
			{text: harmless(signature(m))},
		})
	}
	a.stdout.table(rows)
	return nil
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
