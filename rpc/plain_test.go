package rpc

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chumsync/chum/wire"
)

var plainHello = conFrame(wire.Hello, `{"version":1,"json":true,"limits":{"calls":9,"streams":9,"value":8388608,"window":1048576}}`)

// TestPlain serves and calls a side whose hello asks for values in form json only.
func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type put struct {
			Name string `json:"name"`
			Data []byte `json:"data"`
		}
		m := NewMux(Public)
		m.Func("bytes", func() []byte { return []byte("\x00\xff") })
		m.Func("nothing", func() {})
		m.Func("both", func(name string, data []byte) put { return put{name, data} })
		Method[put, Value]("value").Handle(m, func(_ context.Context, p put) (Value, error) { return Value{Body: p.Data}, nil })
		Method[struct{}, Value]("mixed").Handle(m, func(context.Context, struct{}) (Value, error) {
			return Value{JSON: []byte(`{}`), Body: []byte("x")}, nil
		})
		HandleWriter(m, Source[int, []byte]("zeros"), func(_ context.Context, n int, w io.Writer) error {
			_, err := w.Write(make([]byte, n))
			return err
		})
		r := newRaw(t, m, Options{})
		r.acks = true
		go r.read()
		r.send(plainHello)
		synctest.Wait()

		r.send(request(1, 0, "bytes", ""), request(2, 0, "nothing", ""), request(3, 0, "both", `["k","AP8="]`), request(4, 0, "value", `["k","AP8="]`))
		results := map[uint64]string{}
		for _, f := range r.got(wire.Result) {
			if f.Form != wire.JSON {
				t.Errorf("result %d in form %s", f.ID, f.Form)
			}
			results[f.ID] = string(f.Payload)
		}
		for id, want := range map[uint64]string{1: `"AP8="`, 2: ``, 3: `{"name":"k","data":"AP8="}`, 4: `"AP8="`} {
			if results[id] != want {
				t.Errorf("result %d: %q, want %q", id, results[id], want)
			}
		}
		r.send(request(5, 0, "mixed", ""))
		if e := r.got(wire.Error); len(e) != 1 || !strings.Contains(string(e[0].Payload), "cannot be written as JSON") {
			t.Errorf("raw bytes beside JSON: %v", e)
		}

		r.send(request(6, takes, "zeros", "[100000]"))
		var sum int
		for _, f := range r.got(wire.Item) {
			var b []byte
			if err := decodeValue(f.Form, f.Payload, &b); f.Form != wire.JSON || err != nil {
				t.Errorf("an item in form %s: %v", f.Form, err)
			}
			sum += len(b)
		}
		if sum != 100_000 {
			t.Errorf("%d bytes came", sum)
		}

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r.peer.Send(ctx, "a", "x", []byte("\x00\xff"))
		r.peer.Send(ctx, "b", []byte("\x00\xff"))
		Method[[]byte, struct{}]("c").Go(ctx, r.peer, []byte("\x00\xff"))
		Method[put, struct{}]("d").Go(ctx, r.peer, put{"k", []byte("\x00\xff")})
		want := []string{`["x","AP8="]`, `["AP8="]`, `["AP8="]`, `{"name":"k","data":"AP8="}`}
		for i, f := range r.got(wire.Request) {
			if _, _, _, _, args, err := splitRequest(f.Payload); err != nil || f.Form != wire.JSON || string(args) != want[i] {
				t.Errorf("call %d has %s %q, want %q", f.ID, f.Form, args, want[i])
			}
		}

		// What comes may be in form json as well, also where bytes are read as a stream.
		in := Reader(ctx, r.peer, Source[struct{}, []byte]("e"), struct{}{})
		synctest.Wait()
		r.send(yours(wire.Item, 5, `"aGVs"`), yours(wire.Item, 5, `"bG8="`), yours(wire.End, 5, "\x02"), yours(wire.Result, 5, ""))
		if b, err := io.ReadAll(in); string(b) != "hello" || err != nil {
			t.Errorf("read %q, %v", b, err)
		}
		in = Reader(ctx, r.peer, Source[struct{}, []byte]("f"), struct{}{})
		synctest.Wait()
		r.send(yours(wire.Item, 6, `7`))
		if _, err := io.ReadAll(in); CodeOf(err) != DataLoss {
			t.Errorf("a number among bytes: %v", err)
		}
	})
}

// TestPlainPieces feeds a stream of bytes to a side that takes form json only: pieces fit in
// a frame as base64.
func TestPlainPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, nil, Options{})
		r.acks = true
		go r.read()
		r.send(plainHello)
		synctest.Wait()
		w := Writer(t.Context(), r.peer, Sink[struct{}, []byte, struct{}]("s"), struct{}{})
		sent := bytes.Repeat([]byte("0123456789"), 20_000)
		if _, err := w.Write(sent); err != nil {
			t.Fatal(err)
		}
		var got []byte
		for _, f := range r.got(wire.Item) {
			var b []byte
			if err := decodeValue(f.Form, f.Payload, &b); f.Form != wire.JSON || f.Long || err != nil {
				t.Errorf("an item in form %s, long %v: %v", f.Form, f.Long, err)
			}
			got = append(got, b...)
		}
		if !bytes.Equal(got, sent) {
			t.Errorf("%d bytes came, not those %d", len(got), len(sent))
		}
		w.Cancel()
	})
}
