package ws

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
)

// wideFrom is the length from which it pays to write the key out, and keyLength how far:
// subtle.XORBytes uses the processor's wide registers. Measured on 120 KiB it takes 0.6 of the
// loop's time.
const (
	wideFrom  = 8 << 10
	keyLength = 2 << 10
)

// mask writes src, masked or unmasked by key (RFC 6455, 5.3), to dst, which may be src itself,
// and returns the key for what follows. dst is as long as src.
func mask(dst, src []byte, key uint32) uint32 {
	dst = dst[:len(src)]
	k := uint64(key)<<32 | uint64(key)
	if len(src) >= wideFrom {
		n := len(src) &^ 7
		maskWide(dst[:n], src[:n], k)
		dst, src = dst[n:], src[n:]
	}
	for len(src) >= 32 && len(dst) >= 32 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^k)
		binary.LittleEndian.PutUint64(dst[8:], binary.LittleEndian.Uint64(src[8:])^k)
		binary.LittleEndian.PutUint64(dst[16:], binary.LittleEndian.Uint64(src[16:])^k)
		binary.LittleEndian.PutUint64(dst[24:], binary.LittleEndian.Uint64(src[24:])^k)
		src, dst = src[32:], dst[32:]
	}
	for len(src) >= 8 && len(dst) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^k)
		src, dst = src[8:], dst[8:]
	}
	for i := range src {
		dst[i] = src[i] ^ byte(key)
		key = bits.RotateLeft32(key, -8)
	}
	return key
}

// maskWide masks by the key that k holds twice.
func maskWide(dst, src []byte, k uint64) {
	b := lend(keyLength) // not on the stack, which an idle connection would keep
	defer give(b)
	wide := (*b)[:keyLength]
	binary.LittleEndian.PutUint64(wide, k)
	for n := 8; n < keyLength; n *= 2 {
		copy(wide[n:], wide[:n])
	}
	for len(src) > 0 {
		n := subtle.XORBytes(dst, src, wide)
		dst, src = dst[n:], src[n:]
	}
}
