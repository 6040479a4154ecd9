package chum

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/chumsync/chum/object"
	"github.com/chumsync/chum/rpc"
)

// Version is the version of this program.
const Version = "0.1.0-dev"

// A Sync brings a repository and those of other sides up to date with each other. It puts a
// [Server]'s functions on a connection under their names and is a [Client] on it, so both ends
// serve and both call. All methods may be called at the same time.
type Sync struct {
	repo   Repository
	server *Server
}

// NewSync makes a Sync of a repository.
func NewSync(repo Repository) *Sync {
	return &Sync{repo: repo, server: NewServer(repo)}
}

// Services returns what the other side may call: reading for those whom the rule read lets
// through, bringing objects and names for those whom write does. Each call makes a new Mux, to
// which a program may add methods of its own; they are under the rule read.
func (s *Sync) Services(read, write rpc.Rule) *rpc.Mux {
	mux := rpc.NewMux(read)
	mux.Describe(docs)
	s.server.register(mux, read, write)
	GetStatus.Handle(mux, func(ctx context.Context, _ struct{}) (Status, error) {
		status := Status{Version: Version, Connection: rpc.PeerFrom(ctx).Stats()}
		for _, err := range s.repo.Refs(ctx) {
			if err != nil {
				return status, err
			}
			status.Refs++
		}
		return status, nil
	}, rpc.Allow(read, "read"), rpc.Pure)
	return mux
}

// Closed is a rule that lets nobody through, such as for writing to a server that only gives.
func Closed(_ context.Context, method string, _ *rpc.Peer) error {
	return rpc.Errorf(rpc.PermissionDenied, "%s is not open here", method)
}

// A Direction says which side may be changed.
type Direction int

// The directions.
const (
	Both Direction = iota // either side gets what the other changed
	Pull                  // only this side is changed
	Push                  // only the other side is changed
)

// A Plan says what Run is to do. The zero value brings every name up to date on both sides.
type Plan struct {
	Names     []string // only these; empty means all
	Direction Direction
	DryRun    bool // find out what would be done, and do nothing
	// Progress, if not nil, is called when more has been brought over, on the goroutine of Run.
	Progress func(Progress)
}

// Progress is how far the bringing over of a name is.
type Progress struct {
	Name    string
	Action  Action
	Moved   Received
	Content int64 // bytes of file content beneath the root, whether they move or not
}

// An Action is what is done about a name.
type Action string

// The actions.
const (
	Same     Action = "same"     // both sides are equal
	Pulled   Action = "pull"     // this side was, or would be, changed
	Pushed   Action = "push"     // the other side was, or would be, changed
	Behind   Action = "behind"   // one side is older, and the plan's direction leaves it so
	Conflict Action = "conflict" // both sides changed it since they were equal
	Refused  Action = "refused"  // the other side is older and does not let itself be changed
)

// A Step is what was done about one name.
type Step struct {
	Name   string      `json:"name"`
	Action Action      `json:"action"`
	Root   object.Link `json:"root"`            // what the name points at now; of a conflict, this side's
	Old    object.Link `json:"old,omitzero"`    // what it pointed at on the side that was changed, if it was there
	Theirs object.Link `json:"theirs,omitzero"` // of a conflict: the other side's root
	Moved  Received    `json:"moved"`
}

// A Report says what Run did.
type Report struct {
	Steps []Step `json:"steps"`
}

// Total adds up what was moved in one direction.
func (r *Report) Total(action Action) (sum Received) {
	for _, s := range r.Steps {
		if s.Action == action {
			sum.Objects += s.Moved.Objects
			sum.Bytes += s.Moved.Bytes
		}
	}
	return sum
}

// ErrConflicts is returned by Run when all was done but what both sides had changed. The
// report names it. With the direction Pull or Push, one side's version is taken instead; the
// other stays in its store, and the report's Old says where.
var ErrConflicts = errors.New("chum: some names were changed on both sides")

// unknownNameError says that neither side knows a name.
type unknownNameError struct{ name string }

func (e unknownNameError) Error() string { return fmt.Sprintf("chum: neither side has %q", e.name) }
func (e unknownNameError) Unwrap() error { return object.ErrNotFound }

// Run brings the names of the plan over, one after the other. A name is set only when all that
// is beneath it is durable on that side, so that breaking off at any moment leaves each side
// as it was or as it should be. The report is there even with an error: what was done before
// it. A side that refuses to be changed ends a Run with the direction Push; with Both, the
// names it has are still brought over, and its refusal is the error in the end.
func (s *Sync) Run(ctx context.Context, peer *rpc.Peer, plan Plan) (*Report, error) {
	r := &run{Sync: s, plan: plan, client: NewClient(peer), report: &Report{}}
	return r.report, r.do(ctx)
}

// run is one Run.
type run struct {
	*Sync
	plan   Plan
	client *Client
	report *Report

	mine, theirs map[string]object.Ref
}

func (r *run) do(ctx context.Context) error {
	var err error
	if r.theirs, err = list(r.client.Refs(ctx)); err != nil {
		return err
	}
	if r.mine, err = list(r.repo.Refs(ctx)); err != nil {
		return err
	}
	names, err := r.names()
	if err != nil {
		return err
	}
	conflicts, refused := false, error(nil)
	for _, name := range names {
		step, err := r.one(ctx, name)
		if r.plan.Direction == Both && step.Action == Pushed && rpc.CodeOf(err) == rpc.PermissionDenied {
			step.Action, refused, err = Refused, err, nil // a side that only gives still gives the rest
		}
		if err != nil {
			return err
		}
		conflicts = conflicts || step.Action == Conflict
		r.report.Steps = append(r.report.Steps, step)
	}
	if conflicts {
		return errors.Join(ErrConflicts, refused)
	}
	return refused
}

