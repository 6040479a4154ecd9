package object_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/chumsync/chum/object"
)

func ExampleMemory() {
	ctx, store := context.Background(), object.NewMemory()
	hashes, err := store.Put(ctx, []byte("hello, world\n"))
	if err != nil {
		log.Fatal(err)
	}
	data, err := store.Get(ctx, hashes[0])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s is %q\n", hashes[0], data)
	// Output: 853ff93762a06ddbf722c4ebe9ddd66d8f63ddaea97f521c3ecc20da7c976020 is "hello, world\n"
}

func ExampleImport() {
	ctx, store := context.Background(), object.NewMemory()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	source, dest := filepath.Join(dir, "source"), filepath.Join(dir, "dest")
	if err := os.Mkdir(source, 0o755); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source, "hello.txt"), []byte("hello, world\n"), 0o644); err != nil {
		log.Fatal(err)
	}

	root, err := object.Import(ctx, store, source, &object.ImportOptions{NoTimes: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(root, root.Size)
	if err := object.Export(ctx, store, root, dest, nil); err != nil {
		log.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dest, "hello.txt"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", data)
	// Output:
	// tree:3a30e7a7629f9eaa91063baa8b1b19ea403b786e606bf948e366dddccf9ba1e8 13
	// hello, world
}

func ExampleOpen() {
	ctx, store := context.Background(), object.NewMemory()
	link, err := object.PutFile(ctx, store, strings.NewReader(strings.Repeat("0123456789", 500_000)))
	if err != nil {
		log.Fatal(err)
	}
	file, err := object.Open(ctx, store, link)
	if err != nil {
		log.Fatal(err)
	}
	// Only the chunk that holds these bytes is read.
	part, err := io.ReadAll(io.NewSectionReader(file, 4_000_005, 10))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(link.Kind, file.Size(), string(part))
	// Output: file 5000000 5678901234
}

func ExampleRef() {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	first := object.Ref{Name: "home", Root: object.Link{Kind: object.KindTree, Hash: object.Sum([]byte("1")), Size: 1}, Changed: now}
	mine := first.Next(object.Link{Kind: object.KindTree, Hash: object.Sum([]byte("2")), Size: 2}, now)
	theirs := first.Next(object.Link{Kind: object.KindTree, Hash: object.Sum([]byte("3")), Size: 3}, now)
	fmt.Println("mine follows first:", mine.Follows(first))
	fmt.Println("mine follows theirs:", mine.Follows(theirs))

	merged := object.Merge(mine, theirs, object.Link{Kind: object.KindTree, Hash: object.Sum([]byte("4")), Size: 4}, now)
	fmt.Println("merged follows both:", merged.Follows(mine) && merged.Follows(theirs))
	// Output:
	// mine follows first: true
	// mine follows theirs: false
	// merged follows both: true
}

func ExampleWalk() {
	ctx, store := context.Background(), object.NewMemory()
	file, err := object.PutFile(ctx, store, strings.NewReader("hello, world\n"))
	if err != nil {
		log.Fatal(err)
	}
	entry := object.Entry{Name: "hello.txt", Kind: file.Kind, Hash: file.Hash, Size: file.Size, Mode: 0o644}
	root, err := object.PutTree(ctx, store, []object.Entry{entry})
	if err != nil {
		log.Fatal(err)
	}
	for node, err := range object.Walk(ctx, store, root, nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(node.Kind, len(node.Data))
	}
	// Output:
	// tree 167
	// blob 13
}
