package conformance

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Result is what passed between two implementations.
type Result struct {
	// Pair names them, the client first: "Go → TS".
	Pair string `json:"pair"`
	// Cases is the SHA-256 of the file of the cases, in hexadecimal: which they were.
	Cases  string  `json:"cases"`
	Groups []Group `json:"groups"`
}

// A Group counts the cases of one group. Those that were neither passed nor not offered have failed.
type Group struct {
	Name       string `json:"name"`
	Cases      int    `json:"cases"`
	Passed     int    `json:"passed"`
	NotOffered int    `json:"notOffered,omitzero"`
}

// Summarize counts verdicts by group. file is the text of the cases.
func Summarize(pair string, file []byte, verdicts []Verdict) Result {
	sum := sha256.Sum256(file)
	r := Result{Pair: pair, Cases: hex.EncodeToString(sum[:])}
	for _, v := range verdicts {
		i := slices.IndexFunc(r.Groups, func(g Group) bool { return g.Name == v.Group })
		if i < 0 {
			i = len(r.Groups)
			r.Groups = append(r.Groups, Group{Name: v.Group})
		}
		g := &r.Groups[i]
		g.Cases++
		switch {
		case !v.Offered:
			g.NotOffered++
		case v.Why == "":
			g.Passed++
		}
	}
	return r
}

// Total counts all groups.
func (r Result) Total() Group {
	all := Group{Name: "all"}
	for _, g := range r.Groups {
		all.Cases += g.Cases
		all.Passed += g.Passed
		all.NotOffered += g.NotOffered
	}
	return all
}

// Write keeps the result in a directory, in a file named for the pair.
func (r Result) Write(dir string) error {
	text, err := json.Marshal(r, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	name := strings.ReplaceAll(strings.ToLower(r.Pair), " → ", "-") + ".json"
	return os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o644)
}

// String is the group's cell of a table: "12/12", or "–" if nothing of it is offered.
func (g Group) String() string {
	if g.NotOffered == g.Cases {
		return "–"
	}
	return fmt.Sprintf("%d/%d", g.Passed, g.Cases-g.NotOffered)
}

// Table writes results as a table of Markdown: groups down, pairs across.
func Table(results []Result) string {
	var b strings.Builder
	b.WriteString("| |")
	for _, r := range results {
		fmt.Fprintf(&b, " %s |", r.Pair)
	}
	fmt.Fprintf(&b, "\n| --- |%s\n", strings.Repeat(" ---: |", len(results)))
	line := func(name string, cell func(Result) Group) {
		fmt.Fprintf(&b, "| %s |", name)
		for _, r := range results {
			fmt.Fprintf(&b, " %s |", cell(r))
		}
		b.WriteString("\n")
	}
	if len(results) > 0 {
		for i, g := range results[0].Groups {
			line(g.Name, func(r Result) Group {
				if i < len(r.Groups) && r.Groups[i].Name == g.Name {
					return r.Groups[i]
				}
				return Group{}
			})
		}
	}
	line("all", Result.Total)
	return b.String()
}
