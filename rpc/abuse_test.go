package rpc

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chumsync/chum/wire"
)

// What a peer does when the other side does not keep to spec/README.md. The conversations are
// also written to spec/vectors, for other implementations.

// A conversation is what a raw side sends to a peer that said hello and made four calls, and
// what comes of it.
type conversation struct {
	name    string
	send    [][]byte  // messages
	cut     string    // part of the reason why the connection is cut; "" if it goes on
	strikes uint64    // frames counted as making no sense
	late    uint64    // frames counted as late
	answers []refusal // error frames for the raw side's calls
	settled []refusal // which of the peer's own calls ended by it, and how; code "" is a result
	served  int       // results that came for the raw side's calls
	big     bool      // too big to be written as a vector
}

type refusal struct {
	ID       uint64   `json:"id"`
	Code     Code     `json:"code,omitempty"`
	Executed Executed `json:"executed,omitempty"`
}

func msg(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

// longValue is a value in a first frame marked long, and parts of at most n bytes.
func longValue(first func(payload []byte) []byte, part func(payload []byte) []byte, head, value []byte, n int) (list [][]byte) {
	k := min(n, len(value))
	list = append(list, long(first(append(append(head, uvarint(uint64(len(value)))...), value[:k]...))))
	for value = value[k:]; len(value) > 0; value = value[k:] {
		k = min(n, len(value))
		list = append(list, part(value[:k]))
	}
	return list
}

// longRequest is a request of the raw side whose arguments come as a long value.
func longRequest(id uint64, m mode, method, args string) [][]byte {
	return longValue(
		func(b []byte) []byte { return mine(wire.Request, id, b) },
		func(b []byte) []byte { return mine(wire.Part, id, b) },
		requestHead(m, 0, method), []byte(args), 60000)
}

func conversations() []conversation {
	refused := func(id uint64, c Code) []refusal { return []refusal{{id, c, No}} }
	ping := conFrame(wire.Ping, "")
	item := func(n int) []byte { return formed(mine(wire.Item, 1, make([]byte, n)), wire.Bytes) }
	sink := request(1, feeds, "deaf", "")
	strikes := func(n int, frame []byte) (list [][]byte) {
		for range n {
			list = append(list, frame)
		}
		return list
	}
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	return []conversation{
		// Messages and frames.
		{name: "an empty message", send: [][]byte{{}}, cut: "empty message"},
		{name: "a frame of kind 0", send: [][]byte{{0x00, 0x00, 0x00}}, cut: "unknown kind 0"},
		{name: "garbage", send: [][]byte{[]byte("GET / HTTP/1.1\r\n\r\n")}, cut: "malformed frame"},
		{name: "a text of JSON-RPC", send: [][]byte{[]byte(`{"jsonrpc":"2.0","method":"hi","id":1}`)}, cut: "malformed frame"},
		{name: "a frame cut short", send: [][]byte{ping[:2]}, cut: "cut short"},
		{name: "a frame longer than its message", send: [][]byte{{0x0c, 0x00, 0x05, 'x'}}, cut: "5 bytes announced, 1 left"},
		{name: "a frame over the limit", send: [][]byte{conFrame(wire.Ping, make([]byte, wire.MaxFrame+1))}, cut: "more than the 61440", big: true},
		{name: "a length of 2^63", send: [][]byte{append([]byte{0x0c, 0x00}, uvarint(1<<63)...)}, cut: "more than the 61440"},
		{name: "a length of 2^64", send: [][]byte{{0x0c, 0x00, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02}}, cut: "above 64 bits"},
		{name: "a length not in its shortest form", send: [][]byte{{0x0c, 0x00, 0x80, 0x00}}, cut: "shortest form"},
		{name: "a message over the limit", send: [][]byte{bytes.Repeat(ping, wire.MaxMessage/len(ping)+1)}, cut: "a message of 1048578 bytes", big: true},
		{
			name: "good frames before a bad one take effect", send: [][]byte{msg(yours(wire.Result, 1, `"yes"`), []byte{0})},
			cut: "unknown kind 0", settled: []refusal{{ID: 1}},
		},

		// The connection.
		{name: "a second hello", send: [][]byte{goodHello}, cut: "a second hello"},
		{name: "a ping of 8 bytes", send: [][]byte{conFrame(wire.Ping, "12345678")}},
		{name: "a ping of 9 bytes", send: [][]byte{conFrame(wire.Ping, "123456789")}, cut: "a ping of 9 bytes"},
		{name: "pongs that nobody asked for", send: [][]byte{conFrame(wire.Pong, ""), conFrame(wire.Pong, "12345678"), conFrame(wire.Pong, "123456789")}},
		{name: "an ack of more than was sent", send: [][]byte{conFrame(wire.Ack, uvarint(1<<40)+uvarint(0))}, cut: "acknowledged 1099511627776 bytes"},
		{name: "an ack that goes backwards", send: [][]byte{conFrame(wire.Ack, uvarint(2)+uvarint(0)), conFrame(wire.Ack, uvarint(1)+uvarint(0))}, cut: "acknowledged 1 bytes"},
		{name: "an ack of no number", send: [][]byte{conFrame(wire.Ack, "")}, cut: "malformed ack"},
		{name: "an ack of one number", send: [][]byte{conFrame(wire.Ack, "\x00")}, cut: "malformed ack"},
		{name: "an ack with bytes behind it", send: [][]byte{conFrame(wire.Ack, "\x00\x00\x00")}, cut: "malformed ack"},
		{name: "an ack of the farthest time", send: [][]byte{conFrame(wire.Ack, "\x00"+uvarint(maxClock))}},
		{name: "an ack of a time too far", send: [][]byte{conFrame(wire.Ack, "\x00"+uvarint(maxClock+1))}, cut: "malformed ack"},
		{
			name: "a goaway", send: [][]byte{conFrame(wire.GoAway, uvarint(2))},
			settled: []refusal{{3, Unavailable, No}, {4, Unavailable, No}},
		},
		{name: "a second goaway", send: [][]byte{conFrame(wire.GoAway, uvarint(9)), conFrame(wire.GoAway, uvarint(0))}, strikes: 1},
		{name: "a goaway of no number", send: [][]byte{conFrame(wire.GoAway, "\x80")}, cut: "malformed goaway"},
		{name: "a bye that is not JSON", send: [][]byte{conFrame(wire.Bye, "so long")}, cut: "malformed bye"},
		{name: "a frame of the connection that names a call", send: [][]byte{yours(wire.Ping, 1, "")}, cut: "belongs to the connection"},
		{name: "a frame of the connection with the own bit", send: [][]byte{mine(wire.Mark, 0, "")}, cut: "belongs to the connection"},

		// Ids.
		{name: "id 0", send: [][]byte{request(0, 0, "hi", `["x"]`)}, cut: "its id is 0"},
		{name: "id 2^53-1", send: [][]byte{request(wire.MaxID, 0, "hi", `["x"]`)}, served: 1},
		{name: "id 2^53", send: [][]byte{request(wire.MaxID+1, 0, "hi", `["x"]`)}, cut: "above 2^53-1"},
		{name: "id 2^64-1, or -1", send: [][]byte{request(1<<64-1, 0, "hi", `["x"]`)}, cut: "above 2^53-1"},
		{name: "ids that skip", send: [][]byte{msg(request(5, 0, "hi", `["x"]`), request(1<<40, 0, "hi", `["x"]`))}, served: 2},
		{name: "an id used again", send: [][]byte{request(1, 0, "hi", `["x"]`), request(1, 0, "hi", `["x"]`)}, cut: "ids count up", served: 1},
		{name: "an id that goes backwards", send: [][]byte{msg(request(7, 0, "hang", ""), request(6, 0, "hang", ""))}, cut: "request 6 comes after request 7"},
		{name: "the id of a refused call used again", send: [][]byte{request(1, 0, "no", ""), request(1, 0, "hi", `["x"]`)}, cut: "ids count up", answers: refused(1, Unimplemented)},
		{name: "an answer to a call never made", send: [][]byte{yours(wire.Result, 5, `"x"`)}, strikes: 1},
		{name: "an error for a call never made", send: [][]byte{yours(wire.Error, wire.MaxID, `{"code":"internal"}`)}, strikes: 1},
		{name: "seven strikes", send: strikes(7, yours(wire.Result, 5, `"x"`)), strikes: 7},
		{name: "eight strikes", send: strikes(8, yours(wire.Result, 5, `"x"`)), strikes: 8, cut: "8 frames made no sense"},
		{name: "a cancel of a call never made", send: [][]byte{mine(wire.Cancel, 1, "")}, strikes: 1},
		{name: "an item of a call never made", send: [][]byte{mine(wire.Item, 1, "1"), yours(wire.Item, 5, "1")}, strikes: 2},
		{name: "credit for a call never made", send: [][]byte{mine(wire.Credit, 1, uvarint(1)), yours(wire.Credit, 5, uvarint(1))}, strikes: 2},
		{name: "a part and an end of a call never made", send: [][]byte{mine(wire.Part, 1, "1"), mine(wire.End, 1, "\x00")}, strikes: 2},
		{name: "two answers", send: [][]byte{yours(wire.Result, 1, `"x"`), yours(wire.Result, 1, `"y"`)}, late: 1, settled: []refusal{{ID: 1}}},
		{name: "an error behind an answer", send: [][]byte{yours(wire.Result, 1, `"x"`), yours(wire.Error, 1, `{"code":"internal"}`)}, late: 1, settled: []refusal{{ID: 1}}},
		{name: "a cancel behind the answer", send: [][]byte{request(1, 0, "hi", `["x"]`), mine(wire.Cancel, 1, "")}, late: 1, served: 1},
		{name: "an answer from the caller", send: [][]byte{request(1, 0, "hang", ""), mine(wire.Result, 1, `"x"`)}, cut: "wrong side"},
		{name: "a cancel from the callee", send: [][]byte{yours(wire.Cancel, 1, "")}, cut: "wrong side"},
		{name: "a request in the other side's name", send: [][]byte{yours(wire.Request, 9, requestHead(0, 0, "hi"))}, cut: "wrong side"},

		// Requests.
		{name: "a request without a head", send: [][]byte{mine(wire.Request, 1, "")}, cut: "request 1: number cut short"},
		{name: "mode 4", send: [][]byte{request(1, 4, "hi", `["x"]`)}, cut: "unknown mode 4"},
		{name: "metadata past the end", send: [][]byte{mine(wire.Request, 1, "\x00\x00\x05\x02hi")}, cut: "metadata of 5 bytes"},
		{name: "metadata that nobody asks for", send: [][]byte{mine(wire.Request, 1, "\x00\x00\x05\x01k\x02vv\x02hi[\"x\"]")}, served: 1},
		{name: "metadata cut short", send: [][]byte{mine(wire.Request, 1, "\x00\x00\x05\x01k\x05vv\x02hi[\"x\"]")}, cut: "metadata runs past its end"},
		{name: "metadata that is no list", send: [][]byte{mine(wire.Request, 1, "\x00\x00\x05abcde\x02hi[\"x\"]")}, cut: "metadata runs past its end"},
		{name: "more metadata than allowed", send: [][]byte{mine(wire.Request, 1, "\x00\x00"+uvarint(5003)+"\x00"+uvarint(5000)+string(make([]byte, 5000))+"\x02hi")}, cut: "5003 bytes of metadata"},
		{name: "repeatable by the caller's word alone", send: [][]byte{mine(wire.Request, 1, "\x00\x00\x0c\x0arpc.repeat\x00\x02hi[\"x\"]")}, answers: refused(1, FailedPrecondition)},
		{name: "a key where none is known", send: [][]byte{mine(wire.Request, 1, "\x00\x00\x0b\x07rpc.key\x02kk\x02hi[\"x\"]")}, answers: refused(1, FailedPrecondition)},
		{name: "a method name past the end", send: [][]byte{mine(wire.Request, 1, "\x00\x00\x00\x05hi")}, cut: "method name of 5 bytes"},
		{name: "a method name of 128 bytes", send: [][]byte{request(1, 0, strings.Repeat("n", maxName), "")}, answers: refused(1, Unimplemented)},
		{name: "a method name of 129 bytes", send: [][]byte{request(1, 0, strings.Repeat("n", maxName+1), "")}, cut: "method name of 129 bytes"},
		{name: "a method name of 1 MiB", send: [][]byte{mine(wire.Request, 1, "\x00\x00\x00"+uvarint(1<<20))}, cut: "method name of 1048576 bytes"},
		{name: "an empty method name", send: [][]byte{request(1, 0, "", "")}, answers: refused(1, Unimplemented)},
		{name: "method names of objects and paths", send: [][]byte{
			request(1, 0, "__proto__", ""), request(2, 0, "constructor", ""), request(3, 0, "toString", ""),
			request(4, 0, "hi\x00", ""), request(5, 0, "/hi", ""), request(6, 0, "../hi", ""), request(7, 0, "Hi", ""), request(8, 0, "h\xff", ""),
		}, answers: []refusal{
			{1, Unimplemented, No},
			{2, Unimplemented, No},
			{3, Unimplemented, No},
			{4, Unimplemented, No},
			{5, Unimplemented, No},
			{6, Unimplemented, No},
			{7, Unimplemented, No},
			{8, Unimplemented, No},
		}},
		{
			name: "method names in other forms of Unicode", // all of them look like hi
			send: [][]byte{
				request(1, 0, "\uff48\uff49", ""), request(2, 0, "hi\u0307", ""), request(3, 0, "h\u0456", ""),
				request(4, 0, "hi\u200b", ""), request(5, 0, "\ufeffhi", ""), request(6, 0, "hi ", ""),
			},
			answers: []refusal{
				{1, Unimplemented, No},
				{2, Unimplemented, No},
				{3, Unimplemented, No},
				{4, Unimplemented, No},
				{5, Unimplemented, No},
				{6, Unimplemented, No},
			},
		},
		{
			name: "a call of a stream", send: [][]byte{request(1, 0, "count", "[1]"), request(2, feeds, "count", "[1]"), request(3, takes, "hi", `["x"]`)},
			answers: []refusal{{1, InvalidArgument, No}, {2, InvalidArgument, No}, {3, InvalidArgument, No}},
		},
		{name: "an absurd time left is none", send: [][]byte{mine(wire.Request, 1, append(requestHead(0, 1<<63, "hi"), `["x"]`...))}, served: 1},

		// Arguments.
		{
			name: "arguments of another type", send: [][]byte{request(1, 0, "hi", `[5]`), request(2, 0, "hi", `"x"`), request(3, 0, "hi", `{"a":1}`), request(4, 0, "hi", `["x","y"]`), request(5, 0, "hi", "")},
			answers: []refusal{{1, InvalidArgument, No}, {2, InvalidArgument, No}, {3, InvalidArgument, No}, {4, InvalidArgument, No}, {5, InvalidArgument, No}},
		},
		{
			name: "arguments that are not JSON", send: [][]byte{request(1, 0, "hi", `["x"`), request(2, 0, "hi", `["x"]]`), request(3, 0, "hi", `[NaN]`), request(4, 0, "hi", "[\"\xff\"]"), request(5, 0, "hi", `["\ud800"]`)},
			answers: []refusal{{1, InvalidArgument, No}, {2, InvalidArgument, No}, {3, InvalidArgument, No}, {4, InvalidArgument, No}, {5, InvalidArgument, No}},
		},
		{
			name: "raw bytes where there are none", send: [][]byte{bytesRequest(1, 0, "hi", []byte("x")), formed(request(2, 0, "hi", "\x05[\"x\"]raw"), wire.Pair)},
			answers: []refusal{{1, InvalidArgument, No}, {2, InvalidArgument, No}},
		},
		{
			name: "a pair cut short", send: [][]byte{formed(request(1, 0, "hi", "\x09[\"x\"]"), wire.Pair), formed(request(2, 0, "hi", ""), wire.Pair)},
			answers: []refusal{{1, InvalidArgument, No}, {2, InvalidArgument, No}},
		},
		{name: "JSON 100,000 deep", send: longRequest(1, 0, "hi", deep), answers: refused(1, InvalidArgument), big: true},
		{name: "JSON 100,000 deep, to a plain function", send: longRequest(1, 0, "add", deep), answers: refused(1, InvalidArgument), big: true},
		{name: "a name twice", send: [][]byte{request(1, 0, "rpc.methods", `{"a":1,"a":2}`)}, answers: refused(1, InvalidArgument)},
		{name: "a number of 50 KB", send: [][]byte{request(1, 0, "add", "["+strings.Repeat("9", 50_000)+",1]")}, answers: refused(1, InvalidArgument), big: true},

		{name: "a number of 8 MB", send: longRequest(1, 0, "add", "["+strings.Repeat("9", 8_000_000)+",1]"), answers: refused(1, InvalidArgument), big: true},
		{name: "a number of 10 MB", send: longRequest(1, 0, "add", "["+strings.Repeat("9", 10_000_000)+",1]")[:2], late: 1, answers: refused(1, ResourceExhausted), big: true},
		{
			name: "numbers that are none", send: [][]byte{request(1, 0, "add", `[1e999,1]`), request(2, 0, "add", `[1.5,1]`), request(3, 0, "add", `[Infinity,1]`), request(4, 0, "add", `[01,1]`), request(5, 0, "add", `["1",1]`)},
			answers: []refusal{{1, InvalidArgument, No}, {2, InvalidArgument, No}, {3, InvalidArgument, No}, {4, InvalidArgument, No}, {5, InvalidArgument, No}},
		},

		// Long values.
		{name: "a part of no long value", send: [][]byte{msg(request(1, 0, "hang", ""), mine(wire.Part, 1, "x"))}, cut: "a part of no long value"},
		{name: "a part behind the whole", send: [][]byte{msg(long(request(1, 0, "hang", "\x00")), mine(wire.Part, 1, "x"))}, cut: "a part of no long value"},
		{name: "a long value past its length", send: [][]byte{msg(long(request(1, 0, "hi", "\x02[")), mine(wire.Part, 1, "]]"))}, cut: "runs past the 2 bytes"},
		{name: "a long value past its length at once", send: [][]byte{long(request(1, 0, "hi", "\x02[]]"))}, cut: "runs past the 2 bytes"},
		{name: "a long value without a length", send: [][]byte{long(request(1, 0, "hi", ""))}, cut: "length of a long value"},
		{name: "arguments over the limit", send: [][]byte{long(request(1, 0, "hi", uvarint(8<<20+1)+"[")), mine(wire.Part, 1, "]")}, answers: refused(1, ResourceExhausted), late: 1},
		{name: "arguments of 2^63-1 bytes", send: [][]byte{long(request(1, 0, "hi", uvarint(1<<63-1)))}, answers: refused(1, ResourceExhausted)},
		{name: "arguments of 2^63 bytes", send: [][]byte{long(request(1, 0, "hi", uvarint(1<<63)))}, answers: refused(1, ResourceExhausted)},
		{name: "arguments of 2^64-1 bytes", send: [][]byte{long(request(1, 0, "hi", uvarint(1<<64-1)))}, answers: refused(1, ResourceExhausted)},
		{
			name: "a result over the limit", send: [][]byte{long(yours(wire.Result, 1, uvarint(8<<20+1))), yours(wire.Part, 1, "x")},
			late: 1, settled: []refusal{{1, ResourceExhausted, Yes}},
		},
		{name: "an item over the limit", send: [][]byte{long(yours(wire.Item, 2, uvarint(8<<20+1)))}, settled: []refusal{{2, ResourceExhausted, Yes}}},
		{name: "an item over the limit, to a handler", send: [][]byte{msg(sink, long(mine(wire.Item, 1, uvarint(8<<20+1))))}, answers: []refusal{{1, ResourceExhausted, Yes}}},
		{name: "a long value amid a long value", send: [][]byte{long(yours(wire.Result, 1, "\x05x")), long(yours(wire.Result, 1, "\x05x"))}, cut: "amid a long value"},
		{name: "a result amid a long value", send: [][]byte{long(yours(wire.Result, 1, "\x05x")), yours(wire.Result, 1, `"x"`)}, cut: "amid a long value"},
		{name: "an error amid a long value", send: [][]byte{long(yours(wire.Result, 1, "\x05x")), yours(wire.Error, 1, `{"code":"aborted"}`)}, settled: []refusal{{1, Aborted, Yes}}},
		{name: "an item amid a long value", send: [][]byte{msg(sink, long(mine(wire.Item, 1, "\x05x")), item(1))}, cut: "amid a long value"},
		{name: "an item amid long arguments", send: [][]byte{msg(long(request(1, feeds, "deaf", "\x05x")), item(1))}, cut: "amid a long value"},
		{name: "an end amid a long value", send: [][]byte{msg(sink, long(mine(wire.Item, 1, "\x05x")), mine(wire.End, 1, "\x01"))}, cut: "end of a stream"},
		{name: "a long value that never ends", send: [][]byte{long(request(1, 0, "hi", uvarint(8<<20)+"["))}},
		{name: "long marks where there is no value", send: [][]byte{long(mine(wire.Cancel, 1, ""))}, cut: "marked long where there is no value"},
		{name: "a form where there is no value", send: [][]byte{formed(conFrame(wire.Ping, ""), wire.Bytes)}, cut: "form bytes where there is no value"},
		{name: "form 3", send: [][]byte{formed(yours(wire.Result, 1, ""), 3)}, cut: "unknown form 3"},

		// Answers.
		{name: "an answer of another type", send: [][]byte{yours(wire.Result, 1, `5`)}, settled: []refusal{{1, DataLoss, Yes}}},
		{name: "an answer in another form", send: [][]byte{formed(yours(wire.Result, 1, `x`), wire.Bytes)}, settled: []refusal{{1, DataLoss, Yes}}},
		{name: "an answer that is a pair cut short", send: [][]byte{formed(yours(wire.Result, 1, "\x05x"), wire.Pair)}, settled: []refusal{{1, DataLoss, Yes}}},
		{name: "an error that is not JSON", send: [][]byte{yours(wire.Error, 1, `no`)}, settled: []refusal{{1, DataLoss, Yes}}},
		{name: "an error with a name twice", send: [][]byte{yours(wire.Error, 1, `{"code":"aborted","code":"internal"}`)}, settled: []refusal{{1, DataLoss, Yes}}},
		{name: "an error of an unknown code", send: [][]byte{yours(wire.Error, 1, `{"code":"teapot","message":"short and stout","executed":"no"}`)}, settled: []refusal{{1, Unknown, No}}},
		{name: "an error that says no more", send: [][]byte{yours(wire.Error, 1, `{}`)}, settled: []refusal{{1, Unknown, Yes}}},
		{name: "an unknown member in an error", send: [][]byte{yours(wire.Error, 1, `{"code":"not_found","executed":"maybe","more":[1]}`)}, settled: []refusal{{1, NotFound, Maybe}}},

		// Streams.
		{name: "an item where there is no stream", send: [][]byte{yours(wire.Item, 1, "1")}, cut: "an item where there is no stream"},
		{name: "an item to a source", send: [][]byte{msg(request(1, takes, "zero", "[1000000]"), item(1))}, cut: "an item where there is no stream"},
		{name: "an end where there is no stream", send: [][]byte{yours(wire.End, 1, "\x00")}, cut: "end of a stream"},
		{name: "an item behind the end", send: [][]byte{msg(yours(wire.End, 2, "\x00"), yours(wire.Item, 2, "1"))}, cut: "an item after the stream's end"},
		{name: "two ends", send: [][]byte{msg(yours(wire.End, 2, "\x00"), yours(wire.End, 2, "\x00"))}, cut: "its stream ends twice"},
		{name: "an end that counts wrongly", send: [][]byte{msg(yours(wire.Item, 2, "0"), yours(wire.End, 2, "\x02"))}, cut: "ends after 2 items, 1 came"},
		{name: "an end of no number", send: [][]byte{yours(wire.End, 2, "")}, cut: "end of a stream"},
		{name: "a result before the end", send: [][]byte{msg(yours(wire.Item, 2, "0"), yours(wire.Result, 2, ""))}, settled: []refusal{{2, DataLoss, Yes}}},
		{name: "a good stream", send: [][]byte{msg(yours(wire.Item, 2, "0"), yours(wire.End, 2, "\x01"), yours(wire.Result, 2, ""))}, settled: []refusal{{ID: 2}}},
		{name: "an item of another type", send: [][]byte{yours(wire.Item, 2, `"x"`)}, settled: []refusal{{2, DataLoss, Yes}}},
		{name: "items to the last of the credit, and one more", send: [][]byte{msg(sink, item(firstWindow-itemCost-1), item(0))}, big: true},
		{name: "an item beyond the credit", send: [][]byte{msg(sink, item(firstWindow-itemCost), item(0))}, cut: "beyond the stream's credit", big: true},
		{name: "empty items beyond the credit", send: [][]byte{msg(sink, bytes.Repeat(item(0), firstWindow/itemCost)), item(0)}, cut: "beyond the stream's credit", big: true},
		{name: "an item of a frame on the last byte of credit", send: [][]byte{msg(sink, item(firstWindow-itemCost-1), item(wire.MaxFrame))}, big: true},
		{name: "credit that overflows", send: [][]byte{yours(wire.Credit, 4, uvarint(maxCredit))}, cut: "overflows"},
		{name: "credit of 2^64-1", send: [][]byte{yours(wire.Credit, 3, uvarint(1<<64-1))}, cut: "overflows"},
		{name: "credit of 0", send: [][]byte{yours(wire.Credit, 3, "\x00")}},
		{name: "credit of no number", send: [][]byte{yours(wire.Credit, 3, "\x01\x01")}, cut: "malformed credit"},
		{name: "credit where there is no stream", send: [][]byte{yours(wire.Credit, 1, "\x01"), msg(request(1, 0, "hang", ""), mine(wire.Credit, 1, "\x01"))}},
		{name: "an answer amid a stream to the callee", send: [][]byte{yours(wire.Result, 3, "7")}, settled: []refusal{{ID: 3}}},
	}
}

// TestAbuse holds a peer to what comes of each conversation, and to being whole afterwards.
func TestAbuse(t *testing.T) {
	for _, c := range conversations() {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { converse(t, c) })
		})
	}
}

