package main

import (
	"strings"
	"testing"
	"time"
)

func TestShown(t *testing.T) {
	for name, want := range map[string]string{
		"plain":         "plain",
		"with space":    "with space",
		"grün 漢字":       "grün 漢字",
		"a\nb":          `"a\nb"`,
		"caf\xe9":       `"caf\xe9"`,
		"\x1b[31mred":   `"\x1b[31mred"`,
		`say "x"`:       `"say \"x\""`,
		"right\u202eto": `"right\u202eto"`,
	} {
		if got := shown(name); got != want {
			t.Errorf("shown(%q) = %s, want %s", name, got, want)
		}
	}
}

func TestHarmless(t *testing.T) {
	if got := harmless("a\x1b[31mb\r\x07\u202e\xffc\n\td"); strings.ContainsAny(got, "\x1b\r\x07\u202e") || got != "a\ufffd[31mb\ufffd\ufffd\ufffd\ufffdc\n\td" {
		t.Errorf("got %q", got)
	}
}

func TestFigures(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{amount(0), "0 B"},
		{amount(int64(1536)), "1.5 KiB"},
		{amount(-1), "?"},
		{count(1234567), "1,234,567"},
		{counted(1, "file"), "1 file"},
		{counted(0, "file"), "0 files"},
		{counted(2000, "directory"), "2,000 directories"},
		{counted(3, "byte"), "3 bytes"},
		{rate(1<<20, 2*time.Second), "512 KiB/s"},
		{rate(1, 0), "?"},
		{duration(12345 * time.Nanosecond), "12µs"},
		{duration(12345 * time.Microsecond), "12ms"},
		{duration(12345 * time.Millisecond), "12.3s"},
		{duration(125 * time.Second), "2m5s"},
		{date(time.Time{}), "-"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	o := &output{Writer: &b, colour: true}
	o.table([][]cell{
		{{text: "a", shade: bold}, {text: "1", right: true}, {text: "x"}},
		{{text: "größe"}, {text: "22", right: true}, {text: "longer than that", shade: red}},
	})
	want := "\x1b[1ma\x1b[0m       1  x\n" + "größe  22  \x1b[31mlonger than that\x1b[0m\n"
	if b.String() != want {
		t.Errorf("got\n%q\nwant\n%q", b.String(), want)
	}
}

func TestRoff(t *testing.T) {
	if got, want := roff(".start\n'and\n\\ a-b ."), "\\&.start\n\\&'and\n\\e a\\-b ."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
