package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/chumsync/chum/rpc"
)

type callOptions struct {
	data    string   // file with the raw last argument; "-" is standard input; "" none
	meta    []string // KEY=VALUE
	timeout time.Duration
}

func (a *app) callCommand() *cobra.Command {
	var o callOptions
	c := &cobra.Command{
		Use:   "call URL METHOD [JSON|-] [--data FILE]",
		Short: "Call a method of another side",
		Long: `Call a method by name and print its result. JSON holds the arguments: an array by position,
an object by name, anything else is a single argument; "-" reads it from standard input. An
argument that is an array or an object itself stands in an array of one.
--data gives the contents of a file as the last argument where that is raw bytes.
The arguments are checked against what the server says of the method before they are sent.

Results that are JSON are printed as JSON, raw bytes as they are, though not on a terminal.
A stream is printed item by item, one line of JSON each. A method that is fed a stream reads
its items from standard input, one JSON value after the other.`,
		Example: `  chum call ws://127.0.0.1:7171 getRef '"notes"'
  chum call ws://127.0.0.1:7171 listRefs
  chum call ws://127.0.0.1:7171 getObject '["9f86d081884c7d65..."]' > object
  echo '["notes"]' | chum call ws://127.0.0.1:7171 getRef -`,
		Args: arguments(2, 3, "the URL of a server, a method and its arguments as JSON"),
		RunE: func(c *cobra.Command, args []string) error { return a.call(c.Context(), args, o) },
	}
	c.Flags().StringVar(&o.data, "data", "", "give the bytes of `FILE` as the last argument; - is standard input")
	c.Flags().DurationVar(&o.timeout, "timeout", 0, "wait `TIME` for the answer, such as 5s (default 30s, for streams none)")
	c.Flags().StringArrayVar(&o.meta, "meta", nil, "send metadata `KEY=VALUE` with the call; may be given again")
	_ = c.MarkFlagFilename("data")
	c.ValidArgsFunction = a.completeMethod
	return c
}

