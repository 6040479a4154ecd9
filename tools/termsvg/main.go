// Command termsvg makes a picture of a terminal from the text on its standard input: the
// picture at the top of the README, see `make picture`. Lines that end with progress meters
// are left out.
package main

import (
	"bufio"
	"fmt"
	"html"
	"os"
	"regexp"
	"strings"
)

const (
	charWidth  = 7.8
	lineHeight = 18
	margin     = 18
)

var progress = regexp.MustCompile(`left$|^(put|get|sync) \S+: `)

func main() {
	var lines []string
	width := 0
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		line := strings.TrimRight(in.Text(), " ")
		if progress.MatchString(line) {
			continue
		}
		lines = append(lines, line)
		width = max(width, len([]rune(line)))
	}
	if err := in.Err(); err != nil || len(lines) == 0 {
		fmt.Fprintln(os.Stderr, "termsvg: nothing to draw", err)
		os.Exit(1)
	}
	w, h := float64(width)*charWidth+2*margin, len(lines)*lineHeight+2*margin
	fmt.Printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" width="%.0f" height="%d" role="img" aria-label="Output of chum demo">`+"\n", w, h, w, h)
	fmt.Println(`<rect width="100%" height="100%" rx="8" fill="#14171c"/>`)
	fmt.Println(`<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="13" xml:space="preserve">`)
	for i, line := range lines {
		fmt.Printf(`<text x="%d" y="%d" fill="%s">%s</text>`+"\n", margin, margin+13+i*lineHeight, colour(line), html.EscapeString(line))
	}
	fmt.Println("</g>\n</svg>")
}

// colour tells commands, results and headings apart.
func colour(line string) string {
	switch text := strings.TrimSpace(line); {
	case strings.HasPrefix(text, "$ "):
		return "#7cc7ff"
	case strings.HasPrefix(text, "ok "), strings.HasPrefix(text, "All of it"):
		return "#8bd49c"
	case text != "" && text[0] >= '1' && text[0] <= '9' && strings.Contains(text[:min(3, len(text))], "."):
		return "#ffffff"
	}
	return "#aab2bd"
}
