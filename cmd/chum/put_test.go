package main

import (
	"context"
	"testing"
	"time"

	"github.com/chumsync/chum/object"
)

// contested is a store where somebody else changes a name at the same moment, once.
type contested struct {
	*object.Memory
	other object.Link
}

func (c *contested) SetRef(ctx context.Context, ref object.Ref) error {
	if !c.other.IsZero() {
		other := object.Ref{Name: ref.Name, Root: c.other, Changed: time.Unix(1, 0).UTC()}
		c.other = object.Link{}
		if err := c.Memory.SetRef(ctx, other); err != nil {
			return err
		}
	}
	return c.Memory.SetRef(ctx, ref)
}

func TestPointMakesASuccessorOfWhatIsThere(t *testing.T) {
	blob := func(text string) object.Link {
		return object.Link{Kind: object.KindBlob, Hash: object.Sum([]byte(text)), Size: int64(len(text))}
	}
	c := &contested{Memory: object.NewMemory(), other: blob("theirs")}
	for _, want := range []bool{true, false} {
		changed, err := point(t.Context(), c, "x", blob("mine"))
		if err != nil || changed != want {
			t.Fatalf("changed %v, error %v", changed, err)
		}
	}
	ref, err := c.Ref(t.Context(), "x")
	if err != nil || ref.Root != blob("mine") || len(ref.Past) != 1 {
		t.Errorf("%+v, %v: it does not follow what somebody else had set", ref, err)
	}
	if changed, err := point(t.Context(), c, "a/b", blob("mine")); changed || err == nil {
		t.Error("a name that is none was taken")
	}
}
