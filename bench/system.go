package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
)

// A system is one implementation under measurement: chum or a peer.
// Its serve runs in the server process, its dial in the client process.
type system struct {
	name  string
	serve func() (addr string, stop func(), err error)
	dial  func(ctx context.Context, addr string) (*client, error)

	// oneAtATime says that a connection carries one exchange at a time, so that
	// a small call beside a transfer needs a connection of its own.
	oneAtATime bool

	floor bool // no call layer, so not one of the others that chum is compared with

	also bool  // no goal names it, so that fewer rounds will do
	node bool  // both ends run on Node, so that serve and dial are nil
	most int64 // the most bytes of a transfer, if not 0
}

// A client is one connection to a system's server. What a system does not
// offer is nil. All but close may be called by many goroutines at once, unless
// the system is oneAtATime.
type client struct {
	bytes func(ctx context.Context, p []byte) ([]byte, error) // the server answers with p
	typed func(ctx context.Context) error                     // the server answers one of sampleRecords with its number plus one
	sleep func(ctx context.Context, p []byte) ([]byte, error) // as bytes, after handlerSleep
	down  transfer                                            // size bytes come from the server
	up    transfer                                            // size bytes go to the server, which says how many came
	close func()
}

// A transfer moves size bytes in one stream and makes sure that all have come.
type transfer = func(ctx context.Context, size int64) error

func down(c *client) transfer { return c.down }
func up(c *client) transfer   { return c.up }

// transferSize is how much a transfer of s moves.
func (s system) transferSize(size sizes) int64 {
	if s.most > 0 {
		return min(size.Stream, s.most)
	}
	return size.Stream
}

// systems are all there are, by name.
var systems = []system{
	chumSystem, chumTraced, chumStats, chumNoResume,
	rawTCP, coderWebSocket, gobwasWebSocket,
	grpcProto, grpcJSON, grpcRaw,
	natsSystem, netRPC, drpcSystem, connectSystem, yamuxSystem,
	jrpc2System, gethSystem, sourcegraphSystem,
	rpcWebSockets, capnweb, socketIO,
	chumChecked, chumBuiltIn, wsByHand, wsPackedHand,
}

func systemNamed(name string) (system, error) {
	i := slices.IndexFunc(systems, func(s system) bool { return s.name == name })
	if i < 0 {
		return system{}, fmt.Errorf("bench: no system is named %q", name)
	}
	return systems[i], nil
}

// A Record is the struct value of the typed calls (exported for net/rpc): about 150 bytes of JSON.
// In protobuf it is google.protobuf.Field (see grpc.go), which has these fields
// and generated code that everybody has.
type Record struct {
	Kind     int32  `json:"kind"`
	Number   int32  `json:"number"`
	Name     string `json:"name"`
	TypeURL  string `json:"typeUrl"`
	Packed   bool   `json:"packed"`
	JSONName string `json:"jsonName"`
	Default  string `json:"default"`
}

// sampleRecords are what typed calls send, one after the other. Their strings
// differ, so that a codec's cache of strings does not help more than it would.
var sampleRecords = func() (all [1024]Record) {
	for i := range all {
		all[i] = Record{
			Kind: 9, Number: int32(i), Name: fmt.Sprintf("display_name_%d", i), TypeURL: fmt.Sprintf("example.org/%d", i),
			Packed: true, JSONName: fmt.Sprintf("displayName%d", i), Default: fmt.Sprintf("nobody %d", i),
		}
	}
	return all
}()

var nextSample atomic.Uint32

// sample chooses from sampleRecords.
func sample() int { return int(nextSample.Add(1)) % len(sampleRecords) }

// checkRecord says whether r is what the server makes of sampleRecords[i].
func checkRecord(i int, r Record) error {
	r.Number--
	if r != sampleRecords[i] {
		return fmt.Errorf("bench: the typed call answered %+v with its number plus one, want %+v", r, sampleRecords[i])
	}
	return nil
}

// chunkSize is what all systems cut a stream into, unless they choose themselves.
const chunkSize = 64 << 10

// chunk is what streams carry again and again; its bytes are not all alike.
// Nobody may change it.
var chunk = func() []byte {
	p := make([]byte, chunkSize)
	for i := 0; i < len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], uint64(i)*0x9e3779b97f4a7c15)
	}
	return p
}()

// chunks calls send with pieces of chunk until size bytes have gone.
func chunks(size int64, send func([]byte) error) error {
	for size > 0 {
		n := min(size, int64(len(chunk)))
		if err := send(chunk[:n]); err != nil {
			return err
		}
		size -= n
	}
	return nil
}

// arrived says whether all of a stream came.
func arrived(got, want int64) error {
	if got != want {
		return fmt.Errorf("bench: %d bytes of the stream arrived, want %d", got, want)
	}
	return nil
}
