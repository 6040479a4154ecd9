package ws

import (
	"fmt"
	"unicode/utf8"
)

// What the other side may make a receiver do beyond whole messages.
const (
	maxFragments = 4096 // of one message

	// Control frames that nobody asked for cost us a look each, pings an answer.
	controlBurst, controlRate = 100, 10 // rate: a second

	// Fragments below smallFragment bytes: more of them in a row make no sense but to keep us
	// busy, message after message.
	smallFragment               = 128
	fragmentBurst, fragmentRate = maxFragments, 100
)

// How much one read call asks for: at least minRead, at most maxAsk when there are small
// messages only, and as much as the last message when that was long.
const (
	minRead = minBuffer
	maxAsk  = 64 << 10
)

// A receiver reads frames and puts messages together, in one buffer that it has for as long
// as there is something in it:
//
//	  from      to     pos       end
//	---|========|.......|#########|------
//	   message so far    has come and was not looked at yet
//
// A frame's payload stays where it came and is unmasked there; only further fragments, and
// what of a long message was read together with others, are moved.
//
// It never writes. What is to be answered, or is an answer, goes to onPing and onPong, which must
// not block.
type receiver struct {
	src        source
	fromClient bool
	limit      int // longest message

	buf                *[]byte // lent; nil if there is nothing in it
	from, to, pos, end int
	ask                int // bytes that the next read asks for
	known              int // the longest message that came so far: memory for as much is taken at once

	controls, fragments rate

	onPing func(payload []byte)
	onPong func(payload []byte) (asked bool)
}

func newReceiver(src source, fromClient bool, limit int, early []byte) receiver {
	r := receiver{src: src, fromClient: fromClient, limit: limit, ask: minRead}
	if len(early) > 0 {
		r.buf = lend(len(early))
		r.end = copy(*r.buf, early)
	}
	return r
}

// closed is the error for a Close frame that came.
type closed struct {
	code   closeCode
	reason string
}

func (c *closed) Error() string { return fmt.Sprintf("closed: %d %s", c.code, c.reason) }

// next returns the next message, valid until the next call. Errors: *violation, *closed, or
// that of the connection; each is final. With wantText, text messages are taken, too.
func (r *receiver) next(wantText bool) (op opcode, p []byte, err error) {
	r.from, r.to = r.pos, r.pos
	for fragments := 0; ; {
		h, err := r.head()
		if err != nil {
			return 0, nil, err
		}
		if h.op.isControl() {
			if err := r.control(h); err != nil {
				return 0, nil, err
			}
			continue
		}
		switch {
		case h.op == opContinuation && fragments == 0:
			return 0, nil, broken("a continuation frame where no message has begun")
		case h.op != opContinuation && fragments > 0:
			return 0, nil, broken("a new message amid the fragments of another")
		case h.op == opText && !wantText:
			return 0, nil, &violation{closeUnsupported, "a text message came; this side takes binary messages only"}
		case h.length > r.limit-(r.to-r.from):
			return 0, nil, &violation{closeTooBig, fmt.Sprintf("a message of more than %d bytes came: Options.MaxMessage allows no longer ones", r.limit)}
		}
		if fragments == 0 {
			op = h.op
		}
		if r.from == r.to {
			r.from, r.to = r.pos, r.pos // the payload may stay where it is
		}
		fragments++
		switch {
		case fragments > maxFragments:
			return 0, nil, &violation{closePolicy, fmt.Sprintf("a message in more than %d fragments", maxFragments)}
		case (!h.fin || fragments > 1) && h.length < smallFragment && !r.fragments.allow(fragmentBurst, fragmentRate):
			return 0, nil, &violation{closePolicy, "too many tiny fragments"}
		}
		if err := r.payload(h); err != nil {
			return 0, nil, err
		}
		if h.fin {
			break
		}
	}
	p = (*r.buf)[r.from:r.to:r.to]
	if op == opText && !utf8.Valid(p) {
		return 0, nil, &violation{closeInvalidText, "a text message that is not UTF-8"}
	}
	r.learn(len(p) + maxHead)
	return op, p, nil
}

// learn sets what is asked for and taken for the next message by the size of this one.
func (r *receiver) learn(n int) {
	r.known = max(r.known, n)
	if n > maxAsk {
		r.ask = min(n, maxBuffer)
	}
}

// head reads the head of the next frame.
func (r *receiver) head() (head, error) {
	if err := r.fill(2); err != nil {
		return head{}, err
	}
	b := *r.buf
	if v := checkStart(b[r.pos], b[r.pos+1], r.fromClient); v != nil {
		return head{}, v
	}
	n := headSize(b[r.pos+1])
	if err := r.fill(n); err != nil {
		return head{}, err
	}
	h, v := parseHead((*r.buf)[r.pos : r.pos+n])
	if v != nil {
		return head{}, v
	}
	r.pos += n
	return h, nil
}

