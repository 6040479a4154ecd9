package main

import (
	"cmp"
	"fmt"
	"html"
	"os"
	"slices"
	"strings"
)

// writeChart draws the calls a second with 100 open as bars from zero, bytes and typed, the
// fastest first. It returns without a file if that was not measured.
func writeChart(file string, results []result) error {
	i := slices.IndexFunc(results, func(r result) bool { return r.Scenario == "calls" })
	if i < 0 {
		return nil
	}
	return os.WriteFile(file, []byte(chart(results[i])), 0o644)
}

// The chart's style follows the reader's: light and dark.
const chartStyle = `<style>
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .small { font-size: 11px; fill: #57606a }
  .name { text-anchor: end }
  .own .name { font-weight: bold }
  .typed { fill: #9aa4af } .bytes { fill: #57606a }
  .own .typed { fill: #54aeff } .own .bytes { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 }
    .typed { fill: #565d66 } .bytes { fill: #9198a1 }
    .own .typed { fill: #1f6feb } .own .bytes { fill: #79c0ff }
  }
</style>
`

func chart(r result) string {
	type bars struct {
		name         string
		bytes, typed float64
	}
	var all []bars
	at := map[string]int{}
	most := 0.0
	for _, c := range r.Cases {
		for _, s := range c.Systems {
			k, ok := at[s.Name]
			if !ok {
				k = len(all)
				at[s.Name], all = k, append(all, bars{name: s.Name})
			}
			v := s.Median["calls/s"]
			most = max(most, v)
			if c.Name == "bytes" {
				all[k].bytes = v
			} else {
				all[k].typed = v
			}
		}
	}
	slices.SortFunc(all, func(a, b bars) int { return cmp.Compare(max(b.bytes, b.typed), max(a.bytes, a.typed)) })

	const left, width, row, top = 165, 480, 36, 52
	var b strings.Builder
	height := top + row*len(all) + 24
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 740 %d" width="740" height="%d" role="img" aria-label="Calls a second with 100 open, by system">`+"\n", height, height)
	b.WriteString(chartStyle)
	b.WriteString(`<text x="10" y="20">Calls a second with 100 open: more is better</text>` + "\n")
	b.WriteString(`<text class="small" x="10" y="38">above: 100 bytes each way; below: a struct of seven fields; server and client on two cores, loopback</text>` + "\n")
	for i, s := range all {
		y := top + row*i
		class := "other"
		if isChum(s.name) {
			class = "own"
		}
		fmt.Fprintf(&b, `<g class="%s"><text class="name" x="%d" y="%d">%s</text>`, class, left-8, y+18, html.EscapeString(s.name))
		for k, bar := range []struct {
			class string
			v     float64
		}{{"bytes", s.bytes}, {"typed", s.typed}} {
			if bar.v == 0 {
				continue
			}
			w := bar.v / most * width
			fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="12" rx="2"/>`, bar.class, left, y+14*k, w)
			fmt.Fprintf(&b, `<text class="small" x="%.1f" y="%d">%s</text>`, left+w+6, y+14*k+10, thousands(bar.v))
		}
		b.WriteString("</g>\n")
	}
	line, _, _ := strings.Cut(r.Machine, ", load")
	fmt.Fprintf(&b, `<text class="small" x="10" y="%d">%s, %s</text>`+"\n</svg>\n", height-8, html.EscapeString(line), r.Date.Format("2006-01-02"))
	return b.String()
}

// thousands writes a whole number with commas.
func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
