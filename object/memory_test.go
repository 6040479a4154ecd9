package object_test

import (
	"testing"

	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/object/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) interface {
		object.Store
		object.Refs
	} {
		return object.NewMemory()
	})
}
