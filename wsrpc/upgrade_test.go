package wsrpc_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chumsync/chum/wsrpc"
)

// An upgrade request with a MiB of headers is refused long before all of it has come, and
// nobody else notices.
func TestUpgradeWithMuchHeader(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- wsrpc.ListenAndServe(ctx, addr, services(), quiet()) }()
	defer func() {
		cancel()
		<-done
		for deadline := time.Now().Add(10 * time.Second); goleak.Find() != nil && time.Now().Before(deadline); {
			// the HTTP server lets the answer arrive, for half a second, before it cuts
		}
	}()
	var c net.Conn
	for c == nil { // until it listens
		c, _ = net.Dial("tcp", addr)
	}
	defer c.Close()
	go func() {
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
		for i := range 1024 {
			if _, err := fmt.Fprintf(c, "X-%d: %s\r\n", i, strings.Repeat("x", 1024)); err != nil {
				return
			}
		}
	}()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v, %v", answer, err)
	}
	p, err := wsrpc.Connect(t.Context(), "ws://"+addr, nil, quiet())
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}
