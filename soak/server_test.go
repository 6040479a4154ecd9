package soak

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

// The methods of the server. Each run is written down in the ledger before anything else is done.
const (
	double rpc.Method[work, uint64]         = "double" // twice the number
	ask    rpc.Method[work, uint64]         = "ask"    // the same, but the caller is called for it
	down   rpc.Source[work, []byte]         = "down"   // Number bytes out of seed Number
	up     rpc.Sink[work, []byte, received] = "up"
	// twice is the clients' method.
	twice rpc.Method[work, uint64] = "twice"
)

// work is what a call is to do. The key is its own and no other's.
type work struct {
	Key    string `json:"key"`
	Number uint64 `json:"number"`
}

// received is what came in a stream.
type received struct {
	Bytes uint64 `json:"bytes"`
	Hash  string `json:"hash"`
}

// ledger is the file in which each run of a handler is a line. One write for each: what is written stays, also when the
// process is killed.
type ledger struct{ file *os.File }

func (l ledger) note(key string) { must(l.file.WriteString(key + "\n")) }

// readLedger counts the runs of each key.
func readLedger(name string) (map[string]int, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	runs := map[string]int{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		runs[lines.Text()]++
	}
	return runs, lines.Err()
}

// serve is the server process. It tells its usage for each line that comes, and ends with its stdin, so it cannot outlive
// the test.
func serve(addr, ledgerName string) error {
	file, err := os.OpenFile(ledgerName, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	mux := services(ledger{file})
	floodServices(mux)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	handler := wsrpc.Handler(mux, nil)
	go func() {
		for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
			_ = json.NewEncoder(os.Stdout).Encode(usage{len(handler.Peers()), processTime()})
		}
		os.Exit(0)
	}()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(l)
}

// processTime is the processor time of this process, user and system.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func services(l ledger) *rpc.Mux {
	mux := rpc.NewMux(rpc.Public)
	double.Handle(mux, func(_ context.Context, w work) (uint64, error) {
		l.note(w.Key)
		return 2 * w.Number, nil
	})
	ask.Handle(mux, func(ctx context.Context, w work) (uint64, error) {
		l.note(w.Key)
		return twice.Call(ctx, rpc.PeerFrom(ctx), w)
	})
	rpc.HandleWriter(mux, down, func(_ context.Context, w work, to io.Writer) error {
		l.note(w.Key)
		_, err := io.Copy(to, content(w.Number))
		return err
	})
	rpc.HandleReader(mux, up, func(_ context.Context, w work, from io.Reader) (received, error) {
		l.note(w.Key)
		return digest(from)
	})
	return mux
}

// content is n bytes that anybody can make again.
func content(n uint64) io.Reader {
	var seed [32]byte
	copy(seed[:], fmt.Sprint(n))
	return io.LimitReader(rand.NewChaCha8(seed), int64(n))
}

func digest(r io.Reader) (received, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return received{uint64(n), hex.EncodeToString(h.Sum(nil))}, err
}

// must panics with an error that cannot be.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// errWrong says that what came is not what was sent.
var errWrong = errors.New("wrong")
