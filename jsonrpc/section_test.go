package jsonrpc

import (
	"maps"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chumsync/chum/rpc"
)

// section gives the lines of section 18 of the specification.
func section(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../spec/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "\n## 18. JSON-RPC\n")
	if !ok {
		t.Fatal("no section 18")
	}
	after, _, _ = strings.Cut(after, "\n## ")
	return strings.Split(after, "\n")
}

// TestNumbersAreAsSpecified holds the table of errors to the specification.
func TestNumbersAreAsSpecified(t *testing.T) {
	said := map[rpc.Code]int{}
	for _, line := range section(t) {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if n, err := strconv.Atoi(cells[0]); err == nil && len(cells) == 2 {
			said[rpc.Code(cells[1])] = n
		}
	}
	if !maps.Equal(said, numbers) {
		t.Errorf("the specification has %v, the code %v", said, numbers)
	}
	seen := map[int]rpc.Code{}
	for code, n := range numbers {
		if other, ok := seen[n]; ok || n > -32000 || n < -32099 && meanings[n] == "" && n != invalidParams && n != internalError {
			t.Errorf("%s has the number %d, as %q", code, n, other)
		}
		seen[n] = code
	}
}

// TestExamplesOfTheSection sends what stands behind > in the specification and reads what stands
// behind <.
func TestExamplesOfTheSection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := testMux()
		m.Func("hi", func(name string) string { return "hi " + name })
		c := connect(t, m, rpc.Options{})
		n := 0
		for _, line := range section(t) {
			if text, ok := strings.CutPrefix(line, "    > "); ok {
				c.send(text)
			} else if text, ok := strings.CutPrefix(line, "    < "); ok {
				c.want(text)
				n++
			}
		}
		if n != 6 {
			t.Errorf("%d answers in the examples", n)
		}
	})
}
