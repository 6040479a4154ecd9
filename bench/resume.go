package main

import "context"

// What keeps a peer going over a cut costs something while there is none: messages
// are kept until they are acknowledged. The difference is small, so there are more
// trials.
var resumeScenario = scenario{
	name:  "resume",
	title: "calls and streams that would outlive their connection, and such that would not",
	cases: []benchCase{
		{
			name: "bytes", times: 2, systems: resumeSystems,
			columns: []string{"CPU-µs/call", "calls/s", "allocs"},
			run:     calls(100, func(c *client) func(context.Context) error { return bytesCall(c.bytes) }),
		},
		{
			name: "typed", times: 2, systems: resumeSystems,
			columns: []string{"CPU-µs/call", "calls/s", "allocs"},
			run:     calls(100, func(c *client) func(context.Context) error { return c.typed }),
		},
		{name: "server to client", times: 2, systems: resumeSystems, columns: streamColumns, run: stream(down)},
		{name: "client to server", times: 2, systems: resumeSystems, columns: streamColumns, run: stream(up)},
	},
}

var resumeSystems = []string{"chum", "chum, no resume"}
