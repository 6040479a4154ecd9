package main

import (
	"fmt"
	"iter"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/chumsync/chum/rpc"
)

// An answer prints what a call answers: JSON for people or programs, raw bytes as they are.
type answer struct {
	*app
	raw  bool   // bytes alone go to standard output, whatever that is
	tail []byte // the beginning of a character, on a terminal, whose rest is to come
}

// result prints the one answer of a call.
func (w *answer) result(v rpc.Value, err error) error {
	switch {
	case err != nil:
		return err
	case v.Body != nil:
		if err := w.both(v); err != nil {
			return err
		}
		return w.whole()
	case len(v.JSON) == 0:
		return nil // nothing is a result, too
	case w.raw:
		return w.noBytes(v)
	}
	text := string(v.JSON)
	if w.stdout.terminal {
		_ = v.JSON.Indent(jsontext.WithIndent("  ")) // it is valid, or it would not have come
		text = harmless(string(v.JSON))
	}
	_, err = fmt.Fprintln(w.stdout, text)
	return err
}

// stream prints items as they come.
func (w *answer) stream(items iter.Seq2[rpc.Value, error]) error {
	for v, err := range items {
		switch {
		case err != nil:
			return err
		case v.Body != nil && (w.raw || len(v.JSON) == 0):
			err = w.both(v)
		case w.raw:
			err = w.noBytes(v)
		default:
			err = w.item(v)
		}
		if err != nil {
			return err
		}
	}
	return w.whole()
}

// item prints an item as a line. Raw bytes that come with it are only counted: lines cannot
// hold them.
func (w *answer) item(v rpc.Value) error {
	if _, err := fmt.Fprintf(w.stdout, "%s\n", v.JSON); err != nil {
		return err
	}
	if v.Body != nil && !w.quiet {
		w.stderr.printf("%s of raw bytes with it are not printed; --raw prints them\n", amount(len(v.Body)))
	}
	return nil
}

// both prints raw bytes, and what stands before them to standard error.
func (w *answer) both(v rpc.Value) error {
	if len(v.JSON) > 0 {
		w.stderr.printf("%s\n", harmless(string(v.JSON)))
	}
	return w.bytes(v.Body)
}

// noBytes is for what the other side did not say before: an answer without raw bytes to who
// wants nothing else.
func (w *answer) noBytes(v rpc.Value) error {
	w.stderr.printf("%s\n", harmless(string(v.JSON)))
	return fail(exitFailed, "the method was called and answered with JSON, not with raw bytes").hinted("leave --raw out")
}

// bytes prints bytes as they are, but spares a terminal what is not text unless it is asked for.
func (w *answer) bytes(b []byte) error {
	if w.stdout.terminal && !w.raw {
		b = slices.Concat(w.tail, b)
		n := wholeText(b)
		b, w.tail = b[:n], b[n:]
		if !utf8.Valid(b) || harmless(string(b)) != string(b) {
			return errBinary()
		}
	}
	_, err := w.stdout.Write(b)
	return err
}

// whole says that no more bytes come.
func (w *answer) whole() error {
	if len(w.tail) > 0 {
		return errBinary()
	}
	return nil
}

func errBinary() *failure {
	return fail(exitFailed, "the answer has binary data, which would upset the terminal").
		hinted("send it to a file with > FILE, or through a pipe; --raw prints it all the same")
}

// wholeText is the length of b without a character at its end that is only half there.
func wholeText(b []byte) int {
	for n := len(b) - 1; n >= max(0, len(b)-utf8.UTFMax); n-- {
		if utf8.RuneStart(b[n]) {
			if !utf8.FullRune(b[n:]) {
				return n
			}
			break
		}
	}
	return len(b)
}
