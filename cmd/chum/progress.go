package main

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

const (
	barEvery  = 120 * time.Millisecond // a bar on a terminal is drawn anew
	lineEvery = 5 * time.Second        // a line is printed where there is no terminal
	paceOver  = 10 * time.Second       // the rate is that of the last seconds
)

// A meter shows on standard error how far a command is: a bar on a terminal, else a line now
// and then. A nil meter shows nothing.
type meter struct {
	out   *output
	what  string
	unit  string // what is counted beside bytes
	start time.Time
	pace  pace // of the goroutine that draws

	done, things, total atomic.Int64 // total is 0 while it is not known
	atMost              atomic.Bool  // total is only a bound

	bar  *mpb.Bar
	bars *mpb.Progress
	quit chan struct{}
	wait sync.WaitGroup
}

// meter starts one, which counts bytes and things of a unit. The caller stops it before it
// prints anything else.
func (a *app) meter(what, unit string) *meter {
	if a.quiet {
		return nil
	}
	m := &meter{out: a.stderr, what: what, unit: unit, start: time.Now(), quit: make(chan struct{})}
	m.pace.add(m.start, 0)
	every := lineEvery
	if m.out.terminal && !a.verbose { // log lines would run into the bar
		every = barEvery
		m.addBar()
	}
	m.wait.Go(func() { m.run(every) })
	return m
}

// set tells how far it is: bytes, and things of the unit.
func (m *meter) set(done, things int64) {
	if m != nil {
		m.done.Store(done)
		m.things.Store(things)
	}
}

// expect tells how many bytes there are in all; more than that cannot come, but less may if
// it is only a bound.
func (m *meter) expect(total int64, bound bool) {
	if m != nil {
		m.atMost.Store(bound)
		m.total.Store(total)
	}
}

// stop ends the showing. On a terminal the bar vanishes.
func (m *meter) stop() {
	if m == nil {
		return
	}
	close(m.quit)
	m.wait.Wait()
	if m.bar != nil {
		m.bar.Abort(true)
		m.bars.Wait()
	}
}

func (m *meter) run(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-m.quit:
			return
		case now := <-tick.C:
			done, total := m.done.Load(), m.total.Load()
			m.pace.add(now, done)
			if m.bar == nil {
				m.out.printf("%s: %s\n", m.what, m.status())
				continue
			}
			if total == 0 {
				total = math.MaxInt64 // not known yet: the bar stays empty
			}
			m.bar.SetTotal(max(total, done+1), false) // not yet complete: the caller says when
			m.bar.SetCurrent(done)
		}
	}
}

// status is one line: bytes, things, rate, time left.
func (m *meter) status() string {
	done, total := m.done.Load(), m.total.Load()
	s := amount(done)
	if total > 0 {
		of := " of "
		if m.atMost.Load() {
			of = " of at most "
		}
		s += of + amount(total)
	}
	s += fmt.Sprintf(", %s, %s", counted(m.things.Load(), m.unit), rate(m.pace.rate(), time.Second))
	if left, ok := m.left(done, total); ok {
		s += ", " + left
	}
	return s
}

// left tells how long it will take, if that can be known.
func (m *meter) left(done, total int64) (string, bool) {
	speed := m.pace.rate()
	if total <= done || speed <= 0 {
		return "", false
	}
	d := time.Duration(float64(total-done) / float64(speed) * float64(time.Second)).Round(time.Second)
	if d == 0 {
		return "", false
	}
	if m.atMost.Load() {
		return "at most " + d.String() + " left", true
	}
	return d.String() + " left", true
}

func (m *meter) addBar() {
	m.bars = mpb.New(mpb.WithOutput(m.out.Writer), mpb.WithRefreshRate(barEvery), mpb.WithAutoRefresh())
	var mu sync.Mutex // decorators are called by mpb's goroutines
	m.bar = m.bars.New(0, mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding(" ").Rbound("]"),
		mpb.BarWidth(24),
		mpb.PrependDecorators(decor.Name(m.what+" ")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			mu.Lock()
			defer mu.Unlock()
			return " " + m.status()
		})),
	)
}

// pace finds the rate of the last seconds.
type pace struct {
	mu     sync.Mutex
	points []sample // oldest first, of at most paceOver, and one before that
}

type sample struct {
	at   time.Time
	done int64
}

func (p *pace) add(at time.Time, done int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.points) > 1 && at.Sub(p.points[1].at) >= paceOver {
		p.points = p.points[1:]
	}
	p.points = append(p.points, sample{at, done})
}

// rate is how much was done per second; 0 while that is not known.
func (p *pace) rate() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.points) < 2 {
		return 0
	}
	first, last := p.points[0], p.points[len(p.points)-1]
	return int64(float64(last.done-first.done) / last.at.Sub(first.at).Seconds())
}
