package ws_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chumsync/chum/ws"
)

// RFC 6455 for both roles, rule by rule. What the other side sends is written here byte by
// byte, and what it gets is read here, so that the package judges nothing of itself.

const testLimit = 100_000 // of a message, in these tests

// A frame of the test's own. By default its length is in its shortest form and it is masked
// as its sender must.
type frame struct {
	first   byte   // FIN, reserved bits, opcode
	payload string // empty means no payload
	length  []byte // in place of the second byte and what follows of the length; without the mask bit
	unruly  bool   // masked where it must not be, unmasked where it must
	key     [4]byte
}

var defaultKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

func (f frame) bytes(masked bool) []byte {
	masked = masked != f.unruly
	length := slices.Clone(f.length)
	switch n := len(f.payload); {
	case length != nil:
	case n < 126:
		length = []byte{byte(n)}
	case n < 1<<16:
		length = []byte{126, byte(n >> 8), byte(n)}
	default:
		length = binary.BigEndian.AppendUint64([]byte{127}, uint64(n))
	}
	if !masked {
		return append(append([]byte{f.first}, length...), f.payload...)
	}
	if f.key == [4]byte{} {
		f.key = defaultKey
	}
	length[0] |= 0x80
	b := append(append([]byte{f.first}, length...), f.key[:]...)
	for i := range len(f.payload) {
		b = append(b, f.payload[i]^f.key[i%4])
	}
	return b
}

// A far is the other side of the Conn that is tested.
type far struct {
	net.Conn
	r        *bufio.Reader
	isClient bool
}

// got reads a frame that the tested side sent, and checks what it must always be.
func (f *far) got() (op byte, payload string, err error) {
	f.SetReadDeadline(time.Now().Add(10 * time.Second))
	var h [2]byte
	if _, err := io.ReadFull(f.r, h[:]); err != nil {
		return 0, "", err
	}
	if h[0]&0xf0 != 0x80 {
		return 0, "", fmt.Errorf("its first byte is %#x", h[0])
	}
	if (h[1]&0x80 == 0) != f.isClient {
		return 0, "", fmt.Errorf("masked: %v", h[1]&0x80 != 0)
	}
	n := uint64(h[1] & 0x7f)
	if n == 126 || n == 127 {
		b := make([]byte, map[uint64]int{126: 2, 127: 8}[n])
		if _, err := io.ReadFull(f.r, b); err != nil {
			return 0, "", err
		}
		least := map[uint64]uint64{126: 126, 127: 1 << 16}[n]
		if n = binary.BigEndian.Uint64(append(make([]byte, 8-len(b)), b...)); n < least {
			return 0, "", fmt.Errorf("the length %d is not in its shortest form", n)
		}
	}
	var key [4]byte
	if !f.isClient {
		if _, err := io.ReadFull(f.r, key[:]); err != nil {
			return 0, "", err
		}
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(f.r, p); err != nil {
		return 0, "", err
	}
	for i := range p {
		p[i] ^= key[i%4]
	}
	return h[0] & 0xf, string(p), nil
}

// gotClose reads until the Close frame, and then the end of the network connection, and
// returns what it held; -1 is a Close frame without a code.
func (f *far) gotClose(t *testing.T) (code int, reason string) {
	t.Helper()
	for {
		op, p, err := f.got()
		if err != nil {
			t.Fatalf("no Close frame came, but %v", err)
		}
		if op != 8 {
			continue
		}
		code := -1
		if len(p) >= 2 {
			code, p = int(binary.BigEndian.Uint16([]byte(p))), p[2:]
		}
		if f.isClient {
			if n, err := io.Copy(io.Discard, f.r); err != nil || n > 0 {
				t.Errorf("behind the Close frame: %d bytes, %v", n, err)
			}
		}
		return code, p
	}
}

// A role is the side that is tested.
type role struct {
	name string
	join func(t *testing.T, early []byte) (ws.Conn, *far)
}

var roles = []role{{"server", farClient}, {"client", farServer}}

const handshake = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

// farClient gives our server's end of a connection, and a client that has sent early right
// behind its handshake.
func farClient(t *testing.T, early []byte) (ws.Conn, *far) {
	t.Helper()
	conns := make(chan ws.Conn, 1)
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := ws.Accept(w, r, &ws.Options{MaxMessage: testLimit})
		if err != nil {
			t.Error(err)
			close(conns)
			return
		}
		conns <- c
	}))
	t.Cleanup(hs.Close)
	n, err := net.Dial("tcp", hs.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	n.Write(append([]byte(handshake), early...))
	f := &far{Conn: n, r: bufio.NewReader(n), isClient: true}
	answer, err := http.ReadResponse(f.r, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(answer, err)
	}
	// The example of RFC 6455, 1.3.
	if got := answer.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("Sec-WebSocket-Accept: %q", got)
	}
	c := <-conns
	t.Cleanup(func() { c.Close() })
	return c, f
}

