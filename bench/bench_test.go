package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if childMain() { // the test binary is its own server and client too
		return
	}
	goleak.VerifyTestMain(m)
}

var smokeSizes = sizes{
	Rounds: 1, LongRounds: 1, Warm: 20 * time.Millisecond, Measure: 50 * time.Millisecond, Open: 300,
	Stream: 4 << 20, Conns: 10, Wan: 200 * time.Millisecond, Limit: 30 * time.Second,
}

// TestSmoke runs every case of every scenario with all its systems, each a
// little, and looks whether all figures are there that the tables and goals name.
func TestSmoke(t *testing.T) {
	dir, ran := t.TempDir(), 0
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			var progress bytes.Buffer
			if slices.ContainsFunc(s.cases, func(c benchCase) bool { return c.node }) && nodeReady() != nil {
				t.Skip(nodeReady())
			}
			ran++
			cases, err := runScenario(t.Context(), s, smokeSizes, "", &progress)
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range s.cases {
				if c.systems[0] != "chum" {
					t.Errorf("case %s does not begin with chum", c.name)
				}
				measured := map[string]systemResult{}
				for _, r := range cases[i].Systems {
					measured[r.Name] = r
				}
				for _, name := range c.systems {
					r, of := measured[name], must(systemNamed(name))
					if of.node && nodeReady() != nil {
						t.Logf("%s is left out: %v", name, nodeReady())
						continue
					}
					if len(r.Samples) != max(1, c.times) {
						t.Fatalf("case %s: %s has %d samples, want %d; %s", c.name, name, len(r.Samples), max(1, c.times), progress.String())
					}
					for _, column := range c.columns {
						if _, ok := r.Median[column]; !ok && !of.node {
							t.Errorf("case %s, %s: no figure %q", c.name, name, column)
						}
					}
					if v := r.Median[c.columns[0]]; v <= 0 && s.name != "idle" { // ten connections may not show
						t.Errorf("case %s, %s: %s is %v", c.name, name, c.columns[0], v)
					}
				}
			}
			for _, g := range goals {
				for _, c := range slices.Concat(g.First, g.Then) {
					if _, _, err := c.verdict(cases); g.Scenario == s.name && err != nil {
						t.Errorf("goal %s: %v", g.What, err)
					}
				}
			}
			r := result{Scenario: s.name, Date: time.Now(), Cases: cases}
			if err := r.save(dir); err != nil {
				t.Fatal(err)
			}
		})
	}
	saved, err := newest(dir)
	if err != nil || len(saved) != ran {
		t.Fatalf("%d results read back, error %v; want %d", len(saved), err, ran)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestChildEnds has a child whose parent goes away, in the state the parent can
// leave it in at worst: working.
func TestChildEnds(t *testing.T) {
	for _, role := range []string{"server", "client"} {
		t.Run(role, func(t *testing.T) {
			server, err := startProcess(t.Context(), "server", job{System: "raw TCP", Limit: time.Minute}, false)
			if err != nil {
				t.Fatal(err)
			}
			defer server.stop()
			hello, err := server.hear()
			if err != nil {
				t.Fatal(err)
			}
			child := server
			if role == "client" {
				child, err = startProcess(t.Context(), "client", job{
					System: "raw TCP", Scenario: "latency", Case: "bytes", Addr: hello.Addr,
					Limit: time.Minute, Size: sizes{Warm: time.Minute},
				}, false)
				if err != nil {
					t.Fatal(err)
				}
			}
			child.in.Close() // all that a dead parent does
			if err := child.cmd.Wait(); err != nil {
				t.Errorf("the %s ended with %v", role, err)
			}
		})
	}
}

func TestChildLimit(t *testing.T) {
	_, err := trial(t.Context(), job{
		System: "raw TCP", Scenario: "latency", Case: "bytes",
		Limit: 300 * time.Millisecond, Size: sizes{Warm: time.Hour},
	}, benchCase{})
	if err == nil {
		t.Fatal("a trial over its limit gave no error")
	}
}

func TestTrialError(t *testing.T) {
	for name, j := range map[string]job{
		"no system is named":      {System: "none", Scenario: "latency", Case: "bytes"},
		"no case is named":        {System: "raw TCP", Scenario: "latency", Case: "none"},
		"system has no such call": {System: "raw TCP", Scenario: "sleep", Case: "bytes"},
	} {
		j.Limit = 30 * time.Second
		if _, err := trial(t.Context(), j, benchCase{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one with %q", err, name)
		}
	}
}

func TestVerdict(t *testing.T) {
	cases := []caseResult{{Name: "c", Systems: []systemResult{
		{Name: "chum", Samples: []metrics{{"m": 6}, {"m": 3}, {"m": 60}}},
		{Name: "a", Samples: []metrics{{"m": 2}, {"m": 1}, {"m": 20}}},
		{Name: "b", Samples: []metrics{{"m": 4}, {"m": 2}, {"m": 50}}},
		{Name: "short", Samples: []metrics{{"m": 9}}},
	}}}
	for _, test := range []struct {
		check check
		got   float64
		ok    bool
		wants string
	}{
		{check{Case: "c", Metric: "m", AtLeast: 6}, 6, true, "at least 6.00 m"},
		{check{Case: "c", Metric: "m", AtLeast: 6.1}, 6, false, "at least 6.10 m"},
		{check{Case: "c", Metric: "m", AtMost: 6}, 6, true, "at most 6.00 m"},
		{check{Case: "c", Metric: "m", AtMost: 5}, 6, false, "at most 5.00 m"},
		{check{Case: "c", Metric: "m", Over: []string{"a"}, AtLeast: 3}, 3, true, "at least 3.00x a"},
		{check{Case: "c", Metric: "m", Over: []string{"a", "b"}, AtLeast: 2}, 1.5, false, "at least 2.00x the best of a, b"},
		{check{Case: "c", Metric: "m", Over: []string{"b"}, AtMost: 2}, 1.5, true, "at most 2.00x b"},
	} {
		got, ok, err := test.check.verdict(cases)
		if got != test.got || ok != test.ok || err != nil {
			t.Errorf("%+v: %v %v %v, want %v %v", test.check, got, ok, err, test.got, test.ok)
		}
		if w := test.check.wants(); w != test.wants {
			t.Errorf("wants %q, want %q", w, test.wants)
		}
	}
	for _, c := range []check{
		{Case: "none", Metric: "m", AtMost: 1},
		{Case: "c", Metric: "none", AtMost: 1},
		{Case: "c", Metric: "m", Over: []string{"none"}, AtMost: 1},
		{Case: "c", Metric: "m", Over: []string{"short"}, AtMost: 1},
	} {
		if _, _, err := c.verdict(cases); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		in   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(test.in); got != test.want {
			t.Errorf("median %v, want %v", got, test.want)
		}
	}
	sorted := []time.Duration{1000, 2000, 3000, 4000}
	for q, want := range map[float64]float64{0: 1, 0.5: 3, 0.99: 4, 1: 4} {
		if got := quantile(sorted, q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
}

func TestRunFlags(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-only", "none"}, 2, "latency"},
		{[]string{"latency"}, 2, "-only"},
		{[]string{"-nonsense"}, 2, "-nonsense"},
		{[]string{"-table", "-out", t.TempDir()}, 1, "no results"},
	} {
		var out, err bytes.Buffer
		if code := run(t.Context(), test.args, &out, &err); code != test.code || !strings.Contains(err.String(), test.says) {
			t.Errorf("%v: code %d and %q, want %d and %q", test.args, code, err.String(), test.code, test.says)
		}
	}
}

func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := run(ctx, []string{"-short", "-only", "idle"}, io.Discard, io.Discard); code != 1 {
		t.Errorf("a run that was interrupted ended with code %d, want 1", code)
	}
}

// TestRecord holds the size that performance figures speak of.
func TestRecord(t *testing.T) {
	for _, r := range sampleRecords {
		p, err := json.Marshal(r)
		if err != nil || len(p) < 80 || len(p) > 170 {
			t.Fatalf("%s has %d bytes (%v), want about 100", p, len(p), err)
		}
	}
}
