package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/chumsync/chum/object"
)

func (a *app) demoCommand() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use:   "demo [DIR]",
		Short: "See it work: bring a directory from one store to another",
		Long: `Keep a directory in a store, serve it from one process, bring it over into a second store
from another process on a WebSocket, write it out again and compare every file byte by byte;
then do it again to show that next to nothing moves, and change one file and send it back.

DIR is Go's own source tree unless another one is given. Beside it goes a small directory with
what is rare: symlinks, odd modes, a name that is not UTF-8, an empty directory, a long file.
All of it happens in a temporary directory that is removed at the end; each step shows the
command that does it.`,
		Example: `  chum demo
  chum demo ~/Pictures --keep`,
		Args: arguments(0, 1, "at most a directory"),
		RunE: func(c *cobra.Command, args []string) error { return a.demo(c.Context(), args, keep) },
	}
	c.Flags().BoolVar(&keep, "keep", false, "keep the temporary directory, with both stores")
	return c
}

// demo is one demonstration. Its steps are commands of this program, run as processes of their
// own, so that nothing is shown that a user could not do.
type demo struct {
	*app
	self   string // this program
	dir    string // the temporary directory
	step   int
	result demoResult
}

// demoResult is what demo prints with --json.
type demoResult struct {
	Source    string      `json:"source"`
	Directory string      `json:"directory,omitempty"` // with --keep
	Put       []putResult `json:"put"`
	First     syncResult  `json:"first"` // everything comes over
	Got       []getResult `json:"got"`   // and is written out
	Compared  comparison  `json:"compared"`
	Second    syncResult  `json:"second"` // nothing is to be done
	Change    syncResult  `json:"change"` // a changed file goes back
	Served    servedTotal `json:"served"`
	Seconds   float64     `json:"seconds"`
}

func (a *app) demo(ctx context.Context, args []string, keep bool) (err error) {
	start := time.Now()
	source, err := demoSource(ctx, args)
	if err != nil {
		return err
	}
	d := &demo{app: a}
	if d.self, err = os.Executable(); err != nil {
		return err
	}
	if d.dir, err = os.MkdirTemp("", "chum-demo-"); err != nil {
		return err
	}
	defer func() {
		if keep {
			return
		}
		if removed := removeAll(d.dir); err == nil {
			err = removed
		}
	}()
	d.result.Source = source
	if err := d.show(ctx, source); err != nil {
		return err
	}
	d.result.Seconds = seconds(time.Since(start))
	if keep {
		d.result.Directory = d.dir
	}
	if a.json {
		return a.stdout.document(d.result)
	}
	d.farewell(keep, time.Since(start))
	return nil
}

// demoSource is the directory to show it with: the one given, else Go's own sources.
func demoSource(ctx context.Context, args []string) (string, error) {
	if len(args) == 1 {
		dir, err := filepath.Abs(args[0])
		if err != nil {
			return "", err
		}
		if info, err := os.Stat(dir); err != nil {
			return "", err
		} else if !info.IsDir() {
			return "", misuse("%s is not a directory", dir).hinted("give a directory")
		}
		if err := object.CheckName(filepath.Base(dir)); err != nil || filepath.Base(dir) == oddities {
			return "", misuse("%s has no name that it could be kept under", dir).hinted("give another directory")
		}
		return dir, nil
	}
	root := os.Getenv("GOROOT")
	if out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output(); err == nil {
		root = strings.TrimSpace(string(out))
	}
	source := filepath.Join(root, "src")
	if info, err := os.Stat(source); root == "" || err != nil || !info.IsDir() {
		return "", fail(exitNotFound, "Go's source tree, which the demonstration brings over by default, is not on this machine").
			hinted("show it with a directory of yours: chum demo DIR")
	}
	return source, nil
}

