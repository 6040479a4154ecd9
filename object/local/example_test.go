package local_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/object/local"
)

func Example() {
	ctx := context.Background()
	dir, remove := tempDir()
	defer remove()

	s, err := local.Open(dir, nil)
	if err != nil {
		panic(err)
	}
	defer s.Close()

	// Durable when Put returns.
	hashes, err := s.Put(ctx, []byte("hello"), []byte("world"), []byte("hello"))
	if err != nil {
		panic(err)
	}
	data, err := s.Get(ctx, hashes[1])
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", data)

	// A name that points at it.
	root := object.Link{Kind: object.KindBlob, Hash: hashes[0], Size: 5}
	if err := s.SetRef(ctx, object.Ref{Name: "greeting", Root: root, Changed: time.Now()}); err != nil {
		panic(err)
	}
	fmt.Printf("%+v\n", s.Stats())
	// Output:
	// world
	// {Objects:2 Bytes:10 Refs:1 Packs:1 Damaged:0}
}

func ExampleLockedError() {
	dir, remove := tempDir()
	defer remove()
	s, err := local.Open(dir, nil)
	if err != nil {
		panic(err)
	}
	defer s.Close()

	_, err = local.Open(dir, nil)
	if locked, ok := errors.AsType[*local.LockedError](err); ok {
		fmt.Println("held by this process:", locked.PID == os.Getpid())
	}
	// Output: held by this process: true
}

// tempDir returns a directory for a store, not made yet, and what removes it.
func tempDir() (dir string, remove func()) {
	above, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	return filepath.Join(above, "store"), func() { os.RemoveAll(above) }
}
