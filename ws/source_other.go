//go:build !unix

package ws

import (
	"io"
	"net"
)

// newSource makes a source of a connection and what was read ahead of it by others: r reads
// all there is, or c alone if r is nil.
func newSource(c net.Conn, r io.Reader) source {
	if r == nil {
		r = c
	}
	return &plainSource{Reader: r}
}
