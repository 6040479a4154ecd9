package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/chumsync/chum"
	"github.com/chumsync/chum/rpc"
)

// statusResult is what status prints.
type statusResult struct {
	URL       string      `json:"url"`
	Agent     string      `json:"agent"`
	Status    chum.Status `json:"status"`           // what the other side tells
	RoundTrip float64     `json:"roundTripSeconds"` // the quickest of a few calls
}

// trips is how many calls the round trip is measured with.
const trips = 5

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status URL",
		Short:   "Tell how another side is, and how far away",
		Long:    `Print the version of the chum at URL, how many names it has, the round trip of a call, and what crossed this connection.`,
		Example: `  chum status ws://127.0.0.1:7171`,
		Args:    arguments(1, 1, "the URL of a server"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.status(c.Context(), args[0])
		},
	}
}

func (a *app) status(ctx context.Context, address string) error {
	peer, err := a.connect(ctx, address)
	if err != nil {
		return err
	}
	defer peer.Close()
	quickest, err := roundTrip(ctx, peer)
	if err != nil {
		return err
	}
	status, err := chum.NewClient(peer).Status(ctx)
	if err != nil {
		return err
	}
	result := statusResult{URL: address, Agent: peer.Agent(), Status: status, RoundTrip: quickest.Seconds()}
	if a.json {
		return a.stdout.document(result)
	}
	a.stdout.table([][]cell{
		{{text: "server", shade: faint}, {text: harmless(address)}},
		{{text: "version", shade: faint}, {text: harmless(status.Version + " (" + peer.Agent() + ")")}},
		{{text: "names", shade: faint}, {text: count(status.Refs)}},
		{{text: "round trip", shade: faint}, {text: quickest.Round(time.Microsecond).String()}},
	})
	if a.verbose {
		a.stdout.stats(peer.Stats())
	}
	return nil
}

// roundTrip measures the quickest of a few calls that give the other side little to do.
func roundTrip(ctx context.Context, peer *rpc.Peer) (time.Duration, error) {
	quickest := peer.Stats().RoundTrip
	for range trips {
		start := time.Now()
		_, err := rpc.Methods.Call(ctx, peer, struct{}{})
		took := time.Since(start)
		if err != nil && ctx.Err() == nil && rpc.CodeOf(err) != rpc.PermissionDenied {
			return 0, err
		}
		if quickest == 0 || took < quickest {
			quickest = took
		}
	}
	return quickest, ctx.Err()
}

// stats prints the figures of a connection.
func (o *output) stats(s rpc.Stats) {
	traffic := func(what string, t rpc.Traffic) []cell {
		return []cell{{text: what, shade: faint}, {text: amount(t.Bytes) + " in " + counted(t.Messages, "message")}}
	}
	calls := func(what string, c rpc.CallStats) []cell {
		text := count(c.Started)
		if c.Failed > 0 {
			text += ", " + count(c.Failed) + " failed"
		}
		if c.Open > 0 {
			text += ", " + count(c.Open) + " open"
		}
		return []cell{{text: what, shade: faint}, {text: text}}
	}
	rows := [][]cell{traffic("sent", s.Sent), traffic("received", s.Received), calls("calls made", s.Out), calls("calls served", s.In)}
	if s.Strikes > 0 || s.Late > 0 {
		rows = append(rows, []cell{{text: "odd frames", shade: faint}, {text: count(s.Strikes) + " wrong, " + count(s.Late) + " late"}})
	}
	o.table(rows)
}
