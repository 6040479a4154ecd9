package chum_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chumsync/chum"
	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/rpc"
	"github.com/chumsync/chum/wire"
)

// side is one of two chums in a test.
type side struct {
	*object.Memory
	sync *chum.Sync
	peer *rpc.Peer
}

// sides makes two chums on an in-memory connection.
func sides(t *testing.T) (a, b *side) {
	t.Helper()
	ca, cb := wire.Pipe()
	open := func(conn wire.Conn) *side {
		s := &side{Memory: object.NewMemory()}
		s.sync = chum.NewSync(s)
		s.peer = rpc.NewPeer(conn, s.sync.Services(rpc.Public, rpc.Public), nil)
		t.Cleanup(func() {
			s.peer.Close()
			if st := s.peer.Stats(); st.Out.Open+st.In.Open+st.Streams != 0 {
				t.Errorf("left open: %+v", st)
			}
		})
		return s
	}
	return open(ca), open(cb)
}

// put imports a directory with these files under a name.
func (s *side) put(t *testing.T, name string, files map[string]string) object.Ref {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := object.Import(t.Context(), s, dir, &object.ImportOptions{NoTimes: true})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := s.Ref(t.Context(), name)
	if err != nil {
		ref = object.Ref{Name: name, Root: root, Changed: time.Now()}
	} else {
		ref = ref.Next(root, time.Now())
	}
	if err := s.SetRef(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	return ref
}

func (s *side) run(t *testing.T, plan chum.Plan) *chum.Report {
	t.Helper()
	report, err := s.sync.Run(t.Context(), s.peer, plan)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func tree(n int, text string) map[string]string {
	files := make(map[string]string)
	for i := range n {
		files[fmt.Sprintf("d%d/f%d", i%10, i)] = fmt.Sprint(text, i)
	}
	return files
}

func TestSyncBothWays(t *testing.T) {
	a, b := sides(t)
	a.put(t, "from-a", tree(300, "a"))
	b.put(t, "from-b", tree(200, "b"))
	report := a.run(t, chum.Plan{})
	if in, out := report.Total(chum.Pulled), report.Total(chum.Pushed); in.Objects < 200 || out.Objects < 300 {
		t.Errorf("pulled %+v, pushed %+v", in, out)
	}
	for _, name := range []string{"from-a", "from-b"} {
		ra, err := a.Ref(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		rb, err := b.Ref(t.Context(), name)
		if err != nil || ra.Version() != rb.Version() {
			t.Fatalf("%s: %v, %v, %v", name, ra, rb, err)
		}
		for _, s := range []*side{a, b} {
			for _, err := range object.Walk(t.Context(), s, ra.Root, nil) {
				if err != nil {
					t.Error(err)
				}
			}
		}
	}
	for _, s := range a.run(t, chum.Plan{}).Steps {
		if s.Action != chum.Same || s.Moved.Objects != 0 {
			t.Errorf("again: %+v", s)
		}
	}

	// One changed file moves itself and the directories above it, and nothing else.
	files := tree(300, "a")
	files["d3/f3"] = "changed"
	a.put(t, "from-a", files)
	step := b.run(t, chum.Plan{Names: []string{"from-a"}}).Steps[0]
	if step.Action != chum.Pulled || step.Moved.Objects != 3 {
		t.Errorf("after one change: %+v", step)
	}
}

func TestSyncConflict(t *testing.T) {
	a, b := sides(t)
	a.put(t, "x", tree(3, "common"))
	a.run(t, chum.Plan{})
	mine, theirs := a.put(t, "x", tree(3, "a")), b.put(t, "x", tree(3, "b"))
	report, err := a.sync.Run(t.Context(), a.peer, chum.Plan{})
	if !errors.Is(err, chum.ErrConflicts) || report.Steps[0].Action != chum.Conflict || report.Steps[0].Theirs != theirs.Root {
		t.Fatalf("%+v, %v", report, err)
	}
	if now, _ := a.Ref(t.Context(), "x"); now.Version() != mine.Version() {
		t.Error("a conflict changed this side")
	}
	if now, _ := b.Ref(t.Context(), "x"); now.Version() != theirs.Version() {
		t.Error("a conflict changed the other side")
	}
	step := a.run(t, chum.Plan{Direction: chum.Pull}).Steps[0]
	if step.Action != chum.Pulled || step.Old != mine.Root || step.Root != theirs.Root {
		t.Errorf("%+v", step)
	}
	if step := a.run(t, chum.Plan{}).Steps[0]; step.Action != chum.Pushed {
		t.Errorf("the resolved version does not go back: %+v", step)
	}
}

// A change that is made while a sync runs is not overwritten: the version that was compared is
// no longer there.
func TestSyncMeetsChange(t *testing.T) {
	a, b := sides(t)
	a.put(t, "x", tree(3, "one"))
	a.run(t, chum.Plan{})
	a.put(t, "x", tree(3, "two"))
	plan := chum.Plan{Progress: func(p chum.Progress) {
		if p.Action == chum.Pushed {
			b.put(t, "x", tree(3, "three"))
		}
	}}
	_, err := a.sync.Run(t.Context(), a.peer, plan)
	if !errors.Is(err, object.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
}

func TestSyncDirections(t *testing.T) {
	a, b := sides(t)
	a.put(t, "mine", tree(3, "a"))
	b.put(t, "theirs", tree(3, "b"))
	action := func(plan chum.Plan) map[string]chum.Action {
		m := make(map[string]chum.Action)
		for _, s := range a.run(t, plan).Steps {
			m[s.Name] = s.Action
		}
		return m
	}
	if got := action(chum.Plan{DryRun: true}); got["mine"] != chum.Pushed || got["theirs"] != chum.Pulled {
		t.Errorf("dry run: %v", got)
	}
	if _, err := a.Ref(t.Context(), "theirs"); err == nil {
		t.Error("a dry run set a ref")
	}
	if got := action(chum.Plan{Direction: chum.Pull}); got["mine"] != chum.Behind || got["theirs"] != chum.Pulled {
		t.Errorf("pull: %v", got)
	}
	if _, err := b.Ref(t.Context(), "mine"); err == nil {
		t.Error("a pull changed the other side")
	}
	if got := action(chum.Plan{Direction: chum.Push}); got["mine"] != chum.Pushed || got["theirs"] != chum.Same {
		t.Errorf("push: %v", got)
	}
	if _, err := a.sync.Run(t.Context(), a.peer, chum.Plan{Names: []string{"nobody"}}); !errors.Is(err, object.ErrNotFound) {
		t.Errorf("unknown name: %v", err)
	}
}

// Two sides that made the same content apart are the same, and the next change goes over.
func TestSyncSameContentMadeApart(t *testing.T) {
	a, b := sides(t)
	a.put(t, "x", tree(3, "same"))
	b.put(t, "x", tree(3, "same"))
	if s := a.run(t, chum.Plan{}).Steps[0]; s.Action != chum.Same {
		t.Errorf("%+v", s)
	}
	b.put(t, "x", tree(3, "next"))
	if s := a.run(t, chum.Plan{}).Steps[0]; s.Action != chum.Pulled {
		t.Errorf("%+v", s)
	}
}

func TestStatus(t *testing.T) {
	a, b := sides(t)
	b.put(t, "x", tree(1, "x"))
	s, err := chum.NewClient(a.peer).Status(t.Context())
	if err != nil || s.Refs != 1 || s.Version != chum.Version || s.Connection.In.Open != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

// A side that only gives still gives everything: what may not be pushed there stops nothing
// else, and is said in the end.
func TestSyncWithOneThatOnlyGives(t *testing.T) {
	ca, cb := wire.Pipe()
	server, client := &side{Memory: object.NewMemory()}, &side{Memory: object.NewMemory()}
	server.put(t, "theirs", tree(3, "b"))
	client.put(t, "mine", tree(3, "a"))
	server.peer = rpc.NewPeer(cb, chum.NewSync(server).Services(rpc.Public, chum.Closed), nil)
	client.peer = rpc.NewPeer(ca, nil, nil)
	defer server.peer.Close()
	defer client.peer.Close()
	report, err := chum.NewSync(client).Run(t.Context(), client.peer, chum.Plan{})
	if rpc.CodeOf(err) != rpc.PermissionDenied {
		t.Errorf("got %v, want permission denied", err)
	}
	got := map[string]chum.Action{}
	for _, s := range report.Steps {
		got[s.Name] = s.Action
	}
	if got["mine"] != chum.Refused || got["theirs"] != chum.Pulled {
		t.Errorf("got %v", got)
	}
}
