package wire

import (
	"bytes"
	"testing"
)

// A frame that was extended is the frame with all the bytes, whatever that does to its head.
func TestExtend(t *testing.T) {
	payload := make([]byte, MaxFrame)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	lengths := []int{0, 1, 126, 127, 128, 129, 16_383, 16_384, 16_385, MaxFrame - 1, MaxFrame}
	for _, id := range []uint64{1, 300, MaxID} {
		for i, short := range lengths {
			for _, long := range lengths[i:] {
				f := Frame{Kind: Item, Form: Bytes, Own: true, ID: id, Payload: payload[:short]}
				before := Append([]byte("before"), Frame{Kind: Ping})
				got := Append(bytes.Clone(before), f)
				got = Extend(got, len(before), payload[short:long])
				f.Payload = payload[:long]
				if want := Append(before, f); !bytes.Equal(got, want) {
					t.Fatalf("id %d: %d bytes extended to %d are not the frame of %d", id, short, long, long)
				}
			}
		}
	}
}
