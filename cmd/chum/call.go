package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/chumsync/chum/rpc"
)

type callOptions struct {
	body    string   // file with raw bytes; "-" is standard input; "" none
	raw     bool     // raw bytes to standard output, whatever that is, and nothing else
	meta    []string // KEY=VALUE
	timeout time.Duration
}

func (a *app) callCommand() *cobra.Command {
	var o callOptions
	c := &cobra.Command{
		Use:   "call URL METHOD [JSON|-] [--body FILE|-] [--raw]",
		Short: "Call a method of another side",
		Long: `Call a method by name and print its result. JSON holds the arguments: an array by position,
an object by name, anything else is a single argument; "-" reads it from standard input. An
argument that is an array or an object itself stands in an array of one.
The arguments are checked against what the server says of the method before they are sent.

--body gives the bytes of a file, as they are: as the last argument where that is raw bytes,
else to a method that is fed a stream. Without it such a method is fed standard input. A stream
of bytes is sent while it is read, however long it is; any other takes one JSON value after
the other.

Results that are JSON are printed as JSON, a stream of them item by item, one line each. Raw
bytes are printed as they are while they come, though not on a terminal unless they are text.
--raw prints raw bytes on a terminal, too, and nothing else on standard output: JSON that comes
with them goes to standard error. A method that answers without raw bytes is not called.`,
		Example: `  chum call ws://127.0.0.1:7171 getRef '"notes"'
  chum call ws://127.0.0.1:7171 listRefs
  chum call ws://127.0.0.1:7171 getObject '["9f86d081884c7d65..."]' --raw > object
  echo '["notes"]' | chum call ws://127.0.0.1:7171 getRef -
  tar c notes | chum call ws://127.0.0.1:8080 upload '"notes.tar"' --body -`,
		Args: arguments(2, 3, "the URL of a server, a method and its arguments as JSON"),
		RunE: func(c *cobra.Command, args []string) error { return a.call(c.Context(), args, o) },
	}
	c.Flags().StringVar(&o.body, "body", "", "send the bytes of `FILE` as the last argument or as the stream; - is standard input")
	c.Flags().BoolVar(&o.raw, "raw", false, "print the raw bytes of the answer and nothing else, also on a terminal")
	c.Flags().DurationVar(&o.timeout, "timeout", 0, "wait `TIME` for the answer, such as 5s (default 30s, for streams none)")
	c.Flags().StringArrayVar(&o.meta, "meta", nil, "send metadata `KEY=VALUE` with the call; may be given again")
	_ = c.MarkFlagFilename("body")
	c.ValidArgsFunction = a.completeMethod
	return c
}

