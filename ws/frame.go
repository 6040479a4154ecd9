package ws

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/chumsync/chum/wire"
)

// opcode is the kind of a frame (RFC 6455, 5.2).
type opcode byte

const (
	opContinuation opcode = 0
	opText         opcode = 1
	opBinary       opcode = 2
	opClose        opcode = 8
	opPing         opcode = 9
	opPong         opcode = 10
)

func (o opcode) isControl() bool { return o&8 != 0 }

const (
	finBit   = 0x80
	rsvBits  = 0x70
	maskBit  = 0x80
	maxHead  = 14  // bytes of a head: 2, a length of 8, a mask of 4
	maxSmall = 125 // the longest payload of a control frame
)

// closeCode says why a WebSocket ends (RFC 6455, 7.4.1).
type closeCode uint16

const (
	closeNormal      closeCode = 1000
	closeGoingAway   closeCode = 1001
	closeProtocol    closeCode = 1002
	closeUnsupported closeCode = 1003
	closeNoStatus    closeCode = 1005 // a Close frame without a code; never sent
	closeInvalidText closeCode = 1007
	closePolicy      closeCode = 1008
	closeTooBig      closeCode = 1009
)

// mayTravel tells whether a Close frame may hold the code: those of the protocol that are
// assigned (1012 to 1014 by IANA, later), those of libraries, those of applications.
func (c closeCode) mayTravel() bool {
	switch {
	case c >= 1000 && c <= 1003, c >= 1007 && c <= 1014, c >= 3000 && c <= 4999:
		return true
	}
	return false
}

// A violation is what the other side did wrong, and the code that it is told.
type violation struct {
	code closeCode
	text string
}

func (v *violation) Error() string        { return v.text }
func (v *violation) Is(target error) bool { return target == wire.ErrBroken }

func broken(format string, a ...any) *violation {
	return &violation{closeProtocol, fmt.Sprintf(format, a...)}
}

// head is the start of a frame.
type head struct {
	fin    bool
	op     opcode
	masked bool
	key    uint32 // the mask, its first byte lowest
	length int
}

// headSize is the length of a head, given its first two bytes.
func headSize(second byte) int {
	n := 2
	switch second &^ maskBit {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if second&maskBit != 0 {
		n += 4
	}
	return n
}

// checkStart says what is wrong with the first two bytes of a frame, before more is waited for.
// Frames of a client are masked, those of a server are not (RFC 6455, 5.1).
func checkStart(first, second byte, fromClient bool) *violation {
	op := opcode(first & 0xf)
	switch {
	case first&rsvBits != 0:
		return broken("a reserved bit is set in a frame's first byte %#x; no extension was negotiated", first)
	case op > opBinary && op < opClose || op > opPong:
		return broken("frame of the reserved opcode %d", op)
	case op.isControl() && first&finBit == 0:
		return broken("a fragmented control frame")
	case op.isControl() && second&^maskBit > maxSmall:
		return broken("a control frame of more than %d bytes", maxSmall)
	case fromClient && second&maskBit == 0:
		return broken("an unmasked frame from a client")
	case !fromClient && second&maskBit != 0:
		return broken("a masked frame from a server")
	}
	return nil
}

// parseHead reads a whole head whose first two bytes were checked.
func parseHead(b []byte) (head, *violation) {
	h := head{fin: b[0]&finBit != 0, op: opcode(b[0] & 0xf), masked: b[1]&maskBit != 0, length: int(b[1] &^ maskBit)}
	switch h.length {
	case 126:
		h.length = int(binary.BigEndian.Uint16(b[2:]))
		if h.length < 126 {
			return h, broken("a frame's length of %d in two bytes, not in its shortest form", h.length)
		}
	case 127:
		n := binary.BigEndian.Uint64(b[2:])
		switch {
		case n > 1<<63-1:
			return h, broken("a frame's length with the highest bit set")
		case n <= 0xffff:
			return h, broken("a frame's length of %d in eight bytes, not in its shortest form", n)
		case n > maxInt:
			return h, &violation{closeTooBig, fmt.Sprintf("a frame of %d bytes", n)}
		}
		h.length = int(n)
	}
	if h.masked {
		h.key = binary.LittleEndian.Uint32(b[headSize(b[1])-4:])
	}
	return h, nil
}

const maxInt = uint64(^uint(0) >> 1)

// appendHead appends the head of an unfragmented frame whose payload of n bytes follows.
func appendHead(b []byte, op opcode, n int, masked bool, key uint32) []byte {
	mask := byte(0)
	if masked {
		mask = maskBit
	}
	b = append(b, finBit|byte(op))
	switch {
	case n < 126:
		b = append(b, mask|byte(n))
	case n <= 0xffff:
		b = append(b, mask|126, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(n))
	}
	if masked {
		b = binary.LittleEndian.AppendUint32(b, key)
	}
	return b
}

// parseClose reads the payload of a Close frame (RFC 6455, 5.5.1).
func parseClose(p []byte) (closeCode, string, *violation) {
	if len(p) == 0 {
		return closeNoStatus, "", nil
	}
	if len(p) == 1 {
		return 0, "", broken("a Close frame with half a code")
	}
	code := closeCode(binary.BigEndian.Uint16(p))
	if !code.mayTravel() {
		return 0, "", broken("a Close frame with the code %d, which may not be sent", code)
	}
	if !utf8.Valid(p[2:]) {
		return 0, "", &violation{closeInvalidText, "a Close frame whose reason is not UTF-8"}
	}
	return code, string(p[2:]), nil
}

// appendClose appends the payload of a Close frame; the reason is cut to what fits, by whole
// characters.
func appendClose(b []byte, code closeCode, reason string) []byte {
	if code == closeNoStatus {
		return b
	}
	for len(reason) > maxSmall-2 {
		_, last := utf8.DecodeLastRuneInString(reason)
		reason = reason[:len(reason)-last]
	}
	return append(binary.BigEndian.AppendUint16(b, uint16(code)), reason...)
}
