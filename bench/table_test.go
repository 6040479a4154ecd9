package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTables(t *testing.T) {
	results := []result{{Scenario: "idle", Machine: "two cores, load before 1", Cases: []caseResult{{
		Name: "connections", Systems: []systemResult{
			{Name: "chum", Median: metrics{"server kB each": 20}, Samples: []metrics{{"server kB each": 20}}},
			{Name: "chum, traced", Median: metrics{"server kB each": 1}},
			{Name: "raw TCP", Median: metrics{"server kB each": 2}},
			{Name: "NATS", Median: metrics{"server kB each": 30}},
			{Name: "grpc-go", Median: metrics{"server kB each": 25}},
		},
	}}}}
	for text, row := range map[string]string{
		fullTable(results):  "| connections | at most 40.0 server kB each: reached | at most 16.0 server kB each: **missed** | 20.0 server kB each | 11.1 | grpc-go: 25.0 server kB each |",
		shortTable(results): "| an idle connection, server | at most 16.0 server kB each: **missed** | 20.0 server kB each | grpc-go: 25.0 server kB each |",
	} {
		if !strings.Contains(text, row) {
			t.Errorf("no row %q in\n%s", row, text)
		}
		if !strings.Contains(text, "two cores: idle") {
			t.Errorf("not said where and what was measured:\n%s", text)
		}
	}
}

// TestHeadlines looks for goals that the short table speaks of and no scenario has.
func TestHeadlines(t *testing.T) {
	headlines := map[string]bool{}
	for _, g := range goals {
		for _, c := range append(g.First, g.Then...) {
			if _, err := caseNamed(g.Scenario, c.Case); err != nil {
				t.Errorf("goal %s: %v", g.What, err)
			}
			if c.Headline != "" && headlines[c.Headline] {
				t.Errorf("two rows are named %q", c.Headline)
			}
			headlines[c.Headline] = true
		}
	}
}

func TestWriteBetween(t *testing.T) {
	file := filepath.Join(t.TempDir(), "README.md")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("no markers\n")
	if err := writeBetween(file, "new"); err == nil {
		t.Error("a file without markers was taken")
	}
	write("before\n" + tableBegin + "\nold\n" + tableEnd + "\nafter\n")
	want := "before\n" + tableBegin + "\nnew\n" + tableEnd + "\nafter\n"
	for range 2 { // the second time changes nothing
		if err := writeBetween(file, "new\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s, error %v; want %s", got, err, want)
		}
	}
}

func TestChart(t *testing.T) {
	of := func(name string, v float64) systemResult {
		return systemResult{Name: name, Median: metrics{"calls/s": v}}
	}
	svg := chart(result{Machine: "two <cores>, load before 1", Cases: []caseResult{
		{Name: "bytes", Systems: []systemResult{of("chum", 200_000), of("slow & old", 50_000)}},
		{Name: "typed", Systems: []systemResult{of("chum", 100_000), of("only typed", 75_000)}},
	}})
	d := xml.NewDecoder(bytes.NewReader([]byte(svg)))
	var widths []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not XML: %v\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			for _, a := range e.Attr {
				if a.Name.Local == "width" {
					widths = append(widths, a.Value)
				}
			}
		}
	}
	if got := strings.Join(widths, " "); got != "480.0 240.0 180.0 120.0" {
		t.Errorf("bars of widths %s, want in proportion to the figures and the longest first", got)
	}
	for _, text := range []string{"slow &amp; old", ">200,000<", "two &lt;cores&gt;,"} {
		if !strings.Contains(svg, text) {
			t.Errorf("no %q in\n%s", text, svg)
		}
	}
	if got := thousands(1234567) + " " + thousands(999) + " " + thousands(1000); got != "1,234,567 999 1,000" {
		t.Errorf("thousands: %s", got)
	}
}
