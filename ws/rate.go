package ws

import "time"

// A rate allows a burst of events, and then so many a second (a token bucket). It asks for the
// time only when the burst is used up.
type rate struct {
	used int       // of the burst
	full time.Time // when used was 0, or was last made less
}

// allow counts an event and tells whether it is within the rate.
func (r *rate) allow(burst, perSecond int) bool {
	if r.used == 0 {
		r.full = time.Now()
	}
	if r.used >= burst {
		now := time.Now()
		back := min(r.used, int(min(now.Sub(r.full), time.Hour)*time.Duration(perSecond)/time.Second))
		if back == 0 {
			return false
		}
		r.used -= back
		r.full = now
	}
	r.used++
	return true
}