// control reads the payload of a control frame and passes it on.
func (r *receiver) control(h head) error {
	if err := r.fill(h.length); err != nil {
		return err
	}
	p := (*r.buf)[r.pos : r.pos+h.length]
	r.pos += h.length
	if h.masked {
		mask(p, p, h.key)
	}
	if h.op == opClose {
		code, reason, v := parseClose(p)
		if v != nil {
			return v
		}
		return &closed{code, reason}
	}
	// RFC 6455, 5.5.3 allows pongs that nobody asked for; as many as one likes they are a flood.
	if asked := h.op == opPong && r.onPong(p); !asked && !r.controls.allow(controlBurst, controlRate) {
		return &violation{closePolicy, "too many pings or pongs"}
	}
	if h.op == opPing {
		r.onPing(p)
	}
	return nil
}

// fill reads until n bytes, at most a control frame, lie between pos and end.
func (r *receiver) fill(n int) error {
	for r.end-r.pos < n {
		var got int
		var err error
		asked := r.ask
		if r.pos == r.end && r.from == r.to {
			held := r.buf
			r.buf, r.from, r.to, r.pos, r.end = nil, 0, 0, 0, 0
			r.buf, got, err = r.src.first(held, asked)
		} else {
			r.makeRoom()
			room := (*r.buf)[r.end:]
			asked = min(asked, len(room))
			got, err = r.src.Read(room[:asked])
		}
		r.end += got
		if got == 0 && err != nil {
			return err
		}
		switch {
		case got == asked && r.ask < maxAsk:
			r.ask *= 2
		case got < r.ask/4:
			r.ask = max(r.ask/2, minRead)
		}
	}
	return nil
}

// makeRoom makes a read call worth its while, if something is to be kept.
func (r *receiver) makeRoom() {
	if len(*r.buf)-r.end >= r.ask/2 {
		return
	}
	r.compact()
	if len(*r.buf)-r.end < r.ask/2 {
		r.grow(r.end + r.ask)
	}
}

// compact moves what is kept to the beginning of the buffer.
func (r *receiver) compact() { r.move(*r.buf) }

// grow takes a buffer of at least n bytes and moves there what is kept.
func (r *receiver) grow(n int) {
	old := r.buf
	b := lend(n)
	r.move(*b)
	r.buf = b
	give(old)
}

func (r *receiver) move(to []byte) {
	b := *r.buf
	n := copy(to, b[r.from:r.to])
	r.end = n + copy(to[n:], b[r.pos:r.end])
	r.from, r.to, r.pos = 0, n, n
}

// payload appends a frame's payload to the message.
func (r *receiver) payload(h head) error {
	have := min(h.length, r.end-r.pos)
	b := *r.buf
	if r.to != r.pos {
		copy(b[r.to:], b[r.pos:r.pos+have])
	}
	key := h.key
	part := b[r.to : r.to+have]
	if h.masked {
		key = mask(part, part, key)
	}
	r.to += have
	r.pos += have
	if have == h.length {
		return nil
	}
	// All that has come is in the message; the rest is read to where it belongs, and no more.
	for rest := h.length - have; rest > 0; {
		r.pos, r.end = r.to, r.to
		r.roomFor(rest)
		part := (*r.buf)[r.to:]
		got, err := r.src.Read(part[:min(len(part), rest)])
		if h.masked {
			key = mask(part[:got], part[:got], key)
		}
		r.to += got
		rest -= got
		if err != nil && rest > 0 {
			return err
		}
	}
	r.pos, r.end = r.to, r.to
	return nil
}

// roomFor makes room behind the message for rest more bytes, or for some of them: memory is
// taken for what came, and at once only for what one message before has had. So the length
// that is announced takes no memory: 8 bytes cannot ask for a MiB.
func (r *receiver) roomFor(rest int) {
	have := r.to - r.from
	n := min(have+rest, max(4*have, 4*minBuffer, r.known))
	switch {
	case len(*r.buf)-r.to >= rest:
	case len(*r.buf) < n:
		r.grow(n)
	case r.from > 0:
		r.compact()
	}
}

// leave lets go of the buffer that the last message lies in, since somebody may still be reading
// that, and goes on with what has come behind it in another.
func (r *receiver) leave() {
	if r.buf == nil {
		return
	}
	rest := (*r.buf)[r.pos:r.end]
	r.buf = lend(max(len(rest), minBuffer))
	r.from, r.to, r.pos, r.end = 0, 0, 0, copy(*r.buf, rest)
}

// release gives the buffer back.
func (r *receiver) release() {
	if r.buf != nil {
		give(r.buf)
		r.buf = nil
	}
}
