package wsrpc_test

import (
	"context"
	"io"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBytesBothWays(t *testing.T) {
	const zero rpc.Source[int64, []byte] = "zero"
	const eat rpc.Sink[struct{}, []byte, int64] = "eat"
	mux := rpc.NewMux(rpc.Public)
	rpc.HandleWriter(mux, zero, func(_ context.Context, n int64, w io.Writer) error {
		_, err := w.Write(make([]byte, n))
		return err
	})
	rpc.HandleReader(mux, eat, func(_ context.Context, _ struct{}, r io.Reader) (int64, error) {
		return io.Copy(io.Discard, r)
	})
	h := wsrpc.Handler(mux, nil)
	s := httptest.NewServer(h)
	defer s.Close()
	defer h.Shutdown(t.Context())
	p, err := wsrpc.Connect(t.Context(), s.URL, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if n, err := io.Copy(io.Discard, rpc.Reader(t.Context(), p, zero, 50<<20)); err != nil || n != 50<<20 {
		t.Fatal(n, err)
	}
	w := rpc.Writer(t.Context(), p, eat, struct{}{})
	if _, err := w.Write(make([]byte, 20<<20)); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Result(); err != nil || n != 20<<20 {
		t.Fatal(n, err)
	}
}