func accepted(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// answerOnce is a server that answers one handshake: ACCEPT stands for what the key asks for.
func answerOnce(t *testing.T, answer string, early []byte) (url string, served <-chan *far) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	out := make(chan *far, 1)
	go func() {
		defer close(out)
		n, err := l.Accept()
		if err != nil {
			return
		}
		f := &far{Conn: n, r: bufio.NewReader(n)}
		r, err := http.ReadRequest(f.r)
		if err != nil {
			n.Close()
			return
		}
		n.Write(append([]byte(strings.ReplaceAll(answer, "ACCEPT", accepted(r.Header.Get("Sec-WebSocket-Key")))), early...))
		out <- f
	}()
	return "ws://" + l.Addr().String(), out
}

const answer101 = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n"

// farServer gives our client's end of a connection, and a server that has sent early right
// behind its handshake.
func farServer(t *testing.T, early []byte) (ws.Conn, *far) {
	t.Helper()
	url, served := answerOnce(t, answer101+"\r\n", early)
	c, err := ws.Dial(t.Context(), url, &ws.Options{MaxMessage: testLimit})
	if err != nil {
		t.Fatal(err)
	}
	f := <-served
	t.Cleanup(func() { c.Close(); f.Close() })
	return c, f
}

func closing(code int, reason string) frame {
	return frame{first: 0x88, payload: string([]byte{byte(code >> 8), byte(code)}) + reason}
}

var (
	long   = strings.Repeat("long ", testLimit/5)
	normal = closing(1000, "")
)

// A rule is a row: what the other side sends, which messages come out ("t:" text, "b:"
// binary), and the code of our Close frame. If nothing ends the connection by itself, the
// other side closes it in the end, with 1000.
type rfcRule struct {
	section string
	name    string
	send    []frame
	want    []string
	code    int // 0: the connection is fine; -1: a Close frame without a code
	pong    bool
}