func (a *app) call(ctx context.Context, args []string, o callOptions) error {
	address, method := args[0], args[1]
	text := ""
	if len(args) == 3 {
		text = args[2]
	}
	value, err := a.callArguments(ctx, text, o.data)
	if err != nil {
		return err
	}
	peer, err := a.connect(ctx, address)
	if err != nil {
		return err
	}
	defer peer.Close()
	description, info, err := describe(ctx, peer, address, method)
	if err != nil {
		return err
	}
	if err := checkArguments(description, info, value); err != nil {
		return err
	}
	for _, m := range o.meta {
		key, text, ok := strings.Cut(m, "=")
		if !ok || key == "" {
			return misuse("%q is no metadata", m).hinted("give KEY=VALUE")
		}
		ctx = rpc.WithMetadata(ctx, key, text) //nolint:fatcontext // as many as the command line has
	}
	if feeds := info.Kind == "sink" || info.Kind == "duplex"; feeds && (text == "-" || o.data == "-") {
		return misuse("%s reads its stream from standard input, so its arguments cannot come from there, too", method).
			hinted("give the arguments in the command, and --data a file")
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	switch info.Kind {
	case "source":
		return a.printStream(rpc.Source[rpc.Value, rpc.Value](method).Call(ctx, peer, value))
	case "sink":
		in := interruptible(ctx, a.stdin)
		defer in.Close()
		result, err := rpc.Sink[rpc.Value, rpc.Value, rpc.Value](method).Call(ctx, peer, value, items(in, info.In.Form))
		return a.printResult(result, err)
	case "duplex":
		in := interruptible(ctx, a.stdin)
		defer in.Close()
		return a.printStream(rpc.Duplex[rpc.Value, rpc.Value, rpc.Value](method).Call(ctx, peer, value, items(in, info.In.Form)))
	}
	result, err := rpc.Method[rpc.Value, rpc.Value](method).Call(ctx, peer, value)
	return a.printResult(result, err)
}

// callArguments makes the argument list of what stands in the command.
func (a *app) callArguments(ctx context.Context, text, data string) (v rpc.Value, err error) {
	if text == "-" && data == "-" {
		return v, misuse("standard input cannot be both the arguments and the data").hinted("give one of them in the command or as a file")
	}
	if text == "-" {
		all, err := a.readInput(ctx)
		if err != nil {
			return v, err
		}
		text = string(all)
	}
	if text = strings.TrimSpace(text); text != "" {
		if v.JSON, err = argumentList(text); err != nil {
			return v, err
		}
	}
	switch data {
	case "":
	case "-":
		v.Body, err = a.readInput(ctx)
	default:
		v.Body, err = os.ReadFile(data)
	}
	return v, err
}

// maxInput is how much of standard input may be an argument, in bytes: more than any server
// takes for a value.
const maxInput = 64 << 20

func (a *app) readInput(ctx context.Context) ([]byte, error) {
	in := interruptible(ctx, a.stdin)
	defer in.Close()
	all, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if len(all) > maxInput {
		return nil, misuse("standard input has more than %s, which no server takes as an argument", amount(maxInput)).
			hinted("send what is longer through a method that is fed a stream")
	}
	return all, err
}

// argumentList makes an array or an object of what may also be a single value.
func argumentList(text string) (jsontext.Value, error) {
	list := jsontext.Value(text)
	if err := list.Compact(); err != nil {
		return nil, misuse("the arguments are no JSON: %w", err).
			hinted(`text stands in two pairs of quotes, such as '"notes"'; several arguments in brackets, such as '[1, "two"]'`)
	}
	if kind := list.Kind(); kind != '[' && kind != '{' {
		list = slices.Concat(jsontext.Value("["), list, jsontext.Value("]"))
	}
	return list, nil
}

// describe asks what sort of method it is. A server that does not tell is asked as if it were
// a plain call.
func describe(ctx context.Context, peer *rpc.Peer, address, method string) (rpc.Description, rpc.MethodInfo, error) {
	description, err := rpc.Methods.Call(ctx, peer, struct{}{})
	switch code := rpc.CodeOf(err); {
	case code == rpc.PermissionDenied || code == rpc.Unimplemented:
		return description, rpc.MethodInfo{Name: method, Kind: "call"}, nil
	case err != nil:
		return description, rpc.MethodInfo{}, err
	}
	names := make([]string, 0, len(description.Methods))
	for _, m := range description.Methods {
		if m.Name == method {
			return description, m, nil
		}
		names = append(names, m.Name)
	}
	return description, rpc.MethodInfo{}, fail(exitNotFound, "there is no method %q", method).
		hinted("the methods there are: %s; chum methods %s tells more", strings.Join(names, ", "), address)
}

// items reads what is fed to a method: raw bytes as they come, else JSON values one after the
// other.
func items(in io.Reader, form string) iter.Seq2[rpc.Value, error] {
	return func(yield func(rpc.Value, error) bool) {
		if form == "bytes" {
			for piece, err := range rpc.Chunks(in) {
				if !yield(rpc.Value{Body: piece}, err) || err != nil {
					return
				}
			}
			return
		}
		decoder := jsontext.NewDecoder(in)
		for n := 1; ; n++ {
			v, err := decoder.ReadValue()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(rpc.Value{}, misuse("item %d on standard input is no JSON: %w", n, err))
				return
			case !yield(rpc.Value{JSON: v.Clone()}, nil):
				return
			}
		}
	}
}

// printResult prints the one answer of a call.
func (a *app) printResult(v rpc.Value, err error) error {
	if err != nil {
		return err
	}
	if v.Body != nil {
		if len(v.JSON) > 0 {
			a.stderr.printf("%s\n", harmless(string(v.JSON))) // the head of what follows
		}
		return a.printRaw(v.Body)
	}
	if len(v.JSON) == 0 {
		return nil // nothing is a result, too
	}
	text := string(v.JSON)
	if a.stdout.terminal {
		_ = v.JSON.Indent(jsontext.WithIndent("  ")) // it is valid, or it would not have come
		text = harmless(string(v.JSON))
	}
	_, err = fmt.Fprintln(a.stdout, text)
	return err
}

// printStream prints items as they come.
func (a *app) printStream(stream iter.Seq2[rpc.Value, error]) error {
	for v, err := range stream {
		if err != nil {
			return err
		}
		if v.Body != nil && len(v.JSON) == 0 {
			err = a.printRaw(v.Body)
		} else {
			err = a.printItem(v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// printItem prints an item as a line. Raw bytes that come with it are only counted: lines
// cannot hold them.
func (a *app) printItem(v rpc.Value) error {
	if _, err := fmt.Fprintf(a.stdout, "%s\n", v.JSON); err != nil {
		return err
	}
	if v.Body != nil && !a.quiet {
		a.stderr.printf("%s of raw bytes with it are not printed\n", amount(len(v.Body)))
	}
	return nil
}

// printRaw prints bytes as they are, but spares a terminal what is not text.
func (a *app) printRaw(b []byte) error {
	if a.stdout.terminal && (!utf8.Valid(b) || harmless(string(b)) != string(b)) {
		return fail(exitFailed, "the result is %s of binary data, which would upset the terminal", amount(len(b))).
			hinted("send it to a file with > FILE, or through a pipe")
	}
	_, err := a.stdout.Write(b)
	return err
}
