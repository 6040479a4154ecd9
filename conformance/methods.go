package conformance

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/rpc"
)

// About is what a server under test says of itself.
type About struct {
	Suite  int      `json:"suite"`  // the version of the methods: 1
	Offers []string `json:"offers"` // what it has beyond what all must have: "resume"
}

// Record has a member of each sort.
type Record struct {
	Text    string           `json:"text"`
	Integer int32            `json:"integer"`
	Large   int64            `json:"large,string"`
	Float   float64          `json:"float"`
	Flag    bool             `json:"flag"`
	Bytes   []byte           `json:"bytes"`
	List    []string         `json:"list"`
	Map     map[string]int32 `json:"map"`
	Next    *Record          `json:"next,omitzero"`
}

// Part has its bytes last: they travel raw.
type Part struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
}

// Measure is what bytes are like.
type Measure struct {
	Size  int  `json:"size"`
	Right bool `json:"right"` // each byte is its offset modulo 251
}

// Failure is how a method is to fail.
type Failure struct {
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Data    jsontext.Value `json:"data"`
}

// The methods, as spec/conformance.md has them.
const (
	about rpc.Method[struct{}, About] = "conformance"

	echo        rpc.Method[[]byte, []byte]                     = "echo"
	echoText    rpc.Method[string, string]                     = "echoText"
	echoInteger rpc.Method[int32, int32]                       = "echoInteger"
	echoNumber  rpc.Method[float64, float64]                   = "echoNumber"
	echoFlag    rpc.Method[bool, bool]                         = "echoFlag"
	echoList    rpc.Method[[]string, []string]                 = "echoList"
	echoMap     rpc.Method[map[string]int32, map[string]int32] = "echoMap"
	echoRecord  rpc.Method[Record, Record]                     = "echoRecord"
	echoPart    rpc.Method[Part, Part]                         = "echoPart"
	echoAny     rpc.Method[jsontext.Value, jsontext.Value]     = "echoAny"
	measure     rpc.Method[Part, Measure]                      = "measure"
	give        rpc.Method[int, []byte]                        = "give"
	hi          rpc.Method[string, string]                     = "hi"
	nothing     rpc.Method[struct{}, struct{}]                 = "nothing"

	fail      rpc.Method[Failure, struct{}]  = "fail"
	crash     rpc.Method[struct{}, struct{}] = "crash"
	hang      rpc.Method[struct{}, struct{}] = "hang"
	wait      rpc.Method[string, struct{}]   = "wait"
	started   rpc.Method[string, bool]       = "started"
	cancelled rpc.Method[string, bool]       = "cancelled"
	metadata  rpc.Method[string, string]     = "metadata"
	tally     rpc.Method[string, int]        = "tally"
	tallied   rpc.Method[string, int]        = "tallied"

	count    rpc.Source[int, int]                 = "count"
	zero     rpc.Source[int, []byte]              = "zero"
	read     rpc.Source[int, []byte]              = "read"
	parts    rpc.Source[int, Part]                = "parts"
	breakOff rpc.Source[int, int]                 = "breakOff"
	drip     rpc.Source[string, int]              = "drip"
	total    rpc.Sink[struct{}, int, int]         = "total"
	write    rpc.Sink[struct{}, []byte, Part]     = "write"
	first    rpc.Sink[int, int, int]              = "first"
	deaf     rpc.Sink[struct{}, []byte, string]   = "deaf"
	refuse   rpc.Sink[int, int, int]              = "refuse"
	chat     rpc.Duplex[string, string, string]   = "chat"
	double   rpc.Duplex[struct{}, int, int]       = "double"
	pass     rpc.Duplex[struct{}, []byte, []byte] = "pass"

	back rpc.Method[Call, Outcome] = "back"
)

// Services serves the methods. Offers is what the server has beyond what all must have. The state behind them, names of
// handlers and counts, is bounded: the oldest is forgotten.
func Services(offers ...string) *rpc.Mux {
	mux := rpc.NewMux(rpc.Public)
	about.Handle(mux, func(context.Context, struct{}) (About, error) { return About{1, offers}, nil })
	serveEchoes(mux)
	serveStates(mux)
	serveSources(mux)
	serveSinks(mux)
	back.Handle(mux, func(ctx context.Context, c Call) (Outcome, error) { return play(ctx, rpc.PeerFrom(ctx), &c, nil), nil })
	return mux
}

func echoed[T any](_ context.Context, v T) (T, error) { return v, nil }

