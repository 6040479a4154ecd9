package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/chumsync/chum/wire"
)

// chunk is how many bytes of a byte stream go into one item: as many as a frame holds.
const chunk = wire.MaxFrame

// Reader calls a Source of bytes and reads what it yields, one piece after the other. Close
// cancels the call if it has not ended. One goroutine may read; Close may be called by
// another.
func Reader[A any](ctx context.Context, p *Peer, m Source[A, []byte], a A) io.ReadCloser {
	c, err := open(ctx, p, string(m), takes, &a)
	if err != nil {
		return &byteReader{err: err}
	}
	p.mu.Lock()
	c.in.pooled = true
	p.mu.Unlock()
	return &byteReader{in: c.in, call: c}
}

// byteReader reads the bytes of a stream.
type byteReader struct {
	in   *inflow
	call *call
	item item
	rest []byte
	err  error
}

func (r *byteReader) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		if len(b) == 0 {
			return 0, nil
		}
		if err := r.fetch(); err != nil {
			return 0, err
		}
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo lets io.Copy write each piece as it came.
func (r *byteReader) WriteTo(w io.Writer) (n int64, err error) {
	for {
		if len(r.rest) > 0 {
			m, err := w.Write(r.rest)
			n += int64(m)
			r.rest = r.rest[m:]
			if err != nil {
				return n, err
			}
		}
		if err := r.fetch(); err != nil {
			if err == io.EOF {
				return n, nil
			}
			return n, err
		}
	}
}

// fetch takes the next piece in, once the last has been read.
func (r *byteReader) fetch() error {
	if r.item.pooled != nil {
		itemBuffers.Put(r.item.pooled)
		r.item = item{}
	}
	if r.err != nil {
		return r.err
	}
	r.item, r.err = r.in.next()
	if r.err != nil {
		return r.err
	}
	if err := decodeValue(r.item.form, r.item.data, &r.rest); err != nil {
		r.err = failure(DataLoss, Yes, "a piece of a byte stream is no bytes: %w", err)
	}
	return r.err
}

func (r *byteReader) Close() error {
	if r.call != nil {
		r.call.leave()
	}
	return nil
}

// Writer calls a Sink of bytes and returns what feeds it.
func Writer[A, R any](ctx context.Context, p *Peer, m Sink[A, []byte, R], a A) *ByteWriter[R] {
	c, err := open(ctx, p, string(m), feeds, &a)
	return &ByteWriter[R]{call: c, err: err}
}

// A ByteWriter feeds bytes to a Sink. One goroutine may write; Cancel may be called by
// another.
type ByteWriter[R any] struct {
	call *call
	err  error
}

// Write sends b, no faster than the handler takes it. When the handler has answered already,
// the error matches io.ErrClosedPipe: call Result to see the answer.
func (w *ByteWriter[R]) Write(b []byte) (n int, err error) {
	if w.err != nil {
		return 0, w.err
	}
	return sendBytes(&w.call.exchange, b)
}

// ReadFrom lets io.Copy use pieces of a good size.
func (w *ByteWriter[R]) ReadFrom(r io.Reader) (int64, error) {
	if w.err != nil {
		return 0, w.err
	}
	return sendFrom(&w.call.exchange, r)
}

// Result says that all was written, and waits for the answer.
func (w *ByteWriter[R]) Result() (R, error) {
	var r R
	if w.err != nil {
		return r, w.err
	}
	_ = w.call.sendEnd() // it fails if the call has ended: then the answer says how
	<-w.call.done
	if w.call.err != nil {
		return r, w.call.err
	}
	return decodeResult[R](w.call)
}

// Cancel gives the call up, unless it has ended. The handler's reader fails.
func (w *ByteWriter[R]) Cancel() {
	if w.call != nil {
		w.call.cancel(context.Canceled)
	}
}

// sendBytes sends b. A short piece is left in the queue, so that many make one message.
func sendBytes(x *exchange, b []byte) (n int, err error) {
	if x.p.plain.Load() {
		return sendText(x, b)
	}
	if len(b) >= bulkFrom {
		return x.sendRun(b)
	}
	if len(b) == 0 {
		return 0, nil
	}
	if err := x.send(wire.Bytes, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// sendText sends b to a side that takes JSON only, in pieces that fit in a frame as base64.
func sendText(x *exchange, b []byte) (n int, err error) {
	for piece := range slices.Chunk(b, chunk/4*3-3) {
		form, text, err := appendPlain(nil, piece)
		if err == nil {
			err = x.send(form, text)
		}
		if err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

func sendFrom(x *exchange, r io.Reader) (n int64, err error) {
	buf := messageBuffers.Get().([]byte)
	defer reuse(buf)
	for {
		k, err := r.Read(buf[:maxPortion])
		if k > 0 {
			sent, err := sendBytes(x, buf[:k])
			n += int64(sent)
			if err != nil {
				return n, err
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// HandleWriter puts a Source of bytes on a Mux whose handler writes what the caller reads.
// Writing waits while the caller does not read, and fails when it no longer wants to.
func HandleWriter[A any](mux *Mux, m Source[A, []byte], fn func(context.Context, A, io.Writer) error, options ...HandleOption) {
	mux.put(&service{
		MethodInfo: m.declared(),
		mode:       takes,
		run: withArgs(func(ctx context.Context, s *serving, a A) error {
			if err := fn(ctx, a, servingWriter{&s.exchange}); err != nil {
				return err
			}
			return s.sendEnd()
		}),
		result: nothing,
	}, options)
}

type servingWriter struct{ x *exchange }

func (w servingWriter) Write(b []byte) (int, error) { return sendBytes(w.x, b) }

func (w servingWriter) ReadFrom(r io.Reader) (int64, error) { return sendFrom(w.x, r) }

// HandleReader puts a Sink of bytes on a Mux whose handler reads what the caller writes. The
// reader ends with io.EOF only when the caller has said that this was all.
func HandleReader[A, R any](mux *Mux, m Sink[A, []byte, R], fn func(context.Context, A, io.Reader) (R, error), options ...HandleOption) {
	mux.put(&service{
		MethodInfo: m.declared(),
		mode:       feeds,
		run: withArgs(func(ctx context.Context, s *serving, a A) error {
			s.p.mu.Lock()
			s.in.pooled = true
			s.p.mu.Unlock()
			r, err := fn(ctx, a, &byteReader{in: s.in})
			s.box = &r
			return err
		}),
		result: boxed[R],
	}, options)
}

// Chunks cuts what r has into pieces for a stream of bytes. Each piece is valid until the
// next; sending one copies it.
func Chunks(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		buf := make([]byte, chunk)
		for {
			n, err := r.Read(buf)
			if n > 0 && !yield(buf[:n], nil) {
				return
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("rpc: reading what is to be sent: %w", err))
				return
			}
		}
	}
}