var rfcRules = slices.Concat([]rfcRule{
	{"5.2", "an empty message", []frame{{first: 0x82}}, []string{"b:"}, 0, false},
	{"5.2", "125 bytes", []frame{{first: 0x82, payload: long[:125]}}, []string{"b:" + long[:125]}, 0, false},
	{"5.2", "126 bytes", []frame{{first: 0x82, payload: long[:126]}}, []string{"b:" + long[:126]}, 0, false},
	{"5.2", "65,535 bytes", []frame{{first: 0x82, payload: long[:65535]}}, []string{"b:" + long[:65535]}, 0, false},
	{"5.2", "65,536 bytes", []frame{{first: 0x82, payload: long[:65536]}}, []string{"b:" + long[:65536]}, 0, false},
	{"5.2", "as long as the limit", []frame{{first: 0x82, payload: long}}, []string{"b:" + long}, 0, false},
	{"5.2", "125 in two bytes", []frame{{first: 0x82, payload: long[:125], length: []byte{126, 0, 125}}}, nil, 1002, false},
	{"5.2", "0 in two bytes", []frame{{first: 0x82, length: []byte{126, 0, 0}}}, nil, 1002, false},
	{"5.2", "65,535 in eight bytes", []frame{{first: 0x82, payload: long[:65535], length: []byte{127, 0, 0, 0, 0, 0, 0, 255, 255}}}, nil, 1002, false},
	{"5.2", "the highest bit", []frame{{first: 0x82, length: []byte{127, 128, 0, 0, 0, 0, 0, 0, 0}}}, nil, 1002, false},
	{"5.2", "2^64-1", []frame{{first: 0x82, length: []byte{127, 255, 255, 255, 255, 255, 255, 255, 255}}}, nil, 1002, false},
	{"5.2, 7.4.1", "2^63-1", []frame{{first: 0x82, length: []byte{127, 127, 255, 255, 255, 255, 255, 255, 255}}}, nil, 1009, false},
	{"7.4.1", "over the limit", []frame{{first: 0x82, length: []byte{127, 0, 0, 0, 0, 0, 1, 0x86, 0xa1}}}, nil, 1009, false},
	{"7.4.1", "over the limit with its last fragment", []frame{{first: 2, payload: long}, {first: 0x80, payload: "x"}}, nil, 1009, false},
	{"7.4.1", "a fragment, and one of 2^63-1", []frame{{first: 2, payload: "x"}, {first: 0, length: []byte{127, 127, 255, 255, 255, 255, 255, 255, 255}}}, nil, 1009, false},

	{"5.1", "the wrong masking", []frame{{first: 0x82, payload: "hello", unruly: true}}, nil, 1002, false},
	{"5.1", "the wrong masking, nothing to mask", []frame{{first: 0x82, unruly: true}}, nil, 1002, false},
	{"5.1", "the wrong masking of a ping", []frame{{first: 0x89, unruly: true}}, nil, 1002, false},
	{"5.1", "the wrong masking of a Close frame", []frame{{first: 0x88, payload: "\x03\xe8", unruly: true}}, nil, 1002, false},
	{"5.1", "the wrong masking of a later fragment", []frame{{first: 2, payload: "x"}, {first: 0x80, payload: "x", unruly: true}}, nil, 1002, false},
	{"5.3", "a key of one bit", []frame{{first: 0x82, payload: "hello", key: [4]byte{0, 0, 0, 1}}}, []string{"b:hello"}, 0, false},
	{"5.3", "a long message masked", []frame{{first: 0x82, payload: long[:77777], key: [4]byte{1, 2, 3, 4}}}, []string{"b:" + long[:77777]}, 0, false},

	{"5.4", "two fragments", []frame{{first: 2, payload: "hel"}, {first: 0x80, payload: "lo"}}, []string{"b:hello"}, 0, false},
	{"5.4", "empty fragments", []frame{{first: 1}, {first: 0}, {first: 0, payload: "a"}, {first: 0}, {first: 0, payload: "b"}, {first: 0x80}}, []string{"t:ab"}, 0, false},
	{"5.4", "only empty fragments", []frame{{first: 2}, {first: 0}, {first: 0x80}}, []string{"b:"}, 0, false},
	{"5.4", "long fragments", []frame{{first: 2, payload: long[:30000]}, {first: 0, payload: long[30000:70001]}, {first: 0x80, payload: long[70001:]}}, []string{"b:" + long}, 0, false},
	{"5.4", "a ping amid fragments", []frame{{first: 1, payload: "hel"}, {first: 0x89, payload: "there?"}, {first: 0x80, payload: "lo"}}, []string{"t:hello"}, 0, true},
	{"5.4", "a Close frame amid fragments", []frame{{first: 1, payload: "hel"}, closing(1001, "")}, nil, 1001, false},
	{"5.4", "nothing to continue", []frame{{first: 0x80, payload: "x"}}, nil, 1002, false},
	{"5.4", "nothing to continue, not the last", []frame{{first: 0, payload: "x"}}, nil, 1002, false},
	{"5.4", "the message has ended", []frame{{first: 0x82, payload: "x"}, {first: 0x80, payload: "x"}}, []string{"b:x"}, 1002, false},
	{"5.4", "a message amid another", []frame{{first: 2, payload: "x"}, {first: 0x82, payload: "y"}}, nil, 1002, false},
	{"5.4", "a first fragment amid another message", []frame{{first: 1, payload: "x"}, {first: 1, payload: "y"}}, nil, 1002, false},

	{"5.5", "a fragmented ping", []frame{{first: 9, payload: "x"}, {first: 0x80, payload: "y"}}, nil, 1002, false},
	{"5.5", "a fragmented pong", []frame{{first: 10}}, nil, 1002, false},
	{"5.5", "a fragmented Close frame", []frame{{first: 8, payload: "\x03\xe8"}}, nil, 1002, false},
	{"5.5", "a ping of 126 bytes", []frame{{first: 0x89, payload: long[:126]}}, nil, 1002, false},
	{"5.5", "a pong of 65,536 bytes", []frame{{first: 0x8a, payload: long[:65536]}}, nil, 1002, false},
	{"5.5", "a Close frame of 126 bytes", []frame{closing(1000, long[:124])}, nil, 1002, false},
	{"5.5.1", "an empty Close frame", []frame{{first: 0x88}}, nil, -1, false},
	{"5.5.1", "a Close frame with a reason", []frame{closing(1000, long[:123])}, nil, 1000, false},
	{"5.5.1", "half a code", []frame{{first: 0x88, payload: "\x03"}}, nil, 1002, false},
	{"5.5.1", "data behind a Close frame", []frame{{first: 0x82, payload: "x"}, closing(1001, ""), {first: 0x82, payload: "y"}}, []string{"b:x"}, 1001, false},
	{"5.5.1", "the reason's last character is cut", []frame{closing(1000, "gr\xc3")}, nil, 1007, false},
	{"5.5.1, 8.1", "the reason is no UTF-8", []frame{closing(1000, "\xff")}, nil, 1007, false},
	{"5.5.2", "a ping", []frame{{first: 0x89, payload: "there?"}}, nil, 0, true},
	{"5.5.2", "an empty ping", []frame{{first: 0x89}}, nil, 0, true},
	{"5.5.2", "a ping of 125 bytes", []frame{{first: 0x89, payload: long[:125]}}, nil, 0, true},
	{"5.5.3", "a pong that nobody asked for", []frame{{first: 0x8a, payload: "here!"}, {first: 0x82, payload: "x"}}, []string{"b:x"}, 0, false},

	{"5.6", "text, then bytes", []frame{{first: 0x81, payload: "grüß 𝄞"}, {first: 0x82, payload: "\xff"}}, []string{"t:grüß 𝄞", "b:\xff"}, 0, false},
	{"5.6, 8.1", "a character in two fragments", []frame{{first: 1, payload: "gr\xc3"}, {first: 0, payload: "\xbc\xc3"}, {first: 0x80, payload: "\x9f"}}, []string{"t:grüß"}, 0, false},
	{"8.1", "bytes need not be UTF-8", []frame{{first: 2, payload: "\xff"}, {first: 0x80, payload: "\xc3"}}, []string{"b:\xff\xc3"}, 0, false},
	{"8.1", "a character that is broken by its fragments", []frame{{first: 1, payload: "gr\xc3"}, {first: 0x80, payload: "x"}}, nil, 1007, false},
}, reservedRules(), textRules(), codeRules())

