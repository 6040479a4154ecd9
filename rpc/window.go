package rpc

import "time"

// The connection's window is how many bulk bytes may be on their way, unacknowledged. Too few
// leave the path empty, too many wait in it, and small calls behind them. It follows the most
// that the path delivered lately, as BBR does (Cardwell et al., ACM Queue 14(5), 2016), and how
// long bytes wait on their way there, which the other side's clock tells, as in LEDBAT (RFC
// 6817): what acks wait for on their way back is not held against it.

const (
	// startWindow is what a connection begins with, minWindow and maxConnWindow what its window
	// stays between.
	startWindow   = 64 << 10
	minWindow     = 16 << 10
	maxConnWindow = 16 << 20
	// maxPortion bounds how much bulk goes into one message, so that calls that come next wait no
	// longer than it takes to write this; it is a sixteenth of the window, nearby a quarter, and at
	// least minPortion.
	maxPortion = 120 << 10
	minPortion = 4 << 10
	// growGain is by how much the window exceeds what the path itself holds while its rate is
	// being looked for, cruiseGain when it is found: above 1, so that a path that got faster shows.
	// With drainGain nothing waits in the path.
	growGain, cruiseGain, drainGain = 2.0, 1.25, 0.5
	// slack is added to the window since marks stand some way apart, and what the path brings
	// within jitter since those who send and acknowledge have to be scheduled.
	slack  = 8 << 10
	jitter = 200 * time.Microsecond
	// farTrip is the round trip from which the other side counts as far away. Nearer by, most of
	// the time goes into waiting for a processor; where many want one, that may take any time, and
	// a window that followed it down would make it worse. So there it does not go below what the
	// path brought within nearTime at its best, up to nearWindow, for as long as keepBest; nor
	// above that while there are calls beside the bulk, and until calmTime after the last, and else
	// not above aloneWindow, which is what bulk alone can make use of.
	farTrip     = time.Millisecond
	nearTime    = time.Millisecond
	nearWindow  = 512 << 10
	aloneWindow = 1 << 20
	calmTime    = 100 * time.Millisecond
	keepBest    = time.Minute
	// minRound is the shortest time over which a rate is measured: shorter bursts say nothing.
	minRound = time.Millisecond
	// keptRates is for how many rounds a rate counts.
	keptRates = 6
	// drainEvery is how often the window is drawn in for two round trips: only when no bulk of
	// ours waits in the path can it be seen how long it is. drainSoon is how soon after the last
	// time, if the rate or the round trip fell meanwhile.
	drainEvery = 10 * time.Second
	drainSoon  = 500 * time.Millisecond
	// maxClock is the most that the other side's clock may show, in microseconds: 300 years.
	maxClock = 1 << 53
)

// window counts bulk bytes and says how many more may go out. It is told the time, which may
// count from any moment, and is guarded by Peer.mu.
type window struct {
	size   int    // bytes that may be on their way
	sent   uint64 // bulk bytes since the start
	acked  uint64 // of these, the other side has so many
	marked uint64 // sent, when the last mark was set
	marks  []mark // not answered yet

	rate    float64            // bytes a second that the path brings: the most of rates
	rates   [keptRates]float64 // of the last rounds in which it was always busy
	found   int                // rounds in which the rate rose no more; 3: the rate is found
	reached float64            // the rate when it last rose

	best     float64       // the highest rate within keepBest
	bestAt   time.Duration // seen then
	shortest time.Duration // the shortest round trip within keepBest
	shortAt  time.Duration // seen then

	called time.Duration // when a call was last beside the bulk

	there time.Duration // the shortest way there of late, on two clocks: only differences count
	least time.Duration // the shortest round trip of late
	trip  time.Duration // what marks take there and back, less what they wait on the way there

	round   round
	lacking time.Duration // how long in the round there was nothing to send
	since   time.Duration // when that began; -1: there is something

	drain   int           // 2: until what was sent is out of the path, 1: a round behind that
	drainAt time.Duration // when to do it next
	soonAt  time.Duration // or, if something has fallen
	drained float64       // the highest rate since the last one
	calm    time.Duration // the shortest round trip then
	before  time.Duration // there, before this one
}

// A mark asks how many of the bulk bytes before it have arrived.
type mark struct {
	at   uint64 // so many are before it
	time time.Duration
}

// A round lasts until a mark is answered that was set in it.
type round struct {
	begin time.Duration
	first uint64        // acknowledged then
	came  time.Duration // when these came, on the other side's clock
	trips time.Duration // sum over the answered marks of what they took
	waits time.Duration // and of what they waited on the way there
	n     int
}

// room tells how many bytes may go out. It may be negative.
func (w *window) room() int { return w.size - int(w.sent-w.acked) }

// portion is how much bulk goes into one message, and between two marks.
func (w *window) portion() int {
	part := w.size / 16
	if !w.far() { // messages cost more than they hold up
		part *= 4
	}
	return min(max(part, minPortion), maxPortion)
}

