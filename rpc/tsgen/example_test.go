package tsgen_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/rpc/tsgen"
)

// Place is where something is.
type Place struct {
	Lat  float64 `json:"lat" minimum:"-90" maximum:"90"`
	Lon  float64 `json:"lon" minimum:"-180" maximum:"180"`
	Name string  `json:"name,omitempty"`
}

const Nearest rpc.Method[Place, []Place] = "nearest"

// A program generates the file for its own methods in a command of its own, such as gen/main.go:
//
//	//go:generate go run ./gen ../web/src/methods.ts
//
// The services are those that it serves; what their handlers do is not asked.
func ExampleGenerate() {
	services := rpc.NewMux(rpc.Public)
	Nearest.Handle(services, func(context.Context, Place) ([]Place, error) { return nil, nil }, rpc.Pure)
	services.Describe(map[string]string{"nearest": "Nearest finds what is near."}) // usually by rpc/docgen

	text, err := tsgen.Generate(services.Methods(), nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	// os.WriteFile(os.Args[1], text, 0o644), or in a test: compare with the file that is there.
	_, rest, _ := strings.Cut(string(text), "check\";\n")
	rest, _, _ = strings.Cut(rest, "\n/**\n * What this file")
	fmt.Print(rest)
	// Output:
	// export interface Place {
	//   lat: number;
	//   lon: number;
	//   name?: string;
	// }
	//
	// const checkPlace: is.Checker<Place> = is.object({
	//   lat: is.number(-90, 90),
	//   lon: is.number(-180, 180),
	//   name: is.optional(is.string()),
	// });
	//
	// /** Nearest finds what is near. */
	// export const Nearest: Method<Place, Place[]> = method("nearest", {
	//   params: { positions: ["lat", "lon", "name"], required: 2 },
	//   args: checkPlace,
	//   result: is.array(checkPlace),
	// });
	//
	// /**
	//  * Nearest finds what is near.
	//  * It may be called again without harm.
	//  */
	// export const nearest = (peer: Peer, place: Place, options?: CallOptions): Promise<Place[]> =>
	//   Nearest.call(peer, place, options);
}