func reservedRules() (rules []rfcRule) {
	for _, bit := range []byte{0x40, 0x20, 0x10, 0x70} {
		for _, op := range []byte{1, 2, 8, 9, 10} {
			rules = append(rules, rfcRule{"5.2", fmt.Sprintf("reserved bits %#x on opcode %d", bit, op), []frame{{first: 0x80 | bit | op}}, nil, 1002, false})
		}
		rules = append(rules, rfcRule{"5.2", fmt.Sprintf("reserved bits %#x on a continuation", bit), []frame{{first: 2, payload: "x"}, {first: 0x80 | bit}}, nil, 1002, false})
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		rules = append(rules, rfcRule{"5.2", fmt.Sprintf("reserved opcode %d", op), []frame{{first: 0x80 | op, payload: "x"}}, nil, 1002, false})
	}
	return rules
}

func textRules() (rules []rfcRule) {
	for what, text := range map[string]string{
		"an overlong slash": "\xc0\xaf", "an overlong NUL": "\xf0\x80\x80\x80", "a surrogate": "\xed\xa0\x80",
		"a pair of surrogates": "\xed\xa0\x80\xed\xb0\x80", "beyond U+10FFFF": "\xf4\x90\x80\x80", "a lone continuation": "\x80",
		"no such byte": "\xfe", "cut short": "\xe2\x82",
	} {
		rules = append(rules,
			rfcRule{"8.1", "text with " + what, []frame{{first: 0x81, payload: "x" + text}}, nil, 1007, false},
			rfcRule{"8.1", "fragmented text with " + what, []frame{{first: 1, payload: "x" + text[:1]}, {first: 0x80, payload: text[1:]}}, nil, 1007, false},
			rfcRule{"5.5.1", "a reason with " + what, []frame{closing(1000, text)}, nil, 1007, false})
	}
	return rules
}

