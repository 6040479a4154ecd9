package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// A result is what a run of one scenario found, as it is written to a file.
type result struct {
	Scenario string       `json:"scenario"`
	Title    string       `json:"title"`
	Date     time.Time    `json:"date"`
	Machine  string       `json:"machine"`
	Command  string       `json:"command"`
	Sizes    sizes        `json:"sizes"`
	Cases    []caseResult `json:"cases"`
}

type caseResult struct {
	Name    string         `json:"name"`
	Systems []systemResult `json:"systems"`
}

type systemResult struct {
	Name    string    `json:"name"`
	Median  metrics   `json:"median"`
	Samples []metrics `json:"samples"`
}

// machine says in one line on what is measured, and whether it is busy already.
func machine() (line string, busy bool) {
	var u unix.Utsname
	kernel := "unknown kernel"
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	model := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	load := "unknown"
	if avg, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ = strings.Cut(string(avg), " ")
		v, err := strconv.ParseFloat(load, 64)
		busy = err == nil && v > float64(runtime.NumCPU())/2
	}
	return fmt.Sprintf("%d cores %s, %s, %s, load before %s", runtime.NumCPU(), model, kernel, runtime.Version(), load), busy
}

// print writes the tables and the goals.
func (r *result) print(out io.Writer) error {
	w := new(bytes.Buffer)
	fmt.Fprintf(w, "%s: %s\n", r.Scenario, r.Title)
	for _, found := range r.Cases {
		c, err := caseNamed(r.Scenario, found.Name)
		if err != nil {
			continue // a file of an older program
		}
		fmt.Fprintf(w, "\n%s, medians of %d\n", found.Name, len(found.Systems[0].Samples))
		rows := new(bytes.Buffer)
		fmt.Fprintf(rows, "\t%s\tleast .. most\tchum to it\t%s\t\n", c.columns[0], strings.Join(c.columns[1:], "\t"))
		chum := found.Systems[0]
		for _, s := range found.Systems {
			low, high := s.spread(c.columns[0])
			fmt.Fprintf(rows, "%s\t%s\t%s .. %s\t%s\t", s.label(r), number(s.Median[c.columns[0]]), number(low), number(high),
				chum.to(s, c.columns[0]))
			for _, name := range c.columns[1:] {
				fmt.Fprintf(rows, "%s\t", s.figure(name))
			}
			fmt.Fprintln(rows)
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		if _, err := rows.WriteTo(t); err != nil {
			return err
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	for _, g := range goals {
		if g.Scenario != r.Scenario {
			continue
		}
		fmt.Fprintf(w, "\ngoal: %s\n", g.What)
		for _, step := range []struct {
			name   string
			checks []check
		}{{"first", g.First}, {"then", g.Then}} {
			for _, c := range step.checks {
				fmt.Fprintf(w, "  %-5s  %-26s  %-32s  %s%s\n", step.name, c.Case, c.wants(), c.outcome(r.Cases), c.prototype(" (prototype %s)"))
			}
		}
	}
	fmt.Fprintf(w, "\n%s\n%s\n%s\n\n", r.Machine, r.Date.Format("2006-01-02 15:04"), r.Command)
	_, err := w.WriteTo(out)
	return err
}

// outcome says what chum has, and whether that reaches the check.
func (c check) outcome(cases []caseResult) string {
	got, ok, err := c.verdict(cases)
	switch {
	case err != nil:
		return "not measured"
	case ok:
		return number(got) + " reached"
	default:
		return number(got) + " MISSED"
	}
}

// figure is the median of a metric, if there is one.
func (s systemResult) figure(name string) string {
	if v, ok := s.Median[name]; ok {
		return number(v)
	}
	return "-"
}

// label is the system's name, and how much it moved if that was less than the rest did.
func (s systemResult) label(r *result) string {
	if of, err := systemNamed(s.Name); err == nil && of.most > 0 && of.most < r.Sizes.Stream && (r.Scenario == "stream" || r.Scenario == "beside") {
		return fmt.Sprintf("%s (one answer of %d MiB)", s.Name, of.most>>20)
	}
	return s.Name
}

func (s systemResult) spread(name string) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, m := range s.Samples {
		low, high = min(low, m[name]), max(high, m[name])
	}
	return low, high
}

// number writes v with about three digits, and all of a large one.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 10_000:
		return thousands(v)
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// to is the ratio of a figure to another system's, if s is chum.
func (s systemResult) to(other systemResult, name string) string {
	if s.Name != "chum" || other.Median[name] == 0 {
		return "-"
	}
	return number(s.Median[name]/other.Median[name]) + "x"
}

// save writes the result to dir, once to read and once raw.
func (r *result) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	base := filepath.Join(dir, r.Date.Format("2006-01-02")+"-"+r.Scenario)
	var text bytes.Buffer
	if err := r.print(&text); err != nil {
		return err
	}
	if err := os.WriteFile(base+".txt", text.Bytes(), 0o644); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(base+".json", append(raw, '\n'), 0o644)
}

// newest reads the newest result of each scenario in dir.
func newest(dir string) (all []result, err error) {
	for _, s := range scenarios {
		files, err := filepath.Glob(filepath.Join(dir, "*-"+s.name+".json"))
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			continue
		}
		raw, err := os.ReadFile(slices.Max(files)) // the names begin with the date
		if err != nil {
			return nil, err
		}
		var r result
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", slices.Max(files), err)
		}
		all = append(all, r)
	}
	return all, nil
}

// score counts checks.
type score struct{ reached, all int }

func (s *score) add(checks []check, cases []caseResult) {
	for _, c := range checks {
		s.all++
		if _, ok, err := c.verdict(cases); ok && err == nil {
			s.reached++
		}
	}
}

// reached counts the goals of both columns; what was not measured is not reached.
func reached(results []result) (first, then score) {
	for _, r := range results {
		for _, g := range goals {
			if g.Scenario == r.Scenario {
				first.add(g.First, r.Cases)
				then.add(g.Then, r.Cases)
			}
		}
	}
	return first, then
}

var errNoResults = errors.New("bench: there are no results yet; run it without -table first")
