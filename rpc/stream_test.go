package rpc

import (
	"testing"
	"testing/synctest"
	"time"
)

// A call that has failed before its stream has begun takes no item, on either side.
func TestFeedAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		endless := func(yield func(int, error) bool) {
			time.Sleep(time.Second) // the refusal is here
			for i := 0; yield(i, nil); i++ {
			}
		}
		_, err := sum.Call(t.Context(), a, struct{}{}, endless)
		fails(t, err, Unimplemented, No, "")
		for _, err = range twice.Call(t.Context(), a, struct{}{}, endless) {
		}
		fails(t, err, Unimplemented, No, "")
		time.Sleep(2 * time.Second) // until the feed has woken up, too
		w := Writer(t.Context(), a, eat, struct{}{})
		synctest.Wait()
		if n, err := w.Write([]byte("x")); n != 0 || CodeOf(err) != Unimplemented {
			t.Error(n, err)
		}
		_, err = w.Result()
		fails(t, err, Unimplemented, No, "")
		synctest.Wait()
		if s := b.Stats(); s.Late != 0 {
			t.Errorf("%d items were sent", s.Late)
		}
		idle(t, a, b)
	})
}
