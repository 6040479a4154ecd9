package chum

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/rpc"
)

// sentinels pairs the errors of package object with the codes that carry them across.
var sentinels = []struct {
	err  error
	code rpc.Code
}{
	{object.ErrNotFound, rpc.NotFound},
	{object.ErrConflict, rpc.Aborted},
	{object.ErrTooBig, rpc.InvalidArgument},
	{object.ErrBadName, rpc.InvalidArgument},
	{object.ErrMalformed, rpc.InvalidArgument},
	{object.ErrCorrupt, rpc.DataLoss},
	{syscall.ENOSPC, rpc.ResourceExhausted},
}

// toWire gives a server function's error the code that tells the caller what it may know.
// Others go on as they are: the caller then learns only that the function failed.
func toWire(err error) error {
	var e *rpc.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return rpc.Errorf(s.code, "%w", err)
		}
	}
	return err
}

// remoteError is an error of the other side that also is one of package object.
type remoteError struct {
	remote   *rpc.Error
	sentinel error
}

func (e *remoteError) Error() string   { return e.remote.Error() }
func (e *remoteError) Unwrap() []error { return []error{e.remote, e.sentinel} }

// fromWire makes an error of the other side one that errors.Is finds as it would locally.
func fromWire(what string, err error) error {
	if err == nil {
		return nil
	}
	var e *rpc.Error
	if errors.As(err, &e) && e.Executed == rpc.Yes {
		switch e.Code {
		case rpc.NotFound:
			err = &remoteError{e, object.ErrNotFound}
		case rpc.Aborted:
			err = &remoteError{e, object.ErrConflict}
		}
	}
	return fmt.Errorf("chum: %s: %w", what, err)
}

// wrong is the error for an answer that cannot be true.
func wrong(format string, args ...any) error {
	e := rpc.Errorf(rpc.DataLoss, format, args...)
	e.Executed = rpc.Yes
	return e
}