func list(refs iter.Seq2[object.Ref, error]) (map[string]object.Ref, error) {
	m := make(map[string]object.Ref)
	for ref, err := range refs {
		if err != nil {
			return nil, err
		}
		m[ref.Name] = ref
	}
	return m, nil
}

// names lists the names that the plan is about.
func (r *run) names() ([]string, error) {
	all := maps.Clone(r.mine)
	maps.Copy(all, r.theirs)
	if len(r.plan.Names) == 0 {
		return slices.Sorted(maps.Keys(all)), nil
	}
	for _, name := range r.plan.Names {
		if _, ok := all[name]; !ok {
			return nil, unknownNameError{name}
		}
	}
	return r.plan.Names, nil
}

// one brings one name up to date.
func (r *run) one(ctx context.Context, name string) (Step, error) {
	mine, here := r.mine[name]
	theirs, there := r.theirs[name]
	step := Step{Name: name, Root: mine.Root}
	dir := r.plan.Direction
	var target object.Ref // what the changed side gets
	switch {
	case here && there && mine.Version() == theirs.Version():
		step.Action = Same
		return step, nil
	case !here || there && theirs.Follows(mine):
		step.Action, target = Pulled, theirs
	case !there || mine.Follows(theirs):
		step.Action, target = Pushed, mine
	case mine.Root == theirs.Root:
		return r.agree(ctx, step, mine, theirs)
	case dir == Pull:
		step.Action, target = Pulled, object.Merge(mine, theirs, theirs.Root, time.Now())
	case dir == Push:
		step.Action, target = Pushed, object.Merge(mine, theirs, mine.Root, time.Now())
	default:
		step.Action, step.Theirs = Conflict, theirs.Root
		return step, nil
	}
	if dir == Pull && step.Action == Pushed || dir == Push && step.Action == Pulled {
		step.Action = Behind
		step.Root = cmp.Or(mine.Root, theirs.Root)
		return step, nil
	}
	step.Root = target.Root
	step.Old = theirs.Root
	if step.Action == Pulled {
		step.Old = mine.Root
	}
	if r.plan.DryRun {
		return step, nil
	}
	var err error
	if step.Action == Pulled {
		step.Moved, err = r.pull(ctx, target)
	} else {
		step.Moved, err = r.push(ctx, target)
	}
	if err != nil {
		return step, fmt.Errorf("chum: %s %q: %w", step.Action, name, err)
	}
	if step.Action == Pulled {
		r.mine[name] = target // what the next names share with it need not come again
	} else {
		r.theirs[name] = target
	}
	return step, nil
}

// agree gives both sides one version of a name that they made apart with the same content, so
// that the next change on either side is one that the other can follow.
func (r *run) agree(ctx context.Context, step Step, mine, theirs object.Ref) (Step, error) {
	step.Action = Same
	if r.plan.DryRun {
		return step, nil
	}
	merged := object.Merge(mine, theirs, mine.Root, time.Now())
	if r.plan.Direction != Pull {
		err := r.client.SetRef(ctx, merged)
		if err != nil && (r.plan.Direction == Push || rpc.CodeOf(err) != rpc.PermissionDenied) {
			return step, err
		}
	}
	if r.plan.Direction != Push {
		if err := r.repo.SetRef(ctx, merged); err != nil {
			return step, err
		}
	}
	return step, nil
}

// pull brings a ref and what is beneath it to this side.
func (r *run) pull(ctx context.Context, ref object.Ref) (Received, error) {
	in := receiver{repo: r.repo, progress: r.progress(ref, Pulled)}
	err := in.take(ctx, []object.Link{ref.Root}, r.client.Closure(ctx, ClosureRequest{
		Roots: []object.Link{ref.Root},
		Have:  roots(r.mine, ref.Name),
	}))
	if err == nil {
		err = r.repo.SetRef(ctx, ref)
	}
	return in.got, err
}

// push brings a ref and what is beneath it to the other side.
func (r *run) push(ctx context.Context, ref object.Ref) (Received, error) {
	tell := r.progress(ref, Pushed)
	out := closure(ctx, r.repo, ClosureRequest{
		Roots: []object.Link{ref.Root},
		Have:  roots(r.theirs, ref.Name),
	})
	var sent Received
	return r.client.PutClosure(ctx, ref, func(yield func(Batch, error) bool) {
		for b, err := range out {
			if !yield(b, err) {
				return
			}
			sent.Objects += int64(len(b.Sizes))
			sent.Bytes += int64(len(b.Data))
			if tell != nil {
				tell(sent)
			}
		}
	})
}

// progress makes what tells the plan's Progress about a ref, or nil.
func (r *run) progress(ref object.Ref, action Action) func(Received) {
	if r.plan.Progress == nil {
		return nil
	}
	return func(moved Received) {
		r.plan.Progress(Progress{Name: ref.Name, Action: action, Moved: moved, Content: ref.Root.Size})
	}
}

// roots lists the roots that a side has completely, that of the name first: it is the one
// most like what comes.
func roots(refs map[string]object.Ref, name string) []object.Link {
	var list []object.Link
	if ref, ok := refs[name]; ok {
		list = append(list, ref.Root)
	}
	for _, other := range slices.Sorted(maps.Keys(refs)) {
		if other != name && len(list) < maxRoots {
			list = append(list, refs[other].Root)
		}
	}
	return list
}
