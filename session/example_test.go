package session_test

import (
	"context"
	"fmt"

	"github.com/chumsync/chum/session"
	"github.com/chumsync/chum/wire"
)

// A connection is cut; the session goes on.
func Example() {
	server := session.NewServer(nil)
	accepted := make(chan wire.Conn, 1)
	var line wire.Conn
	dial := func(context.Context) (wire.Conn, error) {
		here, there := wire.Pipe() // a WebSocket, in real life
		line = here
		go func() {
			if c, err := server.Accept(there); err == nil && c != nil {
				accepted <- c // a new session; none when it went on with an old one
			}
		}()
		return here, nil
	}
	client, err := session.Dial(context.Background(), dial, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	other := <-accepted
	go other.WriteMessage([]byte("one"))
	p, _ := client.ReadMessage()
	fmt.Printf("%s\n", p)

	line.Close() // cut
	go other.WriteMessage([]byte("two"))
	p, err = client.ReadMessage()
	fmt.Printf("%s %v\n", p, err)

	client.Close()
	_, err = other.ReadMessage()
	fmt.Println(err)
	// Output:
	// one
	// two <nil>
	// EOF
}
