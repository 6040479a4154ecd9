package wire_test

import (
	"fmt"
	"io"

	"github.com/chumsync/chum/wire"
)

func ExamplePipe() {
	a, b := wire.Pipe()
	go func() {
		a.WriteMessage([]byte("hello"))
		a.Close()
	}()
	for {
		msg, err := b.ReadMessage()
		if err == io.EOF {
			break
		}
		fmt.Printf("%s\n", msg)
	}
	// Output: hello
}

func ExampleNext() {
	msg := wire.Append(nil, wire.Frame{Kind: wire.Result, ID: 1, Payload: []byte(`"hi Ada"`)})
	msg = wire.Append(msg, wire.Frame{Kind: wire.Ping})
	for len(msg) > 0 {
		f, rest, err := wire.Next(msg)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s of call %d: %q\n", f.Kind, f.ID, f.Payload)
		msg = rest
	}
	_, _, err := wire.Next([]byte{0x0c, 0x00, 0x05, 'x'})
	fmt.Println(err)
	// Output:
	// result of call 1: "\"hi Ada\""
	// ping of call 0: ""
	// wire: malformed frame: ping frame: 5 bytes announced, 1 left in the message
}
