package main

import (
	"fmt"
	"slices"
	"strings"
)

// A goal is what chum is to reach in a scenario: first, and then.
type goal struct {
	Scenario, What string
	First, Then    []check
}

// A check bounds one of chum's medians, or the median of its ratios to another
// system in the same case, trial by trial: what moves the machine moves both.
type check struct {
	Case, Metric string
	Over         []string // ratio to that of these systems with the highest median; none: the figure itself
	AtLeast      float64  // one of these two is set
	AtMost       float64
	Headline     string  // its row in the short table; empty: it is in the full one only
	Prototype    float64 // what the throwaway prototype of the performance table had; 0: not known
}

// goals are those of the performance table which this program measures.
var goals = []goal{
	{
		Scenario: "latency", What: "p50, one call open, pinned, to raw TCP",
		First: []check{
			{Case: "bytes", Metric: "p50 µs", Over: []string{"raw TCP"}, AtMost: 2},
			{Case: "typed", Metric: "p50 µs", Over: []string{"raw TCP"}, AtMost: 2.6},
		},
		Then: []check{
			{Case: "bytes", Metric: "p50 µs", Over: []string{"raw TCP"}, AtMost: 1.4, Headline: "p50 of one call open, bytes", Prototype: 1.47},
			{Case: "typed", Metric: "p50 µs", Over: []string{"raw TCP"}, AtMost: 1.8, Headline: "p50 of one call open, typed", Prototype: 2},
		},
	},
	{
		Scenario: "calls", What: "calls/s, 100 open, bytes",
		First: []check{{Case: "bytes", Metric: "calls/s", Over: []string{"grpc-go"}, AtLeast: 5}},
		Then: []check{
			{Case: "bytes", Metric: "calls/s", Over: []string{"grpc-go"}, AtLeast: 9, Headline: "100 calls open, bytes", Prototype: 9.75},
			{Case: "bytes", Metric: "CPU-µs/call", AtMost: 3, Prototype: 2.2},
		},
	},
	{
		Scenario: "calls", What: "calls/s, 100 open, typed",
		First: []check{
			{Case: "typed", Metric: "calls/s", Over: []string{"grpc-go"}, AtLeast: 2},
			{Case: "typed", Metric: "calls/s", Over: []string{"NATS"}, AtLeast: 1},
		},
		Then: []check{
			{Case: "typed", Metric: "calls/s", Over: []string{"grpc-go"}, AtLeast: 4, Headline: "100 calls open, typed", Prototype: 3.1},
			{Case: "typed", Metric: "calls/s", Over: []string{"NATS"}, AtLeast: 2, Prototype: 1.6},
		},
	},
	{
		Scenario: "calls", What: "allocations per call, both sides",
		First: []check{
			{Case: "bytes", Metric: "allocs", AtMost: 8},
			{Case: "typed", Metric: "allocs", AtMost: 24},
		},
		Then: []check{
			{Case: "bytes", Metric: "allocs", AtMost: 3, Prototype: 4},
			{Case: "typed", Metric: "allocs", AtMost: 8, Prototype: 30},
		},
	},
	{
		Scenario: "sleep", What: "10,000 open, 10 ms handlers",
		First: []check{{Case: "bytes", Metric: "calls/s", Over: []string{"grpc-go"}, AtLeast: 4}},
		Then: []check{
			{Case: "bytes", Metric: "calls/s", Over: []string{"grpc-go"}, AtLeast: 8, Headline: "10,000 calls open, handlers of 10 ms", Prototype: 8.9},
			{Case: "bytes", Metric: "p99 µs", AtMost: 5 * float64(handlerSleep.Microseconds()), Prototype: 45_000},
		},
	},
	{
		Scenario: "stream", What: "1 GiB stream, each direction",
		First: []check{
			{Case: "server to client", Metric: "MB/s", Over: rawWebSockets, AtLeast: 0.45},
			{Case: "server to client", Metric: "MB/s", Over: []string{"grpc-go"}, AtLeast: 2, Prototype: 2.5},
			{Case: "client to server", Metric: "MB/s", Over: rawWebSockets, AtLeast: 0.45},
			{Case: "client to server", Metric: "MB/s", Over: []string{"grpc-go"}, AtLeast: 2},
		},
		Then: []check{
			{Case: "server to client", Metric: "MB/s", Over: rawWebSockets, AtLeast: 0.8, Headline: "1 GiB stream, server to client", Prototype: 0.62},
			{Case: "server to client", Metric: "CPU s/GiB", AtMost: 0.5, Prototype: 0.55},
			{Case: "client to server", Metric: "MB/s", Over: rawWebSockets, AtLeast: 0.8, Headline: "1 GiB stream, client to server"},
			{Case: "client to server", Metric: "CPU s/GiB", AtMost: 0.5},
		},
	},
	{
		Scenario: "stream", What: "memory while it passes, each side, above the window",
		First: []check{
			{Case: "server to client", Metric: "peak MiB", AtMost: chumWindowMiB + 16},
			{Case: "client to server", Metric: "peak MiB", AtMost: chumWindowMiB + 16},
		},
		Then: []check{
			{Case: "server to client", Metric: "peak MiB", AtMost: chumWindowMiB + 2, Headline: "memory for it, the larger side", Prototype: 1},
			{Case: "client to server", Metric: "peak MiB", AtMost: chumWindowMiB + 2},
		},
	},
	{
		Scenario: "beside", What: "small call's p99 beside a 1 GiB stream, to idle",
		First: []check{
			{Case: "server to client", Metric: "p99 to idle", AtMost: 4},
			{Case: "client to server", Metric: "p99 to idle", AtMost: 4},
		},
		Then: []check{
			{Case: "server to client", Metric: "p99 to idle", AtMost: 1.8, Headline: "a small call beside it, p99", Prototype: 2.43},
			{Case: "server to client", Metric: "MB/s", Over: rawWebSockets, AtLeast: 0.6, Prototype: 0.71},
			{Case: "client to server", Metric: "p99 to idle", AtMost: 1.8},
			{Case: "client to server", Metric: "MB/s", Over: rawWebSockets, AtLeast: 0.6},
		},
	},
	{
		Scenario: "wan", What: "the same at 25 MB/s, 10 ms",
		First: []check{
			{Case: "25 MB/s 10 ms, down", Metric: "p99 to idle", AtMost: 3},
			{Case: "25 MB/s 10 ms, up", Metric: "p99 to idle", AtMost: 3},
		},
		Then: []check{
			{Case: "25 MB/s 10 ms, down", Metric: "p99 to idle", AtMost: 1.5, Headline: "the same behind a link of 25 MB/s, 10 ms", Prototype: 1.65},
			{Case: "25 MB/s 10 ms, down", Metric: "of the link", AtLeast: 0.98, Prototype: 0.99},
			{Case: "25 MB/s 10 ms, up", Metric: "p99 to idle", AtMost: 1.5},
			{Case: "25 MB/s 10 ms, up", Metric: "of the link", AtLeast: 0.98},
		},
	},
	slowGoal("20 Mbit/s 20 ms, down", "the same behind 20 Mbit/s, 20 ms"), slowGoal("20 Mbit/s 20 ms, up", ""),
	slowGoal("20 Mbit/s 20 ms, 8 down", ""), slowGoal("20 Mbit/s 20 ms, 8 up", "the same beside 8 streams up"),
	{
		Scenario: "wan", What: "throughput at 100 Mbit/s, 80 ms",
		Then: []check{
			{Case: "100 Mbit/s 80 ms, down", Metric: "MB/s", Over: rawWebSockets, AtLeast: 0.95, Headline: "stream over 100 Mbit/s, 80 ms", Prototype: 1},
			{Case: "100 Mbit/s 80 ms, up", Metric: "MB/s", Over: rawWebSockets, AtLeast: 0.95},
		},
	},
	{
		Scenario: "idle", What: "idle connection, everything on, server",
		First: []check{{Case: "connections", Metric: "server kB each", AtMost: 40}},
		Then:  []check{{Case: "connections", Metric: "server kB each", AtMost: 16, Headline: "an idle connection, server", Prototype: 11.1}},
	},
	{
		Scenario: "hook", What: "statistics and trace hook (used: more than unused can cost)",
		First: []check{
			{Case: "bytes", Metric: "CPU-µs/call", Over: []string{"chum, traced"}, AtLeast: 1 / 1.05},
			{Case: "typed", Metric: "CPU-µs/call", Over: []string{"chum, traced"}, AtLeast: 1 / 1.05},
		},
		Then: []check{
			{Case: "bytes", Metric: "CPU-µs/call", Over: []string{"chum, traced"}, AtLeast: 1 / 1.02},
			{Case: "typed", Metric: "CPU-µs/call", Over: []string{"chum, traced"}, AtLeast: 1 / 1.02},
		},
	},
	resumeGoal("calls that would survive a cut", "CPU-µs/call", "bytes", "typed"),
	resumeGoal("streams that would survive a cut", "MB/s", "server to client", "client to server"),
	{
		Scenario: "node", What: "calls from Node.js to a Go server, typed",
		Then: []check{
			{Case: "100 open", Metric: "client CPU-µs/call", Over: []string{"ws, JSON by hand"}, AtMost: 1.3, Headline: "Node.js calls Go, 100 open, CPU of the client"},
			{Case: "100 open", Metric: "calls/s", Over: nodePeers, AtLeast: 1, Headline: "Node.js calls Go, 100 open"},
			{Case: "1 open", Metric: "calls/s", Over: nodePeers, AtLeast: 1, Headline: "Node.js calls Go, 1 open, pinned"},
		},
	},
}

