package main

import (
	"errors"

	"github.com/chumsync/chum/rpc"
)

//go:generate go run ../../rpc/docgen

// What the page calls.
const (
	// Upload takes a file, if the page still says so when it is asked, and shows the page how far it is.
	Upload rpc.Sink[File, []byte, Receipt] = "upload"
	// Slow has the server read at most 2 MB a second, or again as fast as it can.
	Slow rpc.Method[bool, struct{}] = "slow"
	// Stop has the server give up what this page uploads.
	Stop rpc.Method[struct{}, struct{}] = "stop"
)

// What the server calls of the page.
const (
	// Ask puts a question to whoever sits there. It is withdrawn when the call is cancelled.
	Ask rpc.Method[string, bool] = "ask"
	// Show tells how much of the file the server has read.
	Show rpc.Method[Progress, struct{}] = "show"
)

// File is what is uploaded.
type File struct {
	Name string `json:"name"`
	Size int64  `json:"size" minimum:"0" maximum:"9007199254740991"` // bytes, for the question; what comes counts
}

// Validate checks that the question can be asked.
func (f File) Validate() error {
	if f.Name == "" || len(f.Name) > 255 {
		return errors.New("a name has 1 to 255 bytes")
	}
	return nil
}

// Progress says how far an upload is.
type Progress struct {
	Size int64 `json:"size" minimum:"0" maximum:"9007199254740991"` // bytes that the server has read
}

// Receipt says what came.
type Receipt struct {
	Size   int64  `json:"size" minimum:"0" maximum:"9007199254740991"` // bytes
	SHA256 string `json:"sha256"`                                      // in hexadecimal
}
