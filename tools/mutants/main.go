// Command mutants tests the tests: it breaks one rule of the code at a time and sees that a test notices.
//
//	go run ./mutants [-short] [-C directory] [-in package -run tests] [name...]
//
// A mutant is a text of a source file that is replaced by another (table.go), compiled by way of go test's -overlay: no file
// is changed. It is caught if the tests that must catch it fail. The command fails if a mutant is not caught, or if its text
// does not stand exactly once in the source: then the table has to follow the code. With -short all texts are looked up, and
// only the first mutant of each package is run. With -in other tests than the mutants' own are asked, such as those of
// ./conformance: it tells what they notice, and does not fail where they do not.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// A mutant is a rule of the code, broken.
type mutant struct {
	name string
	file string // in which it is
	old  string // the text that keeps the rule
	new  string // the text that breaks it
	test string // the tests of the file's package that must notice, as go test's -run has them
	in   string // the package whose tests are asked, if it is another
}

func (m *mutant) pkg() string { return cmp.Or(m.in, "./"+filepath.Dir(m.file)) }

// timeout is what the tests of one mutant may take, compiling included.
const timeout = 4 * time.Minute

func main() {
	short := flag.Bool("short", false, "look all texts up, and run the first mutant of each package")
	dir := flag.String("C", "..", "the repository's directory")
	in := flag.String("in", "", "ask the tests of this package, and not the mutants' own")
	tests := flag.String("run", ".", "with -in, these of them")
	flag.Parse()
	if *in != "" {
		for i := range mutants {
			mutants[i].in, mutants[i].test = *in, *tests
		}
	}
	if err := run(*dir, *short, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(dir string, short bool, names []string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	var stale int
	for i := range mutants {
		if _, err := mutants[i].apply(dir); err != nil {
			fmt.Fprintln(os.Stderr, "mutants:", err)
			stale++
		}
	}
	if stale > 0 {
		return fmt.Errorf("%d mutants do not fit the source any more: correct tools/mutants/table.go", stale)
	}
	var chosen []*mutant
	seen := map[string]bool{}
	for i := range mutants {
		m := &mutants[i]
		if len(names) > 0 && !slices.Contains(names, m.name) || short && seen[m.pkg()] {
			continue
		}
		seen[m.pkg()] = true
		chosen = append(chosen, m)
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no mutant is named %s", strings.Join(names, ", "))
	}
	fmt.Printf("%-22s %-8s %7s  %s\n", "mutant", "caught", "time", "by")
	var (
		mu       sync.Mutex
		errs     []error
		survived int
		wait     sync.WaitGroup
		slots    = make(chan struct{}, runtime.NumCPU())
	)
	for _, m := range chosen {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			began := time.Now()
			by, err := m.notice(dir)
			mu.Lock()
			defer mu.Unlock()
			caught := "yes"
			switch {
			case err != nil:
				errs = append(errs, err)
				return
			case by == "":
				caught, by = "NO", "nothing, though it should be "+m.test
				survived++
			}
			fmt.Printf("%-22s %-8s %5.1f s  %s\n", m.name, caught, time.Since(began).Seconds(), by)
		})
	}
	wait.Wait()
	fmt.Printf("%d of %d mutants run, %d not caught\n", len(chosen), len(mutants), survived)
	if survived > 0 && chosen[0].in == "" {
		errs = append(errs, fmt.Errorf("%d mutants survived", survived))
	}
	return errors.Join(errs...)
}

// apply returns the file's text with the rule broken.
func (m *mutant) apply(dir string) (string, error) {
	src, err := os.ReadFile(filepath.Join(dir, m.file))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(src), m.old); n != 1 {
		return "", fmt.Errorf("%s: its text stands %d times in %s, not once:\n%s", m.name, n, m.file, m.old)
	}
	return strings.Replace(string(src), m.old, m.new, 1), nil
}

var (
	failed   = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	panicked = regexp.MustCompile(`(?m)^(panic|fatal error): .*`)
)

// notice runs the mutant's tests and returns what noticed it: "" if nothing did.
func (m *mutant) notice(dir string) (by string, err error) {
	tmp, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	text, err := m.apply(dir)
	if err != nil {
		return "", err
	}
	broken, overlay := filepath.Join(tmp, filepath.Base(m.file)), filepath.Join(tmp, "overlay.json")
	if err := os.WriteFile(broken, []byte(text), 0o600); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(dir, m.file): broken}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-overlay", overlay, "-vet=off", "-count=1", "-timeout=60s", "-failfast", "-run", m.test, m.pkg())
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err == nil {
		if strings.Contains(string(out), "no tests to run") {
			return "", fmt.Errorf("%s: there is no test %s in %s", m.name, m.test, m.pkg())
		}
		return "", nil
	}
	// The first test that failed, and within it the innermost.
	if all := failed.FindAllStringSubmatch(string(out), -1); all != nil {
		by = all[0][1]
		for _, f := range all[1:] {
			if strings.HasPrefix(f[1], by+"/") {
				by = f[1]
			}
		}
		return by, nil
	}
	if p := panicked.FindString(string(out)); p != "" {
		return p, nil
	}
	return "", fmt.Errorf("%s: its tests did not run:\n%s", m.name, out)
}
