package local

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chumsync/chum/object"
)

// The tests run this binary a second time as another process: with a role
// and its arguments in the environment.
const childEnv = "CHUM_LOCAL_TEST_CHILD"

// runAsChild plays the role that the environment asks for, if it does.
func runAsChild() bool {
	role, args, _ := strings.Cut(os.Getenv(childEnv), " ")
	switch role {
	case "":
		return false
	case "hold":
		childHolds(args)
	case "put":
		childPuts(args)
	}
	return true
}

// child starts this binary in a role.
func child(t *testing.T, role string, args ...any) (*exec.Cmd, io.WriteCloser, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-as-child")
	cmd.Env = append(os.Environ(), childEnv+"="+role+" "+strings.TrimSuffix(fmt.Sprintln(args...), "\n"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, in, bufio.NewScanner(out)
}

// childHolds opens the store and keeps it until its input ends.
func childHolds(dir string) {
	s, err := Open(dir, quiet)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	defer s.Close()
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// childPuts puts objects and refs for ever, from several goroutines, and
// writes a line for each that was acknowledged.
func childPuts(args string) {
	var round int
	var dir string
	if _, err := fmt.Sscan(args, &round, &dir); err != nil {
		fmt.Println("error", err)
		return
	}
	packLimit = 64 << 10
	s, err := Open(dir, quiet)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	var mu sync.Mutex
	acknowledge := func(line string) {
		mu.Lock()
		defer mu.Unlock()
		// One write each: a kill cannot cut a line that the parent believes.
		_, _ = os.Stdout.WriteString(line)
	}
	for w := range 3 {
		go func() {
			for i := 0; ; i++ {
				var objects [][]byte
				for j := range 1 + i%4 {
					objects = append(objects, childObject(round, w, i, j))
				}
				hashes, err := s.Put(background, objects...)
				if err != nil {
					acknowledge("error " + err.Error() + "\n")
					return
				}
				var line strings.Builder
				for _, h := range hashes {
					fmt.Fprintln(&line, "object", h)
				}
				acknowledge(line.String())
				if i%5 == 0 {
					name := fmt.Sprint("r", w)
					old, err := s.Ref(background, name)
					next := old.Next(object.Link{Kind: object.KindBlob, Hash: hashes[0], Size: 1}, old.Changed)
					if err != nil {
						next = ref(name)
					}
					if err := s.SetRef(background, next); err != nil {
						acknowledge("error " + err.Error() + "\n")
						return
					}
					acknowledge(fmt.Sprintln("ref", name, next.Version()))
				}
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func childObject(round, w, i, j int) []byte {
	return numbered(round<<40|w<<32|i<<8|j, (i*97+j*1013)%9000)
}

// TestKilled kills a process that puts, again and again on the same store,
// and looks for what it had acknowledged. CHUM_KILLS asks for more rounds
// than the usual.
func TestKilled(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	if n, err := strconv.Atoi(os.Getenv("CHUM_KILLS")); err == nil {
		rounds = n
	}
	dir := storeDir(t)
	refs := make(map[string]string) // the last acknowledged version of each name
	var objects []object.Hash
	for round := range rounds {
		cmd, in, out := child(t, "put", round, dir)
		lines := 1 + rand.IntN(300)
		for ; lines > 0 && out.Scan(); lines-- {
			read(t, out.Text(), &objects, refs)
		}
		if err := cmd.Process.Kill(); err != nil { // SIGKILL
			t.Fatal(err)
		}
		for out.Scan() { // what it said before the kill came
			read(t, out.Text(), &objects, refs)
		}
		in.Close()
		_ = cmd.Wait()

		if round%7 == 6 {
			if err := os.RemoveAll(dir + "/index"); err != nil {
				t.Fatal(err)
			}
		}
		s := openIn(t, dir)
		for _, h := range objects {
			if _, err := s.Get(background, h); err != nil {
				t.Fatalf("round %d: acknowledged and lost: %v", round, err)
			}
		}
		for name, version := range refs {
			r, err := s.Ref(background, name)
			if err != nil {
				t.Fatalf("round %d: acknowledged and lost: %v", round, err)
			}
			// One more may have been set and not acknowledged any more.
			if r.Version().String() != version && (len(r.Past) == 0 || r.Past[len(r.Past)-1].String() != version) {
				t.Fatalf("round %d: ref %s went back to %s from %s", round, name, r.Version(), version)
			}
			refs[name] = r.Version().String()
		}
		checkWhole(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(objects) == 0 {
		t.Fatal("nothing was acknowledged: the test has tested nothing")
	}
	t.Logf("%d kills, %d objects acknowledged", rounds, len(objects))
}

func read(t *testing.T, line string, objects *[]object.Hash, refs map[string]string) {
	t.Helper()
	var what, a, b string
	_, _ = fmt.Sscan(line, &what, &a, &b)
	switch what {
	case "object":
		h, err := object.ParseHash(a)
		if err != nil {
			t.Fatal(err)
		}
		*objects = append(*objects, h)
	case "ref":
		refs[a] = b
	default:
		t.Fatalf("the child says %q", line)
	}
}

// checkWhole checks that the index and the packs agree: every object in the
// index can be read, and the counts are theirs.
func checkWhole(t *testing.T, s *Store) {
	t.Helper()
	it, err := s.index.db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got Stats
	for ok := it.SeekGE([]byte{keyObject}); ok && it.Key()[0] == keyObject; ok = it.Next() {
		data, err := s.Get(background, object.Hash(it.Key()[1:]))
		if err != nil {
			t.Errorf("in the index and not to be read: %v", err)
		}
		got.Objects++
		got.Bytes += int64(len(data))
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Refs(background) {
		if err != nil {
			t.Fatal(err)
		}
		got.Refs++
	}
	want := s.Stats()
	if got.Objects != want.Objects || got.Bytes != want.Bytes || got.Refs != want.Refs {
		t.Errorf("the store counts %+v and holds %+v", want, got)
	}
}