// due tells whether a mark must be set: from time to time, and when nothing may be sent until
// one is answered and none is set.
func (w *window) due() bool {
	n := w.sent - w.marked
	return n > 0 && (n >= uint64(w.portion()) || w.room() <= 0 && len(w.marks) == 0)
}

// mark notes that one is set.
func (w *window) mark(now time.Duration) {
	w.marked = w.sent
	w.marks = append(w.marks, mark{w.sent, now})
}

// busy notes that there is something to send.
func (w *window) busy(now time.Duration) {
	if w.since >= 0 {
		w.lacking += now - w.since
		w.since = -1
	}
}

// empty notes that there is room and nothing to send.
func (w *window) empty(now time.Duration) {
	if w.since < 0 {
		w.since = now
	}
}

// ack takes in that n bytes have arrived, not fewer than before, at a time on the other side's
// clock. It reports whether the last mark is answered.
func (w *window) ack(n uint64, came, now time.Duration) (last bool) {
	k := 0
	for k < len(w.marks) && w.marks[k].at <= n {
		k++
	}
	w.acked = n
	if k == 0 {
		return len(w.marks) == 0
	}
	m := w.marks[k-1]
	w.marks = append(w.marks[:0], w.marks[k:]...)
	there := came - m.time
	if w.there == 0 || there < w.there {
		w.there = there
	}
	trip := now - m.time - (there - w.there)
	if w.least == 0 || trip < w.least {
		w.least = trip
	}
	if w.shortest == 0 || trip < w.shortest || now-w.shortAt > keepBest {
		w.shortest, w.shortAt = trip, now
	}
	w.round.trips += trip
	w.round.waits += there - w.there
	w.round.n++
	if m.time >= w.round.begin && came-w.round.came >= minRound {
		w.endRound(came, now)
	}
	return len(w.marks) == 0
}

// endRound learns from a round.
func (w *window) endRound(came, now time.Duration) {
	if w.since >= 0 {
		w.busy(now)
		w.since = now
	}
	r, lacked := w.round, w.lacking > (now-w.round.begin)/8
	w.round, w.lacking = round{begin: now, first: w.acked, came: came}, 0
	w.trip = min(r.trips/time.Duration(r.n), w.least*3/2)
	rate := float64(w.acked-r.first) / (came - r.came).Seconds()
	if r.waits/time.Duration(r.n) > w.trip/4+jitter { // the path is full: no need to look further
		w.found = 3
	}
	switch {
	case w.drain == 2:
		w.drain, w.before, w.there, w.least = 1, w.there, 0, 0
	case w.drain == 1:
		w.drain, w.drained, w.calm = 0, w.rate, w.least
		w.drainAt, w.soonAt = now+drainEvery, now+drainSoon
		if w.there < w.before-w.least/8 { // some of it was a queue: perhaps there is more
			w.drainAt = w.soonAt
		}
	case lacked: // it was the program that was slow: the path may bring more, not less
		w.rates[0] = max(w.rates[0], rate)
		w.rate = max(w.rate, rate)
	default:
		if w.learn(rate); w.drainAt == 0 {
			w.drainAt, w.soonAt, w.calm = now+drainEvery, now+drainSoon, w.least
		}
		w.drained = max(w.drained, w.rate)
		if now >= w.drainAt || now >= w.soonAt && (w.rate < 0.75*w.drained || w.least < w.calm*3/4) {
			w.drain = 2
		}
	}
	if w.rate >= w.best || now-w.bestAt > keepBest {
		w.best, w.bestAt = w.rate, now
	}
	w.resize(now)
}

// learn takes in the rate of a round in which there was always something to send.
func (w *window) learn(rate float64) {
	if rate < w.rate/2 { // that is no noise: the path has changed
		w.rates, w.found, w.reached = [keptRates]float64{}, 0, 0
	}
	copy(w.rates[1:], w.rates[:])
	w.rates[0] = rate
	w.rate = 0
	for _, r := range w.rates {
		w.rate = max(w.rate, r)
	}
	switch {
	case w.rate > 1.25*w.reached:
		w.found, w.reached = 0, w.rate
	case w.found >= 3:
		w.reached = min(w.reached, w.rate)
	default:
		w.found++
	}
}

// resize sets the window.
func (w *window) resize(now time.Duration) {
	if w.rate == 0 {
		return
	}
	trip := w.trip.Seconds()
	switch {
	case w.drain > 0:
		w.size = max(int(w.rate*trip*drainGain), minPortion)
		return
	case w.found < 3:
		trip *= growGain
	default:
		trip *= cruiseGain
	}
	least, most := minWindow, maxConnWindow
	if !w.far() {
		least = max(least, min(int(w.best*nearTime.Seconds()), nearWindow))
		if most = aloneWindow; w.called > 0 && now-w.called < calmTime {
			most = nearWindow
		}
	}
	w.size = min(max(int(w.rate*(trip+jitter.Seconds()))+slack, least), most)
}

// far tells that what takes time is the way to the other side. Then bulk should wait here rather
// than in the operating system.
func (w *window) far() bool { return w.shortest >= farTrip }

// near tells that the other side is known to be close by.
func (w *window) near() bool { return w.shortest > 0 && !w.far() }
