package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	v1 "github.com/go-json-experiment/json/v1"
)

// An output is standard output or standard error.
type output struct {
	io.Writer
	terminal bool
	width    int  // of the terminal
	colour   bool // it is a terminal and nobody minds (https://no-color.org)
}

func newOutput(f *os.File) *output {
	o := &output{Writer: f}
	o.terminal, o.width = terminal(f)
	o.colour = o.terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return o
}

// A shade is how a text looks on a terminal: an SGR parameter of ECMA-48.
type shade string

const (
	bold  shade = "1"
	faint shade = "2"
	red   shade = "31"
	green shade = "32"
	amber shade = "33"
	blue  shade = "34"
)

// paint shades a text.
func (o *output) paint(s shade, text string) string {
	if !o.colour || s == "" || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// printf prints. An error is of no use: a broken pipe ends the process.
func (o *output) printf(format string, args ...any) { _, _ = fmt.Fprintf(o, format, args...) }

// failure prints what was wrong and what to do.
func (o *output) failure(f *failure) {
	o.printf("%s %s\n", o.paint(red, "chum:"), harmless(f.text()))
	if f.hint != "" {
		o.printf("%s %s\n", o.paint(blue, "hint:"), harmless(f.hint))
	}
}

// harmless takes out of a text, which may come from elsewhere, what would move a terminal's
// cursor or colour it.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !strconv.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// shown writes a file name or a target for people: as it is where that is one line of plain
// text, else quoted as Go does.
func shown(name string) string {
	for _, r := range name {
		if r == utf8.RuneError || r == '"' || !strconv.IsPrint(r) {
			return strconv.Quote(name)
		}
	}
	return name
}

// A cell is a field of a table.
type cell struct {
	text  string
	shade shade
	right bool // aligned to the right
}

// table prints rows in columns. The last column is not padded, so that it may hold anything.
func (o *output) table(rows [][]cell) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, c := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			switch {
			case c.right:
				b.WriteString(pad + o.paint(c.shade, c.text))
			case i == len(row)-1:
				b.WriteString(o.paint(c.shade, c.text))
			default:
				b.WriteString(o.paint(c.shade, c.text) + pad)
			}
			if i < len(row)-1 {
				b.WriteString("  ")
			}
		}
		b.WriteByte('\n')
	}
	o.printf("%s", b.String())
}

// jsonOptions are those of all JSON that is printed.
var jsonOptions = json.JoinOptions(json.Deterministic(true), v1.FormatDurationAsNano(true))

// document prints one result as JSON.
func (o *output) document(v any) error {
	b, err := json.Marshal(v, jsonOptions, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	_, err = o.Write(append(b, '\n'))
	return err
}

// line prints one item of a list as a line of JSON.
func (o *output) line(v any) error {
	b, err := json.Marshal(v, jsonOptions)
	if err != nil {
		return err
	}
	_, err = o.Write(append(b, '\n'))
	return err
}

// amount, count, rate, duration and date write figures for people.

func amount[T int64 | uint64 | int](n T) string {
	if n < 0 {
		return "?"
	}
	return humanize.IBytes(uint64(n))
}

func count[T int64 | uint64 | int](n T) string { return humanize.Comma(int64(n)) }

// counted writes a number of things: "1 file", "2 files".
func counted[T int64 | uint64 | int](n T, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if stem, ok := strings.CutSuffix(thing, "y"); ok {
		return count(n) + " " + stem + "ies"
	}
	return count(n) + " " + thing + "s"
}

func rate(n int64, d time.Duration) string {
	if d <= 0 {
		return "?"
	}
	return amount(int64(float64(n)/d.Seconds())) + "/s"
}

func duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// seconds is a time in JSON.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond)) / float64(time.Second)
}

func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}
