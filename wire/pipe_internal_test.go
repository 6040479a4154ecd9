package wire

import (
	"io"
	"testing"
	"testing/synctest"
)

// The writer's end is closed between the two hand-overs of a message: the reader has it all
// and must not wait for the second for ever.
func TestPipeClosedAmidHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		got := make(chan string, 1)
		go func() {
			p, err := b.ReadMessage()
			if err != nil {
				p = []byte(err.Error())
			}
			got <- string(p)
		}()
		a.(*pipeEnd).out <- []byte("whole")
		a.Close()
		if s := <-got; s != "whole" {
			t.Errorf("read %q, want the message", s)
		}
		if _, err := b.ReadMessage(); err != io.EOF {
			t.Errorf("then %v, want EOF", err)
		}
	})
}