func (d *demo) show(ctx context.Context, source string) error {
	odd := filepath.Join(d.dir, oddities)
	if err := makeOddities(odd); err != nil {
		return err
	}
	d.say("Two stores, A and B, in %s; A keeps %s.", d.dir, source)
	sources := []string{source, odd}
	if err := d.keep(ctx, sources); err != nil {
		return err
	}
	url, stop, err := d.host(ctx)
	if err != nil {
		return err
	}
	err = d.exchange(ctx, url, sources)
	stopped := stop()
	if err == nil {
		err = stopped
	}
	return err
}

// keep keeps the directories in store A.
func (d *demo) keep(ctx context.Context, sources []string) error {
	d.begin("Keep the directories in store A, as objects named by their hash")
	start := time.Now()
	err := d.chum(ctx, "A", &lines[putResult]{&d.result.Put}, append([]string{"put"}, sources...)...)
	if err != nil {
		return err
	}
	var files, dirs, objects, size int64
	for _, p := range d.result.Put {
		files, dirs, objects, size = files+p.Files, dirs+p.Directories, objects+p.Objects, size+p.Root.Size
	}
	d.done(start, size, "%s in %s, %s: %s objects", counted(files, "file"), counted(dirs, "directory"), amount(size), count(objects))
	return nil
}

// exchange is what happens while the server runs.
func (d *demo) exchange(ctx context.Context, url string, sources []string) error {
	d.begin("Bring everything over into store B: another process, one WebSocket")
	start := time.Now()
	if err := d.chum(ctx, "B", &document[syncResult]{&d.result.First}, "sync", url); err != nil {
		return err
	}
	moved := d.result.First.Pulled
	d.done(start, moved.Bytes, "%s objects, %s; %s", count(moved.Objects), amount(moved.Bytes), onWire(d.result.First))

	d.begin("Write it out of store B, every byte checked against its hash")
	start = time.Now()
	var pairs [][2]string
	var size int64
	for i, source := range sources {
		dest := filepath.Join(d.dir, fmt.Sprintf("out%d", i))
		var got getResult
		if err := d.chum(ctx, "B", &document[getResult]{&got}, "get", filepath.Base(source), dest); err != nil {
			return err
		}
		d.result.Got = append(d.result.Got, got)
		pairs, size = append(pairs, [2]string{source, dest}), size+got.Bytes
	}
	d.done(start, size, "%s", amount(size))

	d.begin("Compare with the originals: contents, modes, times, symlinks")
	start = time.Now()
	for _, p := range pairs {
		if err := d.result.Compared.compare(ctx, p[0], p[1]); err != nil {
			return err
		}
	}
	c := d.result.Compared
	d.done(start, c.Bytes, "%s, %s, %s: all equal", counted(c.Files, "file"), counted(c.Directories, "directory"), counted(c.Symlinks, "symlink"))

	d.begin("Do it again")
	start = time.Now()
	if err := d.chum(ctx, "B", &document[syncResult]{&d.result.Second}, "sync", url); err != nil {
		return err
	}
	d.done(start, 0, "nothing to do; %s", onWire(d.result.Second))
	return d.change(ctx, url)
}

// change alters one long file a little and sends it the other way.
func (d *demo) change(ctx context.Context, url string) error {
	dir := filepath.Join(d.dir, "out1")
	if err := alterLongFile(dir); err != nil {
		return err
	}
	d.begin("Insert one line into the long file, keep that in B, send it back to A")
	start := time.Now()
	var kept []putResult
	if err := d.chum(ctx, "B", &lines[putResult]{&kept}, "put", dir, "--name", oddities); err != nil {
		return err
	}
	if err := d.chum(ctx, "B", &document[syncResult]{&d.result.Change}, "sync", url, oddities, "--push"); err != nil {
		return err
	}
	moved := d.result.Change.Pushed
	d.done(start, 0, "of %s only %s moved, %s; %s", amount(kept[0].Root.Size), counted(moved.Objects, "object"), amount(moved.Bytes), onWire(d.result.Change))
	return nil
}

