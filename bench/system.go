package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
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
}

// A client is one connection to a system's server. What a system does not
// offer is nil. All but close may be called by many goroutines at once, unless
// the system is oneAtATime.
type client struct {
	bytes func(ctx context.Context, p []byte) ([]byte, error) // the server answers with p
	typed func(ctx context.Context) error                     // the server answers sampleRecord with its number plus one
	sleep func(ctx context.Context, p []byte) ([]byte, error) // as bytes, after handlerSleep
	down  func(ctx context.Context, size int64) error         // size bytes come from the server
	up    func(ctx context.Context, size int64) error         // size bytes go to the server, which says how many came
	close func()
}

// systems are all there are, by name.
var systems = []system{
	chumSystem, chumTraced, chumStats,
	rawTCP, coderWebSocket, gobwasWebSocket,
	grpcProto, grpcJSON, grpcRaw,
	natsSystem, netRPC,
}

func systemNamed(name string) (system, error) {
	i := slices.IndexFunc(systems, func(s system) bool { return s.name == name })
	if i < 0 {
		return system{}, fmt.Errorf("bench: no system is named %q", name)
	}
	return systems[i], nil
}

// A Record is the struct value of the typed calls (exported for net/rpc): about 120 bytes of JSON.
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

var sampleRecord = Record{
	Kind: 9, Number: 41, Name: "display_name", TypeURL: "example.org/person",
	Packed: true, JSONName: "displayName", Default: "nobody",
}

// checkRecord says whether r is what the server makes of sampleRecord.
func checkRecord(r Record) error {
	want := sampleRecord
	want.Number++
	if r != want {
		return fmt.Errorf("bench: the typed call answered %+v, want %+v", r, want)
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