func converse(t *testing.T, c conversation) {
	r := greeted(t, rawMux(), Options{CallTimeout: -1, KeepAlive: -1})
	outcomes := fourCalls(t, r.peer)
	if n := len(r.got(wire.Request)); n != 4 {
		t.Fatalf("%d requests came", n)
	}
	for _, m := range c.send {
		r.send(m)
		synctest.Wait()
	}
	before := outcomes.all()
	if len(before) != len(c.settled) && c.cut == "" {
		t.Errorf("calls settled by it: %v", before)
	}
	for _, want := range c.settled {
		checkOutcome(t, before, want)
	}
	s := r.peer.Stats()
	if s.Strikes != c.strikes || s.Late != c.late {
		t.Errorf("%d strikes, %d late frames; want %d and %d", s.Strikes, s.Late, c.strikes, c.late)
	}
	checkAnswers(t, r, c)
	if c.cut == "" {
		// It goes on: a call still works, if there is an id left for one.
		if c.name != "id 2^53-1" {
			r.send(bytesRequest(wire.MaxID, 0, "echo", []byte("still there")))
			if got := r.got(wire.Result); len(got) != c.served+1 || string(got[c.served].Payload) != "still there" {
				t.Errorf("it does not go on: %v", got)
			}
		}
		if err := r.peer.Err(); err != nil {
			t.Errorf("it does not go on: %v", err)
		}
		if lines := r.log.lines(); len(lines) > 0 {
			t.Errorf("logged: %q", lines)
		}
		r.conn.Close()
	} else {
		checkCut(t, r, c.cut)
	}
	r.gone()
	after := outcomes.all()
	for id := uint64(1); id <= 4; id++ {
		if _, ok := before[id]; !ok {
			checkOutcome(t, after, refusal{id, Unavailable, Maybe})
		}
	}
}