func serveEchoes(mux *rpc.Mux) {
	echo.Handle(mux, echoed)
	echoText.Handle(mux, echoed)
	echoInteger.Handle(mux, echoed)
	echoNumber.Handle(mux, echoed)
	echoFlag.Handle(mux, echoed)
	echoList.Handle(mux, echoed)
	echoMap.Handle(mux, echoed)
	echoRecord.Handle(mux, echoed)
	echoPart.Handle(mux, echoed)
	echoAny.Handle(mux, echoed)
	measure.Handle(mux, func(_ context.Context, p Part) (Measure, error) {
		return Measure{len(p.Data), isPattern(p.Data, 0)}, nil
	})
	give.Handle(mux, func(_ context.Context, n int) ([]byte, error) {
		if n < 0 || n > maxPattern {
			return nil, rpc.Errorf(rpc.OutOfRange, "%d bytes", n)
		}
		return pattern(n), nil
	})
	hi.Handle(mux, func(_ context.Context, name string) (string, error) { return "hi " + name, nil })
	mux.Func("add", func(a, b int) int { return a + b })
	nothing.Handle(mux, echoed)
	fail.Handle(mux, func(_ context.Context, f Failure) (struct{}, error) {
		err := rpc.Errorf(rpc.Code(f.Code), "%s", f.Message)
		err.Data = f.Data
		return struct{}{}, err
	})
	crash.Handle(mux, func(context.Context, struct{}) (struct{}, error) { return struct{}{}, errors.New("a secret") })
	hang.Handle(mux, func(ctx context.Context, _ struct{}) (struct{}, error) {
		<-ctx.Done()
		return struct{}{}, ctx.Err()
	})
	metadata.Handle(mux, func(ctx context.Context, key string) (string, error) { return rpc.Metadata(ctx, key), nil })
}

func serveStates(mux *rpc.Mux) {
	begun, over, tallies := newMarks(), newMarks(), newTallies()
	until := func(ctx context.Context, name string) {
		begun.set(name)
		<-ctx.Done()
		over.set(name)
	}
	wait.Handle(mux, func(ctx context.Context, name string) (struct{}, error) {
		until(ctx, name)
		return struct{}{}, ctx.Err()
	})
	drip.Handle(mux, func(ctx context.Context, name string) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			if yield(0, nil) {
				until(ctx, name)
				yield(0, ctx.Err())
			} else {
				over.set(name)
			}
		}
	})
	started.Handle(mux, begun.await, rpc.Pure)
	cancelled.Handle(mux, over.await, rpc.Pure)
	tally.Handle(mux, func(_ context.Context, name string) (int, error) { return tallies.add(name, 1), nil }, rpc.Keyed)
	tallied.Handle(mux, func(_ context.Context, name string) (int, error) { return tallies.add(name, 0), nil }, rpc.Pure)
}

// numbers yields 0 to n-1.
func numbers[T any](n int, item func(int) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for i := range n {
			if !yield(item(i), nil) {
				return
			}
		}
	}
}

func serveSources(mux *rpc.Mux) {
	count.Handle(mux, func(_ context.Context, n int) iter.Seq2[int, error] {
		return numbers(n, func(i int) int { return i })
	})
	parts.Handle(mux, func(_ context.Context, n int) iter.Seq2[Part, error] {
		return numbers(n, func(i int) Part { return Part{"part", pattern(i)} })
	})
	breakOff.Handle(mux, func(_ context.Context, n int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
			yield(0, rpc.Errorf(rpc.Aborted, "broken off"))
		}
	})
	rpc.HandleWriter(mux, zero, func(_ context.Context, n int, w io.Writer) error {
		block := make([]byte, 32<<10)
		for ; n > 0; n -= len(block) {
			if _, err := w.Write(block[:min(n, len(block))]); err != nil {
				return err
			}
		}
		return nil
	})
	rpc.HandleWriter(mux, read, func(_ context.Context, n int, w io.Writer) error {
		block := pattern(251 * 80)
		for ; n > 0; n -= len(block) {
			if _, err := w.Write(block[:min(n, len(block))]); err != nil {
				return err
			}
		}
		return nil
	})
}

func serveSinks(mux *rpc.Mux) {
	total.Handle(mux, func(_ context.Context, _ struct{}, in iter.Seq2[int, error]) (int, error) { return sum(in, -1) })
	first.Handle(mux, func(_ context.Context, n int, in iter.Seq2[int, error]) (int, error) { return sum(in, n) })
	refuse.Handle(mux, func(_ context.Context, n int, in iter.Seq2[int, error]) (int, error) {
		if _, err := sum(in, n); err != nil {
			return 0, err
		}
		return 0, rpc.Errorf(rpc.Aborted, "no more")
	})
	rpc.HandleReader(mux, write, func(_ context.Context, _ struct{}, r io.Reader) (Part, error) {
		b, err := io.ReadAll(io.LimitReader(r, maxPattern))
		return Part{"written", b}, err
	})
	deaf.Handle(mux, func(ctx context.Context, _ struct{}, _ iter.Seq2[[]byte, error]) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	})
	chat.Handle(mux, func(_ context.Context, who string, in iter.Seq2[string, error]) iter.Seq2[string, error] {
		return through(in, func(s string) string { return who + ": " + s })
	})
	double.Handle(mux, func(_ context.Context, _ struct{}, in iter.Seq2[int, error]) iter.Seq2[int, error] {
		return through(in, func(n int) int { return 2 * n })
	})
	pass.Handle(mux, func(_ context.Context, _ struct{}, in iter.Seq2[[]byte, error]) iter.Seq2[[]byte, error] {
		return in
	})
}

// sum adds up n items, or all if n is below 0.
func sum(in iter.Seq2[int, error], n int) (sum int, err error) {
	if n == 0 {
		return 0, nil
	}
	for v, err := range in {
		if err != nil {
			return 0, err
		}
		sum += v
		if n--; n == 0 {
			break
		}
	}
	return sum, nil
}

// through gives each item of a stream on, changed.
func through[T any](in iter.Seq2[T, error], change func(T) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range in {
			if err == nil {
				v = change(v)
			}
			if !yield(v, err) {
				return
			}
		}
	}
}
