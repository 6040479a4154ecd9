package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chumsync/chum/conformance"
	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/spec/vectors"
	"github.com/chumsync/chum/wsrpc"
)

type conformanceOptions struct {
	serve  bool
	listen string
	only   []string
}

// conformanceReport is what conformance prints with --json.
type conformanceReport struct {
	conformance.Result
	Passed     int                   `json:"passed"`
	Failed     int                   `json:"failed"`
	NotOffered int                   `json:"notOffered"`
	Verdicts   []conformance.Verdict `json:"verdicts"`
	Seconds    float64               `json:"seconds"`
}

func (a *app) conformanceCommand() *cobra.Command {
	var o conformanceOptions
	c := &cobra.Command{
		Use:   "conformance URL | --serve",
		Short: "Judge another implementation of the protocol",
		Long: `Play the cases of the conformance suite against the server at URL: calls and streams in both
directions, frames right and wrong, connections that are cut, slow or split. The server has to
serve the methods of spec/conformance.md; with --serve this command does, until SIGINT or SIGTERM.

Prints how many cases of each group passed, and each that failed with what came instead; the exit
code is 1 if one did. What a server may leave out, such as sessions, and does not offer is not
played and not counted as passed. --json prints the verdict of each case.`,
		Example: `  chum conformance --serve
  chum conformance ws://127.0.0.1:7172
  chum conformance ws://127.0.0.1:7172 --only frames,streams
  chum conformance ws://127.0.0.1:7172 --json | jq '.verdicts[] | select(.why)'`,
		Args: arguments(0, 1, "the URL of a server"),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case o.serve == (len(args) > 0):
				return misuse("chum conformance needs either the URL of a server or --serve").hinted("usage: %s", c.UseLine())
			case o.serve:
				return a.serveConformance(c.Context(), o.listen)
			}
			return a.conformance(c.Context(), args[0], o.only)
		},
	}
	c.Flags().BoolVar(&o.serve, "serve", false, "serve the methods of the suite, as an implementation under test does")
	c.Flags().StringVar(&o.listen, "listen", "127.0.0.1:7172", "with --serve, listen on `ADDR`, host and port; port 0 takes a free one")
	c.Flags().StringSliceVar(&o.only, "only", nil, "play only the cases of this `GROUP`; may be given again, or as a list with commas")
	return c
}

func (a *app) conformance(ctx context.Context, address string, only []string) error {
	url, err := serverURL(address)
	if err != nil {
		return err
	}
	file, err := conformance.Load(vectors.Conformance)
	if err != nil {
		return err
	}
	if err := restrict(&file, only); err != nil {
		return err
	}
	peer, err := a.connect(ctx, address) // for errors that say what to do
	if err != nil {
		return err
	}
	peer.Close()
	proxy, err := conformance.NewProxy(url)
	if err != nil {
		return err
	}
	defer proxy.Close()
	start := time.Now()
	verdicts, err := (&conformance.Suite{File: file, URL: url, Proxy: proxy}).Run(ctx)
	if errors.Is(err, conformance.ErrNoSuite) {
		return fail(exitNotFound, "%w", err).hinted("spec/conformance.md says what it has to serve; chum conformance --serve does")
	}
	if err != nil {
		return err
	}
	return a.printConformance(conformanceReport{
		Result: conformance.Summarize("chum → "+address, vectors.Conformance, verdicts), Verdicts: verdicts, Seconds: seconds(time.Since(start)),
	})
}

// restrict leaves only the cases of some groups; none named are all.
func restrict(file *conformance.File, only []string) error {
	var groups []string
	for _, c := range file.Cases {
		if !slices.Contains(groups, c.Group) {
			groups = append(groups, c.Group)
		}
	}
	for _, name := range only {
		if !slices.Contains(groups, name) {
			return misuse("there is no group of cases named %q", name).hinted("the groups are: %s", strings.Join(groups, ", "))
		}
	}
	if len(only) > 0 {
		file.Cases = slices.DeleteFunc(file.Cases, func(c conformance.Case) bool { return !slices.Contains(only, c.Group) })
	}
	return nil
}

func (a *app) printConformance(r conformanceReport) error {
	total := r.Total()
	r.Passed, r.NotOffered = total.Passed, total.NotOffered
	r.Failed = total.Cases - total.Passed - total.NotOffered
	if a.json {
		if err := a.stdout.document(r); err != nil {
			return err
		}
	} else {
		rows := [][]cell{}
		for _, g := range append(r.Groups, total) {
			row := []cell{{text: g.Name, shade: bold}, {text: g.String(), right: true}, {}}
			switch {
			case g.NotOffered > 0:
				row[2] = cell{text: counted(g.NotOffered, "case") + " not offered", shade: faint}
			case g.Passed < g.Cases:
				row[1].shade = red
			}
			rows = append(rows, row)
		}
		a.stdout.table(rows)
		for _, v := range r.Verdicts {
			if v.Why != "" {
				a.stdout.printf("%s %s: %s: %s\n", a.stdout.paint(red, "failed:"), v.Group, v.Name, harmless(v.Why))
			}
		}
	}
	if r.Failed > 0 {
		return fail(exitFailed, "%s of %s failed", count(r.Failed), counted(total.Cases-total.NotOffered, "case")).
			hinted("spec/conformance.md says how a case reads; spec/vectors/conformance.json has it")
	}
	return nil
}

// serveConformance serves the methods of the suite until it is told to end.
func (a *app) serveConformance(ctx context.Context, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return misuse("--listen %q: %w", addr, err).hinted("give address and port, such as 127.0.0.1:7172 or :7172")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fail(exitFailed, "%w", err).hinted("choose another address or port with --listen; port 0 takes a free one")
	}
	log := a.logger(slog.LevelInfo)
	quiet := a.logger(slog.LevelError) // what breaks rules is what the suite is for
	peers := wsrpc.Handler(conformance.Services("resume"), &wsrpc.Options{RPC: rpc.Options{Logger: quiet}})
	server := &http.Server{
		Handler:           onlyHosts(log, peers, []string{host}),
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerSize,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	address := "ws://" + listener.Addr().String()
	if a.json {
		err = a.stdout.line(serveEvent{Event: "ready", URL: address})
	} else {
		_, err = fmt.Fprintln(a.stdout, address)
	}
	if err == nil {
		select {
		case err = <-failed:
		case <-ctx.Done():
		}
	}
	drain(log, server, peers)
	return err
}