// checkCut checks that the peer told everybody why it cut the connection.
func checkCut(t *testing.T, r *raw, reason string) {
	t.Helper()
	select {
	case <-r.peer.Done():
	case <-time.After(time.Second): // which the last word may take
		t.Fatal("the connection was not cut")
	}
	if err := r.peer.Err(); err == nil || !strings.Contains(err.Error(), reason) {
		t.Errorf("Err: %v, want it to say %q", err, reason)
	}
	bye := r.got(wire.Bye)
	if len(bye) != 1 || CodeOf(parseError(bye[0].Payload)) != InvalidArgument || !strings.Contains(parseError(bye[0].Payload).Message, reason) {
		t.Errorf("the other side was told %v, want one bye that says %q", bye, reason)
	}
	if lines := r.log.lines(); len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "agent=raw") || !strings.Contains(lines[0], reason) {
		t.Errorf("logged: %q, want one line that says %q", lines, reason)
	}
}

// checkAnswers checks the errors and results for the raw side's calls.
func checkAnswers(t *testing.T, r *raw, c conversation) {
	t.Helper()
	errs := r.got(wire.Error)
	if len(errs) != len(c.answers) {
		t.Errorf("%d errors came, want %d", len(errs), len(c.answers))
		return
	}
	for _, f := range errs {
		e := parseError(f.Payload)
		found := false
		for _, want := range c.answers {
			found = found || want == refusal{f.ID, e.Code, e.Executed}
		}
		if !found {
			t.Errorf("call %d was answered with %s", f.ID, f.Payload)
		}
	}
	if n := len(r.got(wire.Result)); n != c.served {
		t.Errorf("%d results came, want %d", n, c.served)
	}
}

