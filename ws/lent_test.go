package ws

import (
	"bytes"
	"net"
	"testing"
)

// A message stays what it is while somebody reads it, though another closes the Conn and what
// still comes is read to be thrown away.
func TestMessageOutlivesClose(t *testing.T) {
	near, far := net.Pipe()
	c := newConn(near, nil, nil, true, "", 1<<20)
	frame := func(fill byte, n int) []byte {
		return append([]byte{0x82, 126, byte(n >> 8), byte(n)}, bytes.Repeat([]byte{fill}, n)...)
	}
	wrote := make(chan error)
	go func() {
		_, err := far.Write(bytes.Join([][]byte{frame('a', 1000), frame('b', 1000), frame('c', 30_000), {0x88, 0}}, nil))
		far.Close()
		wrote <- err
	}()
	msg, err := c.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := far.Read(make([]byte, 100)); err != nil { // the Close frame
		t.Fatal(err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if want := bytes.Repeat([]byte{'a'}, 1000); !bytes.Equal(msg, want) {
		t.Error("the message was overwritten")
	}
}
