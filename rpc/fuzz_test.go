package rpc

import (
	"testing"
	"testing/synctest"

	"github.com/chumsync/chum/wire"
)

// FuzzPeer writes arbitrary messages to a peer that has said hello and made four calls. It
// must not panic, hang or keep anything, and settle each call once. The input is messages,
// each behind its length.
func FuzzPeer(f *testing.F) {
	for _, c := range conversations() {
		if c.big {
			continue
		}
		var in []byte
		for _, m := range c.send {
			in = append(append(in, uvarint(uint64(len(m)))...), m...)
		}
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<16 {
			t.Skip("long inputs only take time")
		}
		synctest.Test(t, func(t *testing.T) {
			r := greeted(t, rawMux(), Options{CallTimeout: -1, KeepAlive: -1})
			ended := fourCalls(t, r.peer)
			for len(in) > 0 {
				n, rest, err := wire.Uvarint(in)
				if err != nil {
					break
				}
				n = min(n, uint64(len(rest)))
				r.send(rest[:n])
				in = rest[n:]
			}
			synctest.Wait()
			r.conn.Close()
			<-r.peer.Done()
			if got := ended.all(); len(got) != 4 {
				t.Errorf("%d calls were settled: %v", len(got), got)
			}
			r.gone()
		})
	})
}