// outcomes are how calls ended, by id.
type outcomes chan refusal

// fourCalls makes a call of each mode that the other side does not answer yet: 1 hi, 2 count,
// 3 sum, 4 twice.
func fourCalls(t *testing.T, p *Peer) outcomes {
	out := make(outcomes, 8) // more than four, so that one who settles twice is seen
	settled := func(id uint64, err error) {
		o := refusal{ID: id, Code: CodeOf(err)}
		if err != nil {
			o.Executed = ExecutedOf(err)
		}
		out <- o
	}
	for i, call := range []func() error{
		func() error { _, err := hi.Call(t.Context(), p, "x"); return err },
		func() (last error) {
			for _, last = range count.Call(t.Context(), p, 3) {
			}
			return last
		},
		func() error { _, err := sum.Call(t.Context(), p, struct{}{}, ints(2*firstWindow/itemCost)); return err },
		func() (last error) {
			for _, last = range twice.Call(t.Context(), p, struct{}{}, None[int]()) {
			}
			return last
		},
	} {
		go func() { settled(uint64(i+1), call()) }()
		synctest.Wait()
	}
	return out
}

// all gives what has come so far.
func (o outcomes) all() map[uint64]refusal {
	synctest.Wait()
	m := make(map[uint64]refusal)
	for len(o) > 0 {
		r := <-o
		if _, ok := m[r.ID]; ok {
			panic(fmt.Sprintf("call %d was settled twice", r.ID))
		}
		m[r.ID] = r
	}
	return m
}

