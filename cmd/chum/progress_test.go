package main

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// buffer may be written and read at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestMeter(t *testing.T) {
	for _, c := range []struct {
		name  string
		out   output
		bound bool
		want  []string
	}{
		{"lines", output{}, false, []string{
			"get x: 4.0 MiB of 100 MiB, 40 objects, 819 KiB/s, 2m0s left\n" +
				"get x: 9.0 MiB of 100 MiB, 90 objects, 922 KiB/s, 1m41s left\n",
		}},
		{"bound", output{}, true, []string{"9.0 MiB of at most 100 MiB, 90 objects, 922 KiB/s, at most 1m41s left\n"}},
		{"bar", output{terminal: true}, false, []string{"get x  [=>", " 11 MiB of 100 MiB, 110 objects, "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var shown buffer
				c.out.Writer = &shown
				m := (&app{stderr: &c.out}).meter("get x", "object")
				m.expect(100<<20, c.bound)
				time.Sleep(time.Second / 2) // so that nothing happens at the very moment when it is shown
				for i := range int64(12) {
					m.set(i<<20, i*10)
					time.Sleep(time.Second)
				}
				m.stop()
				for _, want := range c.want {
					if got := shown.String(); !strings.Contains(got, want) {
						t.Errorf("no %q in %q", want, got)
					}
				}
			})
		})
	}
}

func TestQuietMeter(t *testing.T) {
	m := (&app{quiet: true, stderr: &output{Writer: io.Discard}}).meter("get x", "object")
	m.expect(1, false) // all of it can be done with nil
	m.set(1, 1)
	m.stop()
	if m != nil {
		t.Error("a meter in spite of --quiet")
	}
}

func TestPace(t *testing.T) {
	start := time.Unix(0, 0)
	var p pace
	at := func(s int, done int64) { p.add(start.Add(time.Duration(s)*time.Second), done) }
	if got := p.rate(); got != 0 {
		t.Errorf("a rate of %d without a point", got)
	}
	for s := range 100 {
		at(s, int64(s)*1000)
	}
	if got := p.rate(); got != 1000 {
		t.Errorf("a rate of %d, want 1000", got)
	}
	if n := len(p.points); n > 12 {
		t.Errorf("%d points are kept", n)
	}
	for s := 100; s < 120; s++ { // it stands still
		at(s, 99_000)
	}
	if got := p.rate(); got != 0 {
		t.Errorf("a rate of %d when nothing moves", got)
	}
}