func (a *app) call(ctx context.Context, args []string, o callOptions) error {
	address, method := args[0], args[1]
	text := ""
	if len(args) == 3 {
		text = args[2]
	}
	if text == "-" && o.body == "-" {
		return misuse("standard input cannot be both the arguments and the body").hinted("give one of them in the command or as a file")
	}
	if o.raw && a.json {
		return misuse("--raw prints bytes as they are, which JSON cannot hold").hinted("leave --json or --raw out")
	}
	body, err := a.openBody(ctx, o.body)
	if err != nil {
		return err
	}
	defer body.Close()
	value, err := a.callArguments(ctx, text)
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
	fed, err := a.place(ctx, info, &value, body, text == "-")
	if err != nil {
		return err
	}
	defer fed.Close()
	if err := checkArguments(description, info, value); err != nil {
		return err
	}
	if o.raw && !mayBeRaw(cmp.Or(info.Out.Form, info.Result.Form)) {
		return misuse("%s answers without raw bytes", method).hinted("leave --raw out; chum methods %s %s tells what it answers", address, method)
	}
	for _, m := range o.meta {
		key, text, ok := strings.Cut(m, "=")
		if !ok || key == "" {
			return misuse("%q is no metadata", m).hinted("give KEY=VALUE")
		}
		ctx = rpc.WithMetadata(ctx, key, text) //nolint:fatcontext // as many as the command line has
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	w := &answer{app: a, raw: o.raw}
	switch info.Kind {
	case "source":
		return w.stream(rpc.Source[rpc.Value, rpc.Value](method).Call(ctx, peer, value))
	case "sink":
		return w.result(rpc.Sink[rpc.Value, rpc.Value, rpc.Value](method).Call(ctx, peer, value, items(fed, info.In.Form)))
	case "duplex":
		return w.stream(rpc.Duplex[rpc.Value, rpc.Value, rpc.Value](method).Call(ctx, peer, value, items(fed, info.In.Form)))
	}
	return w.result(rpc.Method[rpc.Value, rpc.Value](method).Call(ctx, peer, value))
}

// An input is where raw bytes or items come from.
type input struct {
	io.ReadCloser
	name string // for people; "" of noInput
}

// noInput is where nothing comes from.
var noInput = input{ReadCloser: io.NopCloser(strings.NewReader(""))}

const stdinName = "standard input"

// openBody opens what --body names.
func (a *app) openBody(ctx context.Context, name string) (input, error) {
	switch name {
	case "":
		return noInput, nil
	case "-":
		return input{interruptible(ctx, a.stdin), stdinName}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return noInput, err
	}
	return input{interruptible(ctx, f), name}, nil // it may be a pipe; it is closed with the process
}

// place gives the body to where a method takes it, as its last argument or as its stream, and
// returns what the method is fed.
func (a *app) place(ctx context.Context, info rpc.MethodInfo, value *rpc.Value, body input, stdinUsed bool) (fed input, err error) {
	feeds := info.Kind == "sink" || info.Kind == "duplex"
	switch form := info.Args.Form; {
	case body.name == "":
	case form == "bytes" || form == "pair" || !feeds && mayBeRaw(form):
		if value.Body, err = readArgument(body); err != nil {
			return noInput, err
		}
		stdinUsed = stdinUsed || body.name == stdinName
	case feeds:
		return body, nil
	default:
		return noInput, misuse("%s takes no raw bytes", info.Name).
			hinted("give its arguments as JSON, without --body; chum methods URL %s tells what it takes", info.Name)
	}
	switch {
	case !feeds:
		return noInput, nil
	case stdinUsed:
		return noInput, misuse("%s reads its stream from standard input, so its arguments cannot come from there, too", info.Name).
			hinted("give the arguments in the command, or what comes from standard input as a file with --body")
	}
	return input{interruptible(ctx, a.stdin), stdinName}, nil
}

// mayBeRaw tells whether a value of a form that rpc.methods names may have raw bytes. Of a
// method that the other side does not describe nobody knows.
func mayBeRaw(form string) bool {
	return form == "bytes" || form == "pair" || form == "any" || form == ""
}

// callArguments makes the argument list of what stands in the command.
func (a *app) callArguments(ctx context.Context, text string) (v rpc.Value, err error) {
	if text == "-" {
		all, err := a.readInput(ctx)
		if err != nil {
			return v, err
		}
		text = string(all)
	}
	if text = strings.TrimSpace(text); text != "" {
		v.JSON, err = argumentList(text)
	}
	return v, err
}

// maxArgument is how much may be read as an argument, in bytes: more than any server takes for a
// value.
const maxArgument = 64 << 20

func readArgument(in input) ([]byte, error) {
	all, err := io.ReadAll(io.LimitReader(in, maxArgument+1))
	if len(all) > maxArgument {
		return nil, misuse("%s has more than %s, which no server takes as an argument", in.name, amount(maxArgument)).
			hinted("send what is longer through a method that is fed a stream")
	}
	return all, err
}

// readInput reads all of standard input, which is to be an argument.
func (a *app) readInput(ctx context.Context) ([]byte, error) {
	in := interruptible(ctx, a.stdin)
	defer in.Close()
	return readArgument(input{in, stdinName})
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
func items(in input, form string) iter.Seq2[rpc.Value, error] {
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
				yield(rpc.Value{}, misuse("item %d of %s is no JSON: %w", n, in.name, err))
				return
			case !yield(rpc.Value{JSON: v.Clone()}, nil):
				return
			}
		}
	}
}
