package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/chumsync/chum/wire"
)

// A request carries metadata: what does not belong to the arguments, such as the context of a
// trace. On the wire it is a list of keys and values; keys that begin with "rpc." are the
// protocol's own.

const (
	metaRepeat = "rpc.repeat" // "": the call may be executed twice
	metaKey    = "rpc.key"    // the key of a keyed call
)

// maxMetadata is how many bytes of metadata a request may carry, as it is on the wire.
const maxMetadata = 4 << 10

// outgoing is what a caller's context says about the calls made with it.
type outgoing struct {
	meta     []byte // as it travels
	repeat   bool
	priority Priority
	err      error // metadata that cannot be sent
}

type outgoingKey struct{}

func outgoingFrom(ctx context.Context) *outgoing {
	o, _ := ctx.Value(outgoingKey{}).(*outgoing)
	return o
}

// with gives a context whose calls also carry a key and a value.
func with(ctx context.Context, key, value string) context.Context {
	var o outgoing
	if before := outgoingFrom(ctx); before != nil {
		o = *before
	}
	o.meta = appendMetadata(without(o.meta, key), key, value)
	switch {
	case !isMetadataKey(key):
		o.err = fmt.Errorf("metadata key %.40q: it must have 1 to 64 bytes of a-z, 0-9, '.', '_' and '-'", key)
	case !utf8.ValidString(value):
		o.err = fmt.Errorf("metadata value of %q: it is not UTF-8", key)
	case len(o.meta) > maxMetadata:
		o.err = fmt.Errorf("%d bytes of metadata; %d are allowed", len(o.meta), maxMetadata)
	}
	o.repeat = o.repeat || key == metaRepeat || key == metaKey
	return context.WithValue(ctx, outgoingKey{}, &o)
}

// WithMetadata gives a context whose calls carry value under key beside their arguments: the
// handler finds it with [Metadata]. A later value takes the place of an earlier one. Keys are
// 1 to 64 bytes of a-z, 0-9, '.', '_' and '-', and do not begin with "rpc."; all metadata of a
// call has at most 4 KiB. A call with metadata that cannot be sent fails.
func WithMetadata(ctx context.Context, key, value string) context.Context {
	if strings.HasPrefix(key, "rpc.") {
		ctx = with(ctx, key, value)
		outgoingFrom(ctx).err = fmt.Errorf("metadata key %q: keys that begin with \"rpc.\" are the protocol's own", key)
		return ctx
	}
	return with(ctx, key, value)
}

// Metadata gives what the caller sent under key along with the call that a handler's context
// belongs to; "" if there is nothing. It does not go on by itself to calls that the handler
// makes.
func Metadata(ctx context.Context, key string) string {
	s, _ := ctx.Value(servingKey{}).(*serving)
	if s == nil {
		return ""
	}
	return string(findMetadata(s.meta, key))
}

func appendMetadata(b []byte, key, value string) []byte {
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

// nextMetadata takes the first key and value off a list.
func nextMetadata(b []byte) (key, value, rest []byte, err error) {
	var part [2][]byte
	for i := range part {
		n, after, err := wire.Uvarint(b)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("metadata: %w", err)
		}
		if n > uint64(len(after)) {
			return nil, nil, nil, errors.New("metadata runs past its end")
		}
		part[i], b = after[:n], after[n:]
	}
	return part[0], part[1], b, nil
}

// checkMetadata takes a list in that came from the other side.
func checkMetadata(b []byte) error {
	if len(b) > maxMetadata {
		return fmt.Errorf("%d bytes of metadata; %d are allowed", len(b), maxMetadata)
	}
	for len(b) > 0 {
		var err error
		if _, _, b, err = nextMetadata(b); err != nil {
			return err
		}
	}
	return nil
}

// findMetadata gives the value of a key in a list that was checked; nil if it is not there.
func findMetadata(b []byte, key string) []byte {
	for len(b) > 0 {
		k, v, rest, err := nextMetadata(b)
		if err != nil {
			return nil
		}
		if string(k) == key {
			return v
		}
		b = rest
	}
	return nil
}

// without copies a list and leaves one key out.
func without(b []byte, key string) []byte {
	out := make([]byte, 0, len(b)+64)
	for len(b) > 0 {
		k, v, rest, err := nextMetadata(b)
		if err != nil {
			return out
		}
		if string(k) != key {
			out = appendMetadata(out, string(k), string(v))
		}
		b = rest
	}
	return out
}

func isMetadataKey(key string) bool {
	if key == "" || len(key) > 64 {
		return false
	}
	for _, c := range []byte(key) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
