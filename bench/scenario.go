package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A scenario is one question, asked of several systems in interleaved rounds.
type scenario struct {
	name, title string
	long        bool // each trial takes seconds: fewer rounds
	cases       []benchCase
}

// A benchCase is one table of a scenario.
type benchCase struct {
	name    string
	systems []string // by name, chum first
	columns []string // the metrics shown; the first is the one compared
	pin     bool     // both processes on one CPU, the same
	link    *link    // between them; nil stands for none, which is loopback
	times   int      // trials of each system a round; 0 stands for 1
	node    bool     // all clients run on Node, which has its own run
	run     func(ctx context.Context, l *lab, s system) (metrics, error)
}

var scenarios = []scenario{latencyScenario, callsScenario, sleepScenario, streamScenario, besideScenario, wanScenario, idleScenario, hookScenario, resumeScenario, nodeScenario}

func caseNamed(scenario, name string) (benchCase, error) {
	for _, s := range scenarios {
		for _, c := range s.cases {
			if s.name == scenario && c.name == name {
				return c, nil
			}
		}
	}
	return benchCase{}, fmt.Errorf("bench: no case is named %s/%s", scenario, name)
}

// sizes says how much each trial does.
type sizes struct {
	Rounds     int           `json:"rounds"`
	LongRounds int           `json:"longRounds"`
	Warm       time.Duration `json:"warm"`    // before the measured part, in nanoseconds
	Measure    time.Duration `json:"measure"` // of a scenario with calls
	Open       int           `json:"open"`    // calls open in scenario sleep
	Stream     int64         `json:"stream"`  // bytes
	Conns      int           `json:"conns"`   // idle
	Wan        time.Duration `json:"wan"`     // of a transfer that fills its link
	Limit      time.Duration `json:"limit"`   // for one trial
}

var (
	fullSizes  = sizes{Rounds: 5, LongRounds: 3, Warm: 300 * time.Millisecond, Measure: time.Second, Open: 10_000, Stream: 1 << 30, Conns: 1_000, Wan: 3 * time.Second, Limit: time.Minute}
	shortSizes = sizes{Rounds: 2, LongRounds: 1, Warm: 50 * time.Millisecond, Measure: 200 * time.Millisecond, Open: 3_000, Stream: 256 << 20, Conns: 300, Wan: 1000 * time.Millisecond, Limit: 30 * time.Second}
)

// among returns s with only the systems named, with semicolons; all if none is.
func (s scenario) among(names string) scenario {
	if names == "" {
		return s
	}
	s.cases = slices.Clone(s.cases)
	for i, c := range s.cases {
		s.cases[i].systems = slices.DeleteFunc(slices.Clone(c.systems), func(name string) bool {
			return !slices.Contains(strings.Split(names, ";"), name)
		})
	}
	s.cases = slices.DeleteFunc(s.cases, func(c benchCase) bool { return len(c.systems) == 0 })
	return s
}

// runScenario runs all trials of s: round by round, in each every system once, so that
// a busy moment of the machine meets all alike. A system that no goal names and that
// fails is left out from then on, and so is all that needs Node where there is none;
// progress says why.
func runScenario(ctx context.Context, s scenario, size sizes, profile string, progress io.Writer) ([]caseResult, error) {
	results := make([]caseResult, len(s.cases))
	for i, c := range s.cases {
		results[i] = caseResult{Name: c.name, Systems: make([]systemResult, len(c.systems))}
		for k, name := range c.systems {
			results[i].Systems[k].Name = name
		}
	}
	rounds := size.Rounds
	if s.long {
		rounds = size.LongRounds
	}
	out := map[string]bool{}
	leave := func(which string, why error) {
		out[which] = true
		_, _ = fmt.Fprintf(progress, "\r\x1b[Kleft out of %s: %s: %v\n", s.name, which, why)
	}
	for round := range rounds {
		for i, c := range s.cases {
			for n := range max(1, c.times) * len(c.systems) {
				name := c.systems[n%len(c.systems)]
				of, err := systemNamed(name)
				if err != nil {
					return nil, err
				}
				which := name + " in " + c.name
				if out[name] || out[which] || of.also && round >= size.LongRounds {
					continue
				}
				if (of.node || c.node) && nodeReady() != nil {
					leave(name, nodeReady())
					continue
				}
				_, _ = fmt.Fprintf(progress, "\r\x1b[K%s/%s, round %d of %d: %s", s.name, c.name, round+1, rounds, name)
				j := job{System: name, Scenario: s.name, Case: c.name, Limit: size.Limit, Size: size}
				if profile != "" && round == 0 && n < len(c.systems) {
					j.Profile = profile + "/" + strings.Join([]string{s.name, fileName(c.name), fileName(name)}, "-")
				}
				m, err := trial(ctx, j, c)
				switch {
				case err == nil:
					r := &results[i].Systems[n%len(c.systems)]
					r.Samples = append(r.Samples, m)
				case of.also && ctx.Err() == nil:
					leave(which, err)
				default:
					return nil, err
				}
			}
		}
	}
	_, _ = fmt.Fprint(progress, "\r\x1b[K")
	for i := range results {
		r := &results[i]
		r.Systems = slices.DeleteFunc(r.Systems, func(s systemResult) bool { return len(s.Samples) == 0 })
		for k := range r.Systems {
			r.Systems[k].Median = medians(r.Systems[k].Samples)
		}
	}
	return slices.DeleteFunc(results, func(c caseResult) bool { return len(c.Systems) == 0 }), nil
}

// fileName makes a name fit for a file.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, s)
}

// medians returns the median of each metric.
func medians(samples []metrics) metrics {
	m := metrics{}
	for name := range samples[0] {
		var all []float64
		for _, s := range samples {
			all = append(all, s[name])
		}
		m[name] = median(all)
	}
	return m
}

func median(v []float64) float64 {
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// quantile returns the q-th part of sorted durations in microseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	i := min(len(sorted)-1, int(q*float64(len(sorted))))
	return float64(sorted[i]) / float64(time.Microsecond)
}
