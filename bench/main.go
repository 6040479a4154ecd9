// Bench measures chum's call layer against others, all in one run on one machine:
// server and client in two processes over loopback, systems interleaved round by
// round, medians. Only ratios within a run mean something. It runs on Linux.
//
//	go run .                 all scenarios, about 25 minutes; results go to results/
//	go run . -short          about three minutes; nothing is written
//	go run . -only calls     one scenario, or several with commas
//	go run . -table          only generate the tables, and the chart, again
//
// Exit code 1 says that it could not measure, 2 that a flag is wrong; goals that
// are missed are shown, and with -must end in exit code 3.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if childMain() {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// runLimit ends a run that has met a machine too slow for it.
const runLimit = time.Hour

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var (
		short   = flags.Bool("short", false, "few, short rounds; writes no results unless -out says where")
		only    = flags.String("only", "", "scenarios to run, with commas: "+strings.Join(scenarioNames(), ", "))
		systems = flags.String("systems", "", "systems to measure, with semicolons (empty: all); goals may go without a figure then")
		rounds  = flags.Int("rounds", 0, "rounds of each case (0: 5, with -short 2; of wan, and of systems that no goal names, 3 and 1)")
		conns   = flags.Int("conns", 0, "idle connections (0: 1,000)")
		out     = flags.String("out", "results", "directory for the results, one .txt and one .json a scenario; empty: none")
		file    = flags.String("json", "", "file for all results of this run as one JSON array")
		readme  = flags.String("readme", "", "file that has the short table; the full one is in the README.md in -out")
		picture = flags.String("chart", "", "SVG file for the chart")
		profile = flags.String("profile", "", "directory for CPU and allocation profiles of each process in the first round")
		again   = flags.Bool("table", false, "measure nothing, generate the tables from the results in -out")
		must    = flags.Bool("must", false, "exit with 3 if a goal of the first column is missed")
	)
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		_, _ = fmt.Fprintf(stderr, "bench: unexpected %q; scenarios go behind -only\n", flags.Arg(0))
		return 2
	}
	wanted := scenarioNames()
	if *only != "" {
		wanted = strings.Split(*only, ",")
		for _, name := range wanted {
			if !slices.Contains(scenarioNames(), name) {
				_, _ = fmt.Fprintf(stderr, "bench: no scenario is named %q; there are %s\n", name, strings.Join(scenarioNames(), ", "))
				return 2
			}
		}
	}
	size := fullSizes
	if *short {
		size = shortSizes
		if !isSet(flags, "out") {
			*out = ""
		}
	}
	if *rounds > 0 {
		size.Rounds, size.LongRounds = *rounds, *rounds
	}
	if *conns > 0 {
		size.Conns = *conns
	}
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()

	var results []result
	fail := func(err error) int {
		_, _ = fmt.Fprintf(stderr, "\n%v\n", err)
		return 1
	}
	if *profile != "" {
		if err := os.MkdirAll(*profile, 0o755); err != nil {
			return fail(err)
		}
	}
	if !*again {
		on, busy := machine()
		if busy {
			_, _ = fmt.Fprintln(stderr, "bench: the machine is busy with other work; latencies and transfers will wander")
		}
		for _, s := range scenarios {
			if !slices.Contains(wanted, s.name) {
				continue
			}
			r := result{Scenario: s.name, Title: s.title, Date: time.Now(), Machine: on, Command: "go run . " + strings.Join(args, " "), Sizes: size}
			var err error
			if r.Cases, err = runScenario(ctx, s.among(*systems), size, *profile, stderr); err != nil {
				return fail(errors.Join(context.Cause(ctx), err))
			}
			if len(r.Cases) == 0 {
				continue // nothing to run it on, as was said
			}
			if err := r.print(stdout); err != nil {
				return fail(err)
			}
			results = append(results, r)
			if *out != "" {
				if err := r.save(*out); err != nil {
					return fail(err)
				}
			}
		}
	}
	if *file != "" {
		raw, err := json.MarshalIndent(results, "", " ")
		if err == nil {
			err = os.WriteFile(*file, append(raw, '\n'), 0o644)
		}
		if err != nil {
			return fail(err)
		}
	}
	if *out != "" {
		saved, err := newest(*out)
		if err == nil && len(saved) == 0 {
			err = errNoResults
		}
		if err == nil {
			err = writeBetween(filepath.Join(*out, "README.md"), fullTable(saved))
		}
		if err == nil && *readme != "" {
			err = writeBetween(*readme, shortTable(saved))
		}
		if err == nil && *picture != "" {
			err = writeChart(*picture, saved)
		}
		if err != nil {
			return fail(err)
		}
		if *again {
			results = saved
		}
	}
	first, then := reached(results)
	_, _ = fmt.Fprintf(stdout, "goals reached: first %d of %d, then %d of %d\n", first.reached, first.all, then.reached, then.all)
	if *must && first.reached < first.all {
		return 3
	}
	return 0
}

func scenarioNames() (names []string) {
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

func isSet(flags *flag.FlagSet, name string) (set bool) {
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}