func checkOutcome(t *testing.T, got map[uint64]refusal, want refusal) {
	t.Helper()
	if o, ok := got[want.ID]; !ok || o != want {
		t.Errorf("call %d: %+v (settled: %v), want %+v", want.ID, o, ok, want)
	}
}

// What comes instead of a hello.
func TestAbuseBeforeHello(t *testing.T) {
	hello := func(text string) []byte { return conFrame(wire.Hello, text) }
	for _, test := range []struct {
		name string
		send []byte
		cut  string
	}{
		{"a request", request(1, 0, "hi", `["x"]`), "the first frame is a request, not a hello"},
		{"a ping", conFrame(wire.Ping, ""), "the first frame is a ping, not a hello"},
		{"garbage", []byte("\xff\xff\xff"), "malformed frame"},
		{"another version", hello(`{"version":2,"agent":"newer"}`), "speaks version 2 of the protocol"},
		{"no version", hello(`{}`), "speaks version 0 of the protocol"},
		{"null", hello(`null`), "speaks version 0 of the protocol"},
		{"no JSON", hello(`chum`), "malformed hello"},
		{"nothing", hello(``), "malformed hello"},
		{"bytes behind the JSON", hello(`{"version":1}{}`), "malformed hello"},
		{"a name twice", hello(`{"version":1,"version":1}`), "malformed hello"},
		{"text that is not UTF-8", hello("{\"version\":1,\"agent\":\"\xff\"}"), "malformed hello"},
		{"JSON too deep", hello(`{"version":1,"x":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + `}`), "deeper than 64"},
		{"limits of another type", hello(`{"version":1,"limits":[1]}`), "malformed hello"},
		{"a negative limit", hello(`{"version":1,"limits":{"calls":-1}}`), "a limit is negative"},
		{"a limit that is no integer", hello(`{"version":1,"limits":{"calls":1.5}}`), "malformed hello"},
		{"a limit over 64 bits", hello(`{"version":1,"limits":{"calls":1e30}}`), "malformed hello"},
		{"an absurd window", hello(`{"version":1,"limits":{"window":9223372036854775807}}`), "a window of 9223372036854775807 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRaw(t, rawMux(), Options{})
				go r.read()
				waiting := r.peer.Send(t.Context(), "hi", "x")
				r.send(test.send)
				<-r.peer.Done()
				if err := r.peer.Err(); err == nil || !strings.Contains(err.Error(), test.cut) {
					t.Errorf("Err: %v, want it to say %q", err, test.cut)
				}
				if bye := r.got(wire.Bye); len(bye) != 1 {
					t.Errorf("%d byes came", len(bye))
				}
				if lines := r.log.lines(); len(lines) != 1 || !strings.Contains(lines[0], test.cut) {
					t.Errorf("logged: %q", lines)
				}
				if len(r.got(wire.Request)) > 0 {
					t.Error("a request went out before the hello")
				}
				if err := waiting.Await(nil); ExecutedOf(err) != No || CodeOf(err) != Unavailable {
					t.Errorf("the call that waited: %v", err)
				}
				r.gone()
			})
		})
	}
}

// Limits that are absurd but no lie are taken, and cost nothing.
func TestHelloWithAbsurdLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, nil, Options{})
		go r.read()
		r.send(conFrame(wire.Hello, fmt.Sprintf(`{"version":1,"agent":"%s","limits":{"calls":9223372036854775807,"streams":9223372036854775807,"value":9223372036854775807,"window":%d},"more":{}}`,
			strings.Repeat("a", 1000), maxCredit)))
		r.got(wire.Ping)
		if n := len(r.peer.Agent()); n > maxName {
			t.Errorf("an agent of %d bytes is kept", n)
		}
		p := r.peer.Send(t.Context(), "hi", "x")
		r.got(wire.Request)
		r.send(yours(wire.Credit, 1, "\x00"), yours(wire.Result, 1, `"y"`))
		var s string
		if err := p.Await(&s); err != nil || s != "y" {
			t.Errorf("%q, %v", s, err)
		}
		r.conn.Close()
		r.gone()
	})
	// One that takes nothing gets nothing.
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, nil, Options{})
		go r.read()
		r.send(conFrame(wire.Hello, `{"version":1}`))
		r.got(wire.Ping)
		if err := r.peer.Send(t.Context(), "hi", "x").Await(nil); CodeOf(err) != ResourceExhausted || ExecutedOf(err) != No {
			t.Errorf("%v", err)
		}
	})
}

// Who says nothing, or takes nothing, is given up after its time and without anybody's help.
func TestAbuseBySilence(t *testing.T) {
	for _, test := range []struct {
		name   string
		behave func(r *raw)
		after  time.Duration
		reason string
	}{
		{"never says hello", func(r *raw) { go r.read() }, helloTime, "said no hello within 10 s"},
		{"never reads", func(r *raw) { r.send(goodHello) }, writeTime, "took nothing of a message for 10 s"},
		{"never answers a ping", func(r *raw) { go r.read(); r.send(goodHello) }, pongTime, "gave no sign of life for 10 s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRaw(t, rawMux(), Options{})
				began := time.Now()
				call := r.peer.Send(t.Context(), "hi", "x")
				test.behave(r)
				<-r.peer.Done()
				if d := time.Since(began); d != test.after {
					t.Errorf("given up after %v, want %v", d, test.after)
				}
				if err := r.peer.Err(); err == nil || !strings.Contains(err.Error(), test.reason) {
					t.Errorf("Err: %v", err)
				}
				if lines := r.log.lines(); len(lines) != 1 || !strings.Contains(lines[0], test.reason) {
					t.Errorf("logged: %q", lines)
				}
				if err := call.Await(nil); CodeOf(err) != Unavailable {
					t.Errorf("the call that was open: %v", err)
				}
				r.gone()
			})
		})
	}
}

// A byte now and then is a sign of life, but not of frames: a message that is half there is
// the Conn's affair, and what a whole one holds is judged at once.
func TestAnnouncedLengthTakesNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := greeted(t, rawMux(), Options{KeepAlive: -1})
		for id := range uint64(8) { // 8 x 8 MiB: all that may be arriving
			r.send(long(request(id+1, 0, "hi", uvarint(8<<20)+"[")))
		}
		r.send(long(request(9, 0, "hi", uvarint(8<<20)+"[")))
		if refused := r.got(wire.Error); len(refused) != 1 || refused[0].ID != 9 {
			t.Errorf("%d calls were refused, want the ninth alone", len(refused))
		}
		r.peer.mu.Lock()
		taken := 0
		for _, s := range r.peer.servings {
			taken += cap(s.long.buf)
		}
		r.peer.mu.Unlock()
		if taken > 8*(128<<10) {
			t.Errorf("%d bytes of memory for 8 that came", taken)
		}
		for id := range uint64(8) {
			r.send(mine(wire.Cancel, id+1, ""))
		}
		synctest.Wait()
		r.atRest()
		r.send(long(request(10, 0, "echo", uvarint(8<<20)+"[")))
		if n := len(r.got(wire.Error)); n != 1 {
			t.Error("refused although all was given back")
		}
	})
}
