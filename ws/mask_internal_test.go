package ws

import (
	"bytes"
	"testing"
)

// Of any length, in place or not, in one go or in parts.
func TestMask(t *testing.T) {
	const key = 0x3d21fa37
	for _, n := range []int{0, 1, 3, 4, 7, 8, 31, 32, 33, 100, wideFrom - 1, wideFrom, wideFrom + 13, 3*keyLength + wideFrom + 5} {
		src := make([]byte, n)
		want := make([]byte, n)
		for i := range src {
			src[i] = byte(i * 7)
			want[i] = src[i] ^ []byte{0x37, 0xfa, 0x21, 0x3d}[i%4]
		}
		for _, cut := range []int{0, 1, 2, 3, 6, n / 3, n} {
			cut = min(cut, n)
			dst := make([]byte, n)
			mask(dst[cut:], src[cut:], mask(dst[:cut], src[:cut], key))
			if !bytes.Equal(dst, want) {
				t.Errorf("%d bytes, cut at %d: wrong", n, cut)
			}
		}
		mask(src, src, key)
		if !bytes.Equal(src, want) {
			t.Errorf("%d bytes in place: wrong", n)
		}
	}
}