// resumeGoal says what resuming may cost: a tenth first, then 3 %.
func resumeGoal(what, metric string, cases ...string) goal {
	g := goal{Scenario: "resume", What: what}
	for _, name := range cases {
		c := check{Case: name, Metric: metric, Over: []string{"chum, no resume"}}
		first, then := c, c
		if metric == "MB/s" {
			first.AtLeast, then.AtLeast = 1/1.1, 1/1.03
		} else {
			first.AtMost, then.AtMost = 1.1, 1.03
		}
		g.First, g.Then = append(g.First, first), append(g.Then, then)
	}
	return g
}

// slowGoal is that of a case with the slow link.
func slowGoal(name, headline string) goal {
	return goal{
		Scenario: "wan", What: "the same at 20 Mbit/s, 20 ms",
		First: []check{{Case: name, Metric: "p99 ms above idle", AtMost: 100}},
		Then: []check{
			{Case: name, Metric: "p99 ms above idle", AtMost: 40, Headline: headline},
			{Case: name, Metric: "MB/s", Over: rawWebSockets, AtLeast: 0.95},
		},
	}
}

var rawWebSockets = []string{"gobwas/ws", "coder/websocket"}

// verdict evaluates the check: what chum has, and whether that is enough.
func (c check) verdict(cases []caseResult) (got float64, ok bool, err error) {
	chum := c.figures(cases, "chum")
	if chum == nil {
		return 0, false, fmt.Errorf("bench: case %s has no figure %q of chum", c.Case, c.Metric)
	}
	got = median(slices.Clone(chum))
	if len(c.Over) > 0 {
		var best []float64
		for _, name := range c.Over {
			v := c.figures(cases, name)
			if v != nil && (best == nil || median(slices.Clone(v)) > median(slices.Clone(best))) {
				best = v
			}
		}
		if len(best) != len(chum) {
			return 0, false, fmt.Errorf("bench: case %s lacks figures %q of %v", c.Case, c.Metric, c.Over)
		}
		ratios := make([]float64, len(chum))
		for i := range chum {
			ratios[i] = chum[i] / best[i]
		}
		got = median(ratios)
	}
	if c.AtLeast > 0 {
		return got, got >= c.AtLeast, nil
	}
	return got, got <= c.AtMost, nil
}

// figures returns a system's figure in each trial; nil if it is not there.
func (c check) figures(cases []caseResult, system string) (all []float64) {
	for _, found := range cases {
		for _, s := range found.Systems {
			if found.Name != c.Case || s.Name != system {
				continue
			}
			for _, m := range s.Samples {
				v, ok := m[c.Metric]
				if !ok {
					return nil
				}
				all = append(all, v)
			}
		}
	}
	return all
}

// wants says the bound in words.
func (c check) wants() string {
	var s string
	if c.AtLeast > 0 {
		s = "at least " + number(c.AtLeast)
	} else {
		s = "at most " + number(c.AtMost)
	}
	switch len(c.Over) {
	case 0:
		return s + " " + c.Metric
	case 1:
		return s + "x " + c.Over[0]
	}
	if slices.Equal(c.Over, rawWebSockets) {
		return s + "x raw WebSocket"
	}
	return s + "x the best of " + strings.Join(c.Over, ", ")
}