func codeRules() (rules []rfcRule) {
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		rules = append(rules, rfcRule{"7.4", fmt.Sprintf("code %d", code), []frame{closing(code, "why")}, nil, code, false})
	}
	for _, code := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		rules = append(rules, rfcRule{"7.4", fmt.Sprintf("code %d", code), []frame{closing(code, "why")}, nil, 1002, false})
	}
	return rules
}

func TestRFC6455(t *testing.T) {
	for _, role := range roles {
		for _, rule := range rfcRules {
			t.Run(role.name+"/"+rule.section+"/"+rule.name, func(t *testing.T) { rule.check(t, role) })
		}
	}
}

func (rule *rfcRule) check(t *testing.T, role role) {
	c, f := role.join(t, nil)
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		for _, frame := range rule.send {
			f.Write(frame.bytes(f.isClient))
		}
	}()
	read := make(chan error, 1)
	var got []string
	go func() {
		for {
			text, p, err := c.ReadAny()
			if err != nil {
				read <- err
				return
			}
			got = append(got, map[bool]string{true: "t:", false: "b:"}[text]+string(p))
		}
	}()
	<-wrote
	if rule.pong {
		i := slices.IndexFunc(rule.send, func(f frame) bool { return f.first == 0x89 })
		if op, p, err := f.got(); err != nil || op != 10 || p != rule.send[i].payload {
			t.Errorf("a ping of %q is answered with opcode %d, %q, %v", rule.send[i].payload, op, p, err)
		}
	}
	code := rule.code
	if code == 0 {
		code = 1000
		f.Write(normal.bytes(f.isClient))
	}
	if is, reason := f.gotClose(t); is != code {
		t.Errorf("our Close frame has code %d %q, want %d", is, reason, code)
	}
	f.Close() // as a server, which our client waits for
	err := <-read
	if !slices.Equal(got, rule.want) {
		t.Errorf("messages %.50q, want %.50q", got, rule.want)
	}
	last := rule.send[len(rule.send)-1]
	orderly := rule.code == 0 || rule.code == -1 || rule.code == 1000 || rule.code == 1001
	if orderly != (err == io.EOF) || !orderly && !strings.HasPrefix(err.Error(), "ws: ") {
		t.Errorf("ReadAny ends with %v, last came %x", err, last.first)
	}
	if err := c.WriteMessage([]byte("x")); err == nil {
		t.Error("written behind the Close frame")
	}
}

// RFC 6455, 5.1 and 5.5.1: what comes right behind the handshake is not lost.
func TestEarlyFrames(t *testing.T) {
	for _, role := range roles {
		for _, n := range []int{0, 1, 100, 5000, 60_000} {
			isClient := role.name == "server"
			p := long[:n]
			early := frame{first: 0x82, payload: p}.bytes(isClient)
			early = append(early, frame{first: 0x82, payload: "next"}.bytes(isClient)[:3]...) // and the beginning of one more
			c, f := role.join(t, early)
			if got, err := c.ReadMessage(); err != nil || string(got) != p {
				t.Fatalf("%s: %d bytes: %q, %v", role.name, n, got, err)
			}
			f.Write(frame{first: 0x82, payload: "next"}.bytes(isClient)[3:])
			if got, err := c.ReadMessage(); err != nil || string(got) != "next" {
				t.Fatalf("%s: behind %d bytes: %q, %v", role.name, n, got, err)
			}
		}
	}
}