func onWire(r syncResult) string {
	return amount(r.Connection.Sent.Bytes+r.Connection.Received.Bytes) + " on the wire"
}

// say, begin and done tell the story on standard output, unless that is for JSON.

func (d *demo) say(format string, args ...any) {
	if !d.json {
		d.stdout.printf("%s\n", d.stdout.paint(faint, fmt.Sprintf(format, args...)))
	}
}

func (d *demo) begin(what string) {
	d.step++
	if !d.json {
		d.stdout.printf("\n%s %s\n", d.stdout.paint(bold, fmt.Sprintf("%d.", d.step)), d.stdout.paint(bold, what))
	}
}

func (d *demo) done(start time.Time, n int64, format string, args ...any) {
	if d.json {
		return
	}
	took := time.Since(start)
	figures := duration(took)
	if n > 0 {
		figures += ", " + rate(n, took)
	}
	d.stdout.printf("   %s %s %s\n", d.stdout.paint(green, "ok"), fmt.Sprintf(format, args...), d.stdout.paint(faint, "("+figures+")"))
}

// command shows a command as a user would type it.
func (d *demo) command(store string, args []string) {
	words := []string{"chum"}
	for _, arg := range args {
		words = append(words, shown(strings.ReplaceAll(arg, d.dir, "$DEMO")))
	}
	d.say("   $ %s --store %s", strings.Join(words, " "), store)
}

func (d *demo) farewell(keep bool, took time.Duration) {
	first, served := d.result.First.Connection, d.result.Served
	d.stdout.printf("\n%s\n", d.stdout.paint(bold, "Both sides"))
	d.stdout.table([][]cell{
		{{text: "  client of step 3", shade: faint}, {text: fmt.Sprintf("%s received, %s sent, %s", amount(first.Received.Bytes), amount(first.Sent.Bytes), counted(first.Out.Started, "call"))}},
		{{text: "  server, all steps", shade: faint}, {text: fmt.Sprintf("%s sent, %s received, %s on %s, %d failed",
			amount(served.Sent), amount(served.Received), counted(served.Calls, "call"), counted(served.Connections, "connection"), served.Failed)}},
	})
	d.stdout.printf("\n%s %s\n", d.stdout.paint(green, "All of it is there and equal."), d.stdout.paint(faint, "("+duration(took)+" in all)"))
	if keep {
		d.stdout.printf("Everything is kept in %s\n", d.dir)
	}
	d.stdout.printf("\n%s\n", d.stdout.paint(bold, "Try next"))
	for _, try := range [][2]string{
		{"chum put DIR", "keep a directory of yours"},
		{"chum serve", "let others fetch it, here on this machine"},
		{"chum methods ws://127.0.0.1:7171", "what a program can call there"},
		{"chum sync ws://127.0.0.1:7171 --store OTHER", "bring it over"},
		{"chum --help", "everything else"},
	} {
		d.stdout.printf("  %-45s%s\n", try[0], d.stdout.paint(faint, try[1]))
	}
}

// removeAll removes a tree even where directories may not be written to.
func removeAll(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	_ = fs.WalkDir(root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			_ = root.Chmod(path, 0o700)
		}
		return nil // what cannot be removed shows when it is to be
	})
	return os.RemoveAll(dir)
}

// A decoder takes what a command prints with --json.
type decoder interface{ decode(out []byte) error }

type document[T any] struct{ into *T }

func (d *document[T]) decode(out []byte) error { return json.Unmarshal(out, d.into, jsonOptions) }

type lines[T any] struct{ into *[]T }

func (l *lines[T]) decode(out []byte) error {
	for line := range strings.Lines(string(out)) {
		var v T
		if err := json.Unmarshal([]byte(line), &v, jsonOptions); err != nil {
			return err
		}
		*l.into = append(*l.into, v)
	}
	return nil
}
