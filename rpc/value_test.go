package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

type credentials struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

type upload struct {
	Name string `json:"name"`
	Mode int    `json:"mode,omitempty"`
	Data []byte `json:"data"`
}

// However a method takes its arguments and however they are given: they arrive, or the error
// says what was expected.
func TestArgumentForms(t *testing.T) {
	mux := NewMux(Public)
	const byStruct Method[credentials, string] = "struct"
	const byPointer Method[*credentials, string] = "pointer"
	const byValue Method[Value, string] = "value"
	const byList Method[[]string, string] = "list"
	byStruct.Handle(mux, func(_ context.Context, c credentials) (string, error) { return c.User + ":" + c.Password, nil })
	byPointer.Handle(mux, func(_ context.Context, c *credentials) (string, error) { return c.User + ":" + c.Password, nil })
	byValue.Handle(mux, func(_ context.Context, v Value) (string, error) { return string(v.JSON), nil })
	byList.Handle(mux, func(_ context.Context, l []string) (string, error) { return strings.Join(l, ":"), nil })
	mux.Func("func", func(user, password string) string { return user + ":" + password })
	mux.Func("func-struct", func(_ context.Context, c credentials) string { return c.User + ":" + c.Password })
	mux.Func("func-pointer", func(c *credentials) string { return c.User + ":" + c.Password })
	a, _ := pair(t, mux)

	c := credentials{"ann", "pw"}
	typed := func(method string) func() (string, error) {
		return func() (string, error) { return Method[credentials, string](method).Call(t.Context(), a, c) }
	}
	send := func(method string, args ...any) func() (string, error) {
		return func() (s string, err error) { return s, a.Send(t.Context(), method, args...).Await(&s) }
	}
	tests := []struct {
		name string
		call func() (string, error)
		want string // or, with a "!", what the error says
	}{
		{"typed to struct", typed("struct"), "ann:pw"},
		{"by position to struct", send("struct", "ann", "pw"), "ann:pw"},
		{"struct to struct", send("struct", c), "ann:pw"},
		{"pointer to struct", send("struct", &c), "ann:pw"},
		{"map to struct", send("struct", map[string]string{"user": "ann", "password": "pw"}), "ann:pw"},
		{"JSON by name to struct", send("struct", Value{JSON: jsontext.Value(`{"password":"pw","user":"ann"}`)}), "ann:pw"},
		{"JSON by position to struct", send("struct", Value{JSON: jsontext.Value(` ["ann","pw"]`)}), "ann:pw"},
		{"too few to struct", send("struct", "ann"), "!argument 2 (password) is missing"},
		{"too many to struct", send("struct", "ann", "pw", 1), "!3 arguments came, 2 were expected"},
		{"wrong type to struct", send("struct", "ann", 5), "!argument 2 (password)"},
		{"wrong type by name", send("struct", map[string]any{"user": 1}), "!not a rpc.credentials"},
		{"raw to struct", send("struct", []byte("x")), "!raw bytes came where rpc.credentials was expected"},
		{"raw beside to struct", send("struct", "ann", []byte("x")), "!raw bytes came with the arguments"},

		{"typed to pointer", typed("pointer"), "ann:pw"},
		{"by position to pointer", send("pointer", "ann", "pw"), "ann:pw"},
		{"struct to pointer", send("pointer", c), "ann:pw"},
		{"pointer to pointer", func() (string, error) { return byPointer.Call(t.Context(), a, &c) }, "ann:pw"},

		{"by position to func", send("func", "ann", "pw"), "ann:pw"},
		{"list to func", func() (string, error) {
			return Method[Value, string]("func").Call(t.Context(), a, Value{JSON: jsontext.Value(`["ann","pw"]`)})
		}, "ann:pw"},
		{"typed to func", typed("func"), "!send a list"},
		{"too few to func", send("func", "ann"), "!1 arguments came, (string, string) was expected"},
		{"none to func", send("func"), "!0 arguments came"},
		{"wrong type to func", send("func", "ann", 5), "!argument 2: not a string"},
		{"raw to func", send("func", []byte("x")), "!raw bytes came"},

		{"typed to func of struct", typed("func-struct"), "ann:pw"},
		{"struct to func of struct", send("func-struct", c), "ann:pw"},
		{"pointer to func of struct", send("func-struct", &c), "ann:pw"},
		{"by position to func of struct", send("func-struct", "ann", "pw"), "ann:pw"},
		{"struct to func of pointer", send("func-pointer", c), "ann:pw"},
		{"pointer to func of pointer", send("func-pointer", &c), "ann:pw"},

		{"anything to value", send("value", "ann", 5), `["ann",5]`},
		{"by name to value", send("value", c), `{"user":"ann","password":"pw"}`},
		{"nothing to value", send("value"), ""},
		{"list", func() (string, error) { return byList.Call(t.Context(), a, []string{"a", "b"}) }, "a:b"},
		{"list, untyped", send("list", []string{"a", "b"}), "a:b"},
		{"list, not one", send("list", "a", "b"), "!2 arguments came, one was expected: []string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.call()
			if text, wrong := strings.CutPrefix(tt.want, "!"); wrong {
				fails(t, err, InvalidArgument, No, text)
			} else if err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// What is raw travels raw, beside JSON or alone, whichever way it goes.
func TestRawForms(t *testing.T) {
	const (
		pairs Method[upload, upload]         = "pairs"
		items Duplex[upload, upload, upload] = "items"
		raw   Method[[]byte, []byte]         = "raw"
		none  Method[struct{}, struct{}]     = "none"
		deep  Method[[]upload, []upload]     = "deep"
	)
	mux := NewMux(Public)
	pairs.Handle(mux, func(_ context.Context, u upload) (upload, error) { return u, nil })
	items.Handle(mux, func(_ context.Context, _ upload, in iter.Seq2[upload, error]) iter.Seq2[upload, error] { return in })
	raw.Handle(mux, func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
	none.Handle(mux, func(_ context.Context, s struct{}) (struct{}, error) { return s, nil })
	deep.Handle(mux, func(_ context.Context, u []upload) ([]upload, error) { return u, nil })
	mux.Func("put", func(name string, mode int, data []byte) upload { return upload{name, mode, data} })
	mux.Func("one", func(data []byte) []byte { return data })
	var traced []TraceFrame
	a, _ := join(t, nil, mux, &Options{Trace: func(f TraceFrame) {
		if f.Sent && f.Frame.ID > 0 {
			f.Frame.Payload = append([]byte(nil), f.Frame.Payload...)
			traced = append(traced, f)
		}
	}}, nil)
	for _, n := range []int{0, 1, 100, 100_000} {
		traced = nil
		u := upload{Name: "a\u0000b", Mode: 7, Data: []byte(strings.Repeat("\xff", n))}
		same := func(what string, got upload, err error) {
			t.Helper()
			if err != nil || got.Name != u.Name || got.Mode != u.Mode || string(got.Data) != string(u.Data) || got.Data == nil {
				t.Errorf("%s: %d bytes came back with %q %d of %d: %v", what, len(got.Data), got.Name, got.Mode, n, err)
			}
		}
		got, err := pairs.Call(t.Context(), a, u)
		same("typed", got, err)
		got = upload{}
		err = a.Send(t.Context(), "pairs", u.Name, u.Mode, u.Data).Await(&got)
		same("by position", got, err)
		got = upload{}
		err = a.Send(t.Context(), "pairs", u).Await(&got)
		same("untyped", got, err)
		got = upload{}
		err = a.Send(t.Context(), "put", u.Name, u.Mode, u.Data).Await(&got)
		same("to a func", got, err)
		for got, err := range items.Call(t.Context(), a, u, func(yield func(upload, error) bool) { yield(u, nil) }) {
			same("item", got, err)
		}
		list, err := deep.Call(t.Context(), a, []upload{u, u})
		if err != nil || len(list) != 2 || string(list[1].Data) != string(u.Data) {
			t.Errorf("within a list: %d, %v", len(list), err)
		}
		for i, f := range traced {
			if n == 100 && i < 4 && !strings.Contains(string(f.Frame.Payload), strings.Repeat("\xff", n)) {
				t.Errorf("frame %d does not have the bytes as they are: %q", i, f.Frame.Payload)
			}
		}
		if out, err := raw.Call(t.Context(), a, u.Data); err != nil || string(out) != string(u.Data) {
			t.Error(len(out), err)
		}
		var out []byte
		if err := a.Send(t.Context(), "one", u.Data).Await(&out); err != nil || string(out) != string(u.Data) {
			t.Error(len(out), err)
		}
		var v Value
		if err := a.Send(t.Context(), "pairs", u).Await(&v); err != nil || string(v.Body) != string(u.Data) || v.Body == nil {
			t.Error(len(v.Body), err)
		}
		got = upload{}
		if err := v.Decode(&got); err != nil {
			t.Error(err)
		}
		same("of a Value", got, nil)
	}
	if _, err := none.Call(t.Context(), a, struct{}{}); err != nil {
		t.Error(err)
	}
	// The last field by name, as base64, as a client without pairs would.
	var got upload
	if err := a.Send(t.Context(), "pairs", map[string]any{"name": "x", "data": "/w=="}).Await(&got); err != nil || string(got.Data) != "\xff" {
		t.Error(got, err)
	}
	// A body where none is expected, or the other way round, never arrives.
	_, err := Method[upload, credentials]("pairs").Call(t.Context(), a, upload{Name: "x"})
	fails(t, err, DataLoss, Yes, "raw bytes came where rpc.credentials was expected")
	_, err = Method[[]byte, string]("raw").Call(t.Context(), a, nil)
	fails(t, err, DataLoss, Yes, "raw bytes came where string was expected")
	_, err = Method[string, []byte]("raw").Call(t.Context(), a, "not base64!")
	fails(t, err, InvalidArgument, No, "")
}

// age checks itself; by value.
type age struct {
	Years int `json:"years"`
}

func (a age) Validate() error {
	if a.Years < 0 || a.Years > 150 {
		return fmt.Errorf("%d years are no age", a.Years)
	}
	return nil
}

// word checks itself; by pointer.
type word string

func (w *word) Validate() error {
	if strings.ContainsAny(string(*w), " \n") {
		return fmt.Errorf("%q is not one word", string(*w))
	}
	return nil
}

func TestValidate(t *testing.T) {
	const (
		years    Method[int, age]                    = "years" // answers with what it is told
		yearsPtr Method[int, *age]                   = "years"
		wordOf   Method[string, word]                = "word"
		grow     Method[age, int]                    = "grow" // takes only what is valid
		growPtr  Method[*age, int]                   = "growPtr"
		say      Method[word, int]                   = "say"
		ages     Source[[]int, age]                  = "ages"
		feed     Sink[struct{}, age, int]            = "feed"
		anything Method[Value, Value]                = "echo"
		untyped  Sink[struct{}, map[string]int, int] = "feed"
	)
	mux := NewMux(Public)
	ran := 0
	mux.Func("years", func(n int) map[string]int { return map[string]int{"years": n} })
	mux.Func("word", func(s string) string { return s })
	grow.Handle(mux, func(_ context.Context, a age) (int, error) { ran++; return a.Years + 1, nil })
	growPtr.Handle(mux, func(_ context.Context, a *age) (int, error) { ran++; return a.Years + 1, nil })
	say.Handle(mux, func(_ context.Context, w word) (int, error) { ran++; return len(w), nil })
	mux.Func("func", func(a age, w word) int { ran++; return a.Years + len(w) })
	anything.Handle(mux, func(_ context.Context, v Value) (Value, error) { return v, nil })
	Source[[]int, map[string]int]("ages").Handle(mux, func(_ context.Context, list []int) iter.Seq2[map[string]int, error] {
		return func(yield func(map[string]int, error) bool) {
			for _, n := range list {
				if !yield(map[string]int{"years": n}, nil) {
					return
				}
			}
		}
	})
	var handlerSaw error
	feed.Handle(mux, func(_ context.Context, _ struct{}, in iter.Seq2[age, error]) (n int, err error) {
		for a, err := range in {
			if err != nil {
				handlerSaw = err
				return n, err
			}
			n += a.Years
		}
		return n, nil
	})
	a, b := pair(t, mux)

	// Results.
	if v, err := years.Call(t.Context(), a, 30); err != nil || v.Years != 30 {
		t.Error(v, err)
	}
	v, err := years.Call(t.Context(), a, 200)
	fails(t, err, DataLoss, Yes, "200 years are no age")
	if v.Years != 0 {
		t.Errorf("the caller got %+v", v)
	}
	p, err := yearsPtr.Call(t.Context(), a, 200)
	fails(t, err, DataLoss, Yes, "200 years are no age")
	if p != nil {
		t.Errorf("the caller got %+v", p)
	}
	_, err = yearsPtr.Go(t.Context(), a, 200).Await()
	fails(t, err, DataLoss, Yes, "200 years are no age")
	w, err := wordOf.Call(t.Context(), a, "two words")
	fails(t, err, DataLoss, Yes, "not one word")
	if w != "" {
		t.Errorf("the caller got %q", w)
	}
	var into age
	fails(t, a.Send(t.Context(), "years", 200).Await(&into), DataLoss, Yes, "200 years are no age")
	pointer := &into
	fails(t, a.Send(t.Context(), "years", 200).Await(&pointer), DataLoss, Yes, "200 years are no age")

	// Arguments: typed, by position, by name, of a plain function.
	_, err = grow.Call(t.Context(), a, age{200})
	fails(t, err, InvalidArgument, No, "200 years are no age")
	_, err = growPtr.Call(t.Context(), a, &age{200})
	fails(t, err, InvalidArgument, No, "200 years are no age")
	_, err = say.Call(t.Context(), a, "two words")
	fails(t, err, InvalidArgument, No, "not one word")
	fails(t, a.Send(t.Context(), "grow", 200).Await(nil), InvalidArgument, No, "200 years are no age")
	fails(t, a.Send(t.Context(), "grow", age{200}).Await(nil), InvalidArgument, No, "200 years are no age")
	fails(t, a.Send(t.Context(), "say", "two words").Await(nil), InvalidArgument, No, "not one word")
	fails(t, a.Send(t.Context(), "func", age{200}, "x").Await(nil), InvalidArgument, No, "argument 1: 200 years")
	fails(t, a.Send(t.Context(), "func", age{20}, "x y").Await(nil), InvalidArgument, No, "argument 2: ")
	if ran != 0 {
		t.Errorf("%d handlers ran on invalid arguments", ran)
	}
	var n int
	if err := a.Send(t.Context(), "func", age{20}, "xy").Await(&n); err != nil || n != 22 {
		t.Error(n, err)
	}

	// Items, both ways.
	n = 0
	for v, err := range ages.Call(t.Context(), a, []int{1, 2, -3, 4}) {
		if err != nil {
			fails(t, err, DataLoss, Yes, "item 3 of the stream is not what it should be: -3 years")
			if v.Years != 0 {
				t.Errorf("the caller got %+v", v)
			}
			break
		}
		n += v.Years
	}
	if n != 3 {
		t.Error(n)
	}
	_, err = untyped.Call(t.Context(), a, struct{}{}, func(yield func(map[string]int, error) bool) {
		_ = yield(map[string]int{"years": 3}, nil) && yield(map[string]int{"years": 300}, nil)
	})
	if CodeOf(err) != InvalidArgument && CodeOf(err) != DataLoss || CodeOf(handlerSaw) == "" {
		t.Error(err, handlerSaw)
	}
	idle(t, a, b)
}

// Whatever comes instead of what was expected, the caller's variable stays as it should be.
func TestWrongAnswers(t *testing.T) {
	mux := NewMux(Public)
	const anything Method[Value, Value] = "say"
	anything.Handle(mux, func(_ context.Context, v Value) (Value, error) { return v, nil })
	a, _ := pair(t, mux)
	call := func(answer string, into func(p *Peer, v Value) (any, error)) (any, error) {
		return into(a, Value{JSON: jsontext.Value(answer)})
	}
	as := func(kind string) func(p *Peer, v Value) (any, error) {
		return map[string]func(p *Peer, v Value) (any, error){
			"struct": func(p *Peer, v Value) (any, error) { return Method[Value, credentials]("say").Call(t.Context(), p, v) },
			"int":    func(p *Peer, v Value) (any, error) { return Method[Value, int]("say").Call(t.Context(), p, v) },
			"int8":   func(p *Peer, v Value) (any, error) { return Method[Value, int8]("say").Call(t.Context(), p, v) },
			"string": func(p *Peer, v Value) (any, error) { return Method[Value, string]("say").Call(t.Context(), p, v) },
			"bool":   func(p *Peer, v Value) (any, error) { return Method[Value, bool]("say").Call(t.Context(), p, v) },
			"list":   func(p *Peer, v Value) (any, error) { return Method[Value, []int]("say").Call(t.Context(), p, v) },
			"map": func(p *Peer, v Value) (any, error) {
				return Method[Value, map[string]int]("say").Call(t.Context(), p, v)
			},
			"time":    func(p *Peer, v Value) (any, error) { return Method[Value, time.Time]("say").Call(t.Context(), p, v) },
			"pointer": func(p *Peer, v Value) (any, error) { return Method[Value, *credentials]("say").Call(t.Context(), p, v) },
		}[kind]
	}
	for _, tt := range []struct{ kind, answer string }{
		{"struct", `[]`},
		{"struct", `"x"`},
		{"struct", `{"user":1}`},
		{"struct", `{"user":"a","password":5}`},
		{"int", `1.5`},
		{"int", `"1"`},
		{"int", `1e400`},
		{"int", `99999999999999999999`},
		{"int8", `128`},
		{"int", `[1]`},
		{"int", `true`},
		{"string", `1`},
		{"string", `{}`},
		{"bool", `0`},
		{"bool", `"true"`},
		{"list", `{}`},
		{"list", `[1,"x"]`},
		{"map", `[]`},
		{"map", `{"a":"b"}`},
		{"time", `"yesterday"`},
		{"time", `12`},
		{"pointer", `[]`},
		{"pointer", `{"user":{}}`},
	} {
		got, err := call(tt.answer, as(tt.kind))
		fails(t, err, DataLoss, Yes, "")
		if v := reflect.ValueOf(got); !v.IsZero() {
			t.Errorf("%s as %s: the caller got %v", tt.answer, tt.kind, got)
		}
	}
	for _, tt := range []struct{ kind, answer, want string }{
		{"struct", `{"user":"x","more":1}`, `{x }`}, {"int", ` 5 `, `5`}, {"list", `[]`, `[]`}, {"string", `"\ud83d\ude00"`, "\U0001F600"},
	} {
		if got, err := call(tt.answer, as(tt.kind)); err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%s as %s: %v, %v", tt.answer, tt.kind, got, err)
		}
	}
}

// Types that write themselves are left to do so.
func TestOwnJSON(t *testing.T) {
	type stamped struct {
		At  time.Time       `json:"at"`
		Raw json.RawMessage `json:"raw"`
		For time.Duration   `json:"for"`
	}
	const stamp Method[stamped, stamped] = "stamp"
	const when Method[time.Time, time.Time] = "when"
	mux := NewMux(Public)
	stamp.Handle(mux, func(_ context.Context, s stamped) (stamped, error) { return s, nil })
	when.Handle(mux, func(_ context.Context, s time.Time) (time.Time, error) { return s, nil })
	a, _ := pair(t, mux)
	now := time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC)
	s, err := stamp.Call(t.Context(), a, stamped{now, json.RawMessage(`{"a":1}`), time.Second})
	if err != nil || !s.At.Equal(now) || string(s.Raw) != `{"a":1}` || s.For != time.Second {
		t.Error(s, err)
	}
	if got, err := when.Call(t.Context(), a, now); err != nil || !got.Equal(now) {
		t.Error(got, err)
	}
}

func TestValueDecode(t *testing.T) {
	var n int
	if err := (Value{JSON: jsontext.Value("5")}).Decode(&n); err != nil || n != 5 {
		t.Error(n, err)
	}
	if err := (Value{JSON: jsontext.Value("-5")}).Decode(new(age)); err == nil {
		t.Error("a number is no age")
	}
	var a age
	if err := (Value{JSON: jsontext.Value(`{"years":-5}`)}).Decode(&a); err == nil {
		t.Error("Validate was not asked")
	}
	for _, into := range []any{nil, 5, (*int)(nil)} {
		if err := (Value{JSON: jsontext.Value("5")}).Decode(into); err == nil || !strings.Contains(err.Error(), "pointer") {
			t.Errorf("Decode(%T): %v", into, err)
		}
	}
	if errors.Is((Value{}).Decode(&n), context.Canceled) || n != 0 {
		t.Error("nothing at all is the zero value", n)
	}
}
