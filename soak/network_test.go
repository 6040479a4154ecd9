package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// network is proxies that stand between clients and the server, and do to the connections what a bad network does.
type network struct {
	proxies []*toxiproxy.Proxy
	cuts    int // what was done that cuts connections
	others  int // that only slows or slices
}

// newNetwork starts proxies to upstream.
func newNetwork(t *testing.T, n int, upstream string) *network {
	t.Helper()
	zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics log by a logger of their own
	log := zerolog.Nop()
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), log)
	w := &network{}
	for i := range n {
		p := toxiproxy.NewProxy(api, fmt.Sprintf("proxy%d", i), "127.0.0.1:0", upstream)
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Stop)
		w.proxies = append(w.proxies, p)
	}
	return w
}

func (w *network) addrs() (list []string) {
	for _, p := range w.proxies {
		list = append(list, p.Listen)
	}
	return list
}

// toxics are what may happen to a part of the connections of a proxy: its name, whether it cuts, and its attributes.
var toxics = []struct {
	kind string
	cuts bool
	attr func() string
}{
	{"reset_peer", true, func() string { return fmt.Sprintf(`{"timeout": %d}`, rand.N(200)) }},
	{"limit_data", true, func() string { return fmt.Sprintf(`{"bytes": %d}`, 1+rand.N(100_000)) }},
	{"timeout", true, func() string { return fmt.Sprintf(`{"timeout": %d}`, 1+rand.N(300)) }},
	{"latency", false, func() string { return fmt.Sprintf(`{"latency": %d, "jitter": %d}`, rand.N(100), rand.N(50)) }},
	{"slicer", false, func() string {
		return fmt.Sprintf(`{"average_size": %d, "size_variation": 3, "delay": 50}`, 8+rand.N(500))
	}},
	{"bandwidth", false, func() string { return fmt.Sprintf(`{"rate": %d}`, 20+rand.N(500)) }},
}

// storm does one thing after the other until ctx ends, and then makes the weather fine.
func (w *network) storm(ctx context.Context, pause time.Duration) {
	for i := 0; ctx.Err() == nil; i++ {
		p := w.proxies[rand.N(len(w.proxies))]
		x := toxics[rand.N(len(toxics))]
		name := fmt.Sprintf("toxic%d", i)
		body := fmt.Sprintf(`{"name": %q, "type": %q, "stream": %q, "toxicity": %.2f, "attributes": %s}`,
			name, x.kind, []string{"upstream", "downstream"}[rand.N(2)], 0.1+0.5*rand.Float64(), x.attr())
		if _, err := p.Toxics.AddToxicJson(strings.NewReader(body)); err != nil {
			panic(err)
		}
		if x.cuts {
			w.cuts++
		} else {
			w.others++
		}
		wait(ctx, pause)
		remove, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_ = p.Toxics.RemoveToxic(remove, name) // it is gone with the last connection it was on
		cancel()
	}
	for _, p := range w.proxies {
		fine, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		p.Toxics.ResetToxics(fine)
		cancel()
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
