package main

import "context"

// chum counts in any case; what differs is who looks. "chum, statistics read"
// has each side read its statistics a hundred times a second, "chum, traced" has a
// hook that counts frames and bytes. What an unused hook costs is below what a
// used one does. The difference is small, so there are more trials.
var hookScenario = scenario{
	name:  "hook",
	title: "100 calls open, statistics and trace hook used",
	cases: []benchCase{
		{
			name: "bytes", times: 2, systems: []string{"chum", "chum, statistics read", "chum, traced"},
			columns: []string{"CPU-µs/call", "calls/s", "allocs"},
			run:     calls(100, func(c *client) func(context.Context) error { return bytesCall(c.bytes) }),
		},
		{
			name: "typed", times: 2, systems: []string{"chum", "chum, statistics read", "chum, traced"},
			columns: []string{"CPU-µs/call", "calls/s", "allocs"},
			run:     calls(100, func(c *client) func(context.Context) error { return c.typed }),
		},
	},
}
