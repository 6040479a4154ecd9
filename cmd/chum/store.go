package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/object/local"
)

// withStore opens the store, which is made at its first use, for the time of fn.
func (a *app) withStore(fn func(*local.Store) error) error {
	store, err := local.Open(a.storeDir(), &local.Options{Logger: a.logger(slog.LevelWarn)})
	if err != nil {
		return err
	}
	err = fn(store)
	if closed := store.Close(); err == nil {
		err = closed
	}
	return err
}

// find returns what an argument points at: NAME, NAME/path, a link, a link with a path behind
// it, or a bare hash. The root of a name or link is an entry without a name.
func find(ctx context.Context, store *local.Store, text string) (object.Entry, error) {
	head, path, _ := strings.Cut(text, "/")
	root, err := findRoot(ctx, store, head, text)
	if err != nil {
		return object.Entry{}, err
	}
	e, err := object.Resolve(ctx, store, root, path)
	switch {
	case errors.Is(err, object.ErrNotFound):
		return e, fail(exitNotFound, "%s: %w", text, err).hinted("chum ls %s shows what is there", head)
	case err != nil:
		return e, fmt.Errorf("%s: %w", text, err)
	}
	return e, nil
}

func findRoot(ctx context.Context, store *local.Store, head, text string) (object.Link, error) {
	if h, err := object.ParseHash(head); err == nil {
		return guess(ctx, store, h)
	}
	if l, err := object.ParseLink(head); err == nil {
		return sized(ctx, store, l)
	}
	if err := object.CheckName(head); err != nil {
		return object.Link{}, misuse("%q: %w", text, err).
			hinted("give a name (chum ls lists them), NAME/path, or a link such as tree:9f86...")
	}
	ref, err := store.Ref(ctx, head)
	if errors.Is(err, object.ErrNotFound) {
		names, err := namesOf(ctx, store)
		if err != nil {
			return object.Link{}, err
		}
		return object.Link{}, unknownName(head, names)
	}
	return ref.Root, err
}

// sized looks up how large the content of a link is, which its text does not say.
func sized(ctx context.Context, store *local.Store, l object.Link) (object.Link, error) {
	l, err := object.Sized(ctx, store, l)
	if errors.Is(err, object.ErrNotFound) {
		return l, noObject(l.String())
	}
	return l, err
}

func noObject(text string) error {
	return fail(exitNotFound, "the store has no object %s", text).hinted("chum ls lists the names that it has")
}

// guess finds the kind that fits an object: a directory or the manifest of a long file if it
// reads as one, else plain bytes.
func guess(ctx context.Context, store *local.Store, h object.Hash) (object.Link, error) {
	data, err := store.Get(ctx, h)
	if errors.Is(err, object.ErrNotFound) {
		return object.Link{}, noObject(h.String())
	}
	if err != nil {
		return object.Link{}, err
	}
	for _, kind := range []object.Kind{object.KindTree, object.KindFile} {
		if _, err := object.Links(kind, data); err == nil {
			return object.Sized(ctx, store, object.Link{Kind: kind, Hash: h, Size: object.UnknownSize})
		}
	}
	return object.Link{Kind: object.KindBlob, Hash: h, Size: int64(len(data))}, nil
}

// namesOf lists the names in a store.
func namesOf(ctx context.Context, refs object.Refs) ([]string, error) {
	var names []string
	for ref, err := range refs.Refs(ctx) {
		if err != nil {
			return nil, err
		}
		names = append(names, ref.Name)
	}
	return names, nil
}

// unknownName is the error for a name that is not there; it tells those that are.
func unknownName(name string, names []string) error {
	f := fail(exitNotFound, "there is no name %q", name)
	if len(names) == 0 {
		return f.hinted("the store has no names yet: chum put PATH makes one, chum sync URL fetches some")
	}
	const most = 12
	slices.SortStableFunc(names, func(a, b string) int { return likeness(b, name) - likeness(a, name) })
	list := strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return f.hinted("the names there are: %s", list)
}

// likeness is the length of what two names have in common at the beginning and the end.
func likeness(a, b string) int {
	n, m := 0, 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	for m < min(len(a), len(b)) && a[len(a)-1-m] == b[len(b)-1-m] {
		m++
	}
	return n + m
}

// completeNames offers the names of the store to the shell. A store that is in use, or not
// there yet, offers none.
func (a *app) completeNames(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if _, err := os.Stat(a.storeDir()); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	_ = a.withStore(func(store *local.Store) (err error) {
		names, err = namesOf(c.Context(), store)
		return err
	})
	names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(args, n) || !strings.HasPrefix(n, prefix) })
	return names, cobra.ShellCompDirectiveNoFileComp
}
