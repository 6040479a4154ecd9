package jsonrpc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

const (
	maxMeta    = 4 << 10 // bytes of a request's metadata, as its frame has it
	maxMetaKey = 64      // bytes of a key
)

// notification marks a call of the peer whose answer nobody waits for.
const notification = "jsonrpc.notification"

// Notification gives a context for calls that JSON-RPC makes notifications of: the other side gets
// no id and answers nothing, and the call succeeds, with no result, when it is written. A peer of
// ours on the other side answers as usual. Streams are none the less calls.
func Notification(ctx context.Context) context.Context {
	return rpc.WithMetadata(ctx, notification, "")
}

// appendMeta appends the metadata of a request frame: an object of strings becomes a list of keys
// and values, each behind its length.
func appendMeta(b []byte, object jsontext.Value) ([]byte, error) {
	var meta map[string]string
	if object.Kind() != '{' || json.Unmarshal(object, &meta) != nil {
		return nil, errors.New("it must be an object of strings")
	}
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		if key == "" || len(key) > maxMetaKey || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
			return nil, fmt.Errorf("key %.40q: it must have 1 to %d bytes of a-z, 0-9, '.', '_' and '-'", key, maxMetaKey)
		}
		for _, s := range []string{key, meta[key]} {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
	}
	if len(b) > maxMeta {
		return nil, fmt.Errorf("%d bytes; %d are allowed", len(b), maxMeta)
	}
	return b, nil
}

// parseMeta reads the metadata of a call of the peer: as an object, nil if there is none for the
// other side, and whether the call is to be a notification. What is the protocol's own is left out.
func parseMeta(b []byte) (object jsontext.Value, notify bool, err error) {
	meta := make(map[string]string)
	for len(b) > 0 {
		var pair [2]string
		for i := range pair {
			var n uint64
			if n, b, err = wire.Uvarint(b); err != nil || n > uint64(len(b)) {
				return nil, false, errors.New("jsonrpc: malformed metadata of the peer")
			}
			pair[i], b = string(b[:n]), b[n:]
		}
		switch {
		case pair[0] == notification:
			notify = true
		case !strings.HasPrefix(pair[0], "rpc."):
			meta[pair[0]] = pair[1]
		}
	}
	if len(meta) > 0 {
		object, err = json.Marshal(meta, json.Deterministic(true))
	}
	return object, notify, err
}
