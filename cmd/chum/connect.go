package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/chumsync/chum"
	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wsrpc"
)

// connectTime is how long connecting may take.
const connectTime = 10 * time.Second

// connect calls the server at an address. It serves that side nothing: a server has no need
// to call a command, so it gets no chance to. The caller closes the peer.
func (a *app) connect(ctx context.Context, address string) (*rpc.Peer, error) {
	target, err := serverURL(address)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	peer, err := wsrpc.Connect(limited, target, nil, &wsrpc.Options{RPC: rpc.Options{
		Agent:  "chum/" + chum.Version,
		Logger: a.logger(slog.LevelError),
	}})
	switch {
	case ctx.Err() != nil:
		if err == nil {
			peer.Close()
		}
		return nil, ctx.Err()
	case err != nil:
		f := fail(exitConnection, "%w", err)
		f.hint = connectHint(limited, err)
		return nil, f
	}
	return peer, nil
}

// serverURL completes what people type, such as host:7171.
func serverURL(address string) (string, error) {
	text := address
	if !strings.Contains(text, "://") {
		text = "ws://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", misuse("%q is no URL: %w", address, errors.Unwrap(err)).hinted("give one such as ws://host:7171")
	case u.Scheme != "ws" && u.Scheme != "wss" && u.Scheme != "http" && u.Scheme != "https":
		return "", misuse("%q: %s is not a way to reach a chum", address, u.Scheme).hinted("give a URL such as ws://host:7171 or wss://host")
	case u.Hostname() == "":
		return "", misuse("%q names no host", address).hinted("give a URL such as ws://host:7171")
	case u.User != nil:
		return "", misuse("%q: a URL must not hold a password: others can see it in the list of processes", u.Redacted()).
			hinted("leave out what stands before the @")
	}
	return text, nil
}

func connectHint(ctx context.Context, err error) string {
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: start chum serve on that machine, or check the port"
	case errors.As(err, &dns):
		return "check the host in the URL"
	case ctx.Err() != nil:
		return "nothing answered within " + connectTime.String() + ": check host and port, and whether a firewall is between"
	case strings.Contains(err.Error(), "does not speak WebSocket"):
		return "something else listens there: check host, port and path, and that it is a chum serve"
	}
	return "check the URL, and that a chum serve of the same version listens there"
}
