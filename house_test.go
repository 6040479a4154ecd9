package chum_test

import (
	"os"
	"strings"
	"testing"
)

// The rules of the house. They are held by reading the sources, so a change of design is a
// change here, with its reason, in the commit that needs it. See doc/decisions.md 8.

const module = "github.com/chumsync/chum"

// A rule says what a package of ours may import. Rules of packages that do not exist yet
// keep their place; a package without a rule is an error.
type rule struct {
	pkg   string   // its directory, "." for the root; "x/..." is x and all below it
	may   []string // what of ours it may import outside of tests; "..." is all
	never []string // what of ours it must not reach, not even through others
	noStd []string // what of the standard library it must not import, with all below it
	why   string
}

var rules = []rule{
	{pkg: "wire", noStd: []string{"net", "os"}, why: "the format of messages and nothing else: no network, nothing of ours"},
	{pkg: "identity", why: "keys stand at the bottom: everything may name a person, a key knows nothing"},
	{pkg: "object", noStd: []string{"net"}, why: "objects are bytes and hashes, whoever carries them"},
	{pkg: "reconcile", noStd: []string{"net", "os"}, why: "a pure algorithm, no I/O, so that vectors can pin it"},

	{pkg: "object/storetest", may: []string{"object"}, why: "one suite for every store"},
	{pkg: "object/local", may: []string{"object", "reconcile"}, noStd: []string{"net"}, why: "a store keeps; it does not know who asks"},
	{pkg: "object/s3", may: []string{"object", "reconcile"}, why: "a store keeps; it does not know who asks"},

	{pkg: "rpc", may: []string{"wire"}, noStd: []string{"net/http"}, why: "calls run on any Conn: not on a WebSocket, not only for chum"},
	{pkg: "rpc/docgen", noStd: []string{"net"}, why: "reads sources, not programs: it links nothing of ours, so that it runs where they do not build yet"},
	{pkg: "rpc/tsgen", may: []string{"rpc"}, why: "reads the registered methods, and that is all it needs"},
	{pkg: "ws", may: []string{"wire"}, why: "a WebSocket as a Conn: it knows no call"},
	{pkg: "session", may: []string{"wire"}, noStd: []string{"net/http"}, why: "a Conn out of Conns: it knows no call and no WebSocket"},
	{pkg: "secure", may: []string{"identity", "wire"}, noStd: []string{"net/http"}, why: "a Conn out of a Conn: it knows no call and no WebSocket"},
	{pkg: "jsonrpc", may: []string{"rpc", "wire"}, noStd: []string{"net/http"}, why: "another form of the same calls, on any Conn"},
	{pkg: "wsrpc", may: []string{"jsonrpc", "session", "ws", "rpc", "wire"}, never: []string{"object", "."}, why: "puts the layers together for any services, not for chum's"},

	{
		pkg: ".", may: []string{"rpc", "object", "reconcile", "identity", "wire"}, never: []string{"ws", "secure", "relay"},
		noStd: []string{"net/http"}, why: "chum takes any Conn, so that it runs on a WebSocket, a relay or a pipe alike",
	},
	{
		pkg: "relay", may: []string{"wsrpc", "secure", "session", "ws", "rpc", "identity", "wire"}, never: []string{"object", "."},
		why: "a relay joins two ends and can read nothing: it must not even link what it would need to",
	},

	{pkg: "spec/vectors", why: "data, for programs that need them"},
	{pkg: "conformance", may: []string{"wsrpc", "ws", "rpc", "wire"}, never: []string{"object", "."}, why: "judges the protocol from outside, through what a program would use"},

	{pkg: "cmd/...", may: []string{"..."}, why: "commands put everything together"},
	{pkg: "examples/...", may: []string{"..."}, why: "examples show everything together"},
	{pkg: "ts/test/server", may: []string{"conformance", "spec/vectors", "wsrpc", "ws", "rpc"}, why: "the tests of the TypeScript package call a real server"},
}

// A library says where a module that is not ours may be imported; one may be listed twice. A
// module that is not listed is an error.
type library struct {
	module string
	in     []string // as rule.pkg, and "..." for everywhere
	tests  bool     // in test files only
	why    string
}

var libraries = []library{
	{module: "github.com/cockroachdb/pebble/v2", in: []string{"object/local"}, why: "the engine of one store, not of the others (decision 6)"},
	{module: "github.com/gofrs/flock", in: []string{"object/local"}, why: "one process owns a store directory; nothing else is locked"},
	{module: "github.com/klauspost/compress", in: []string{"object/local"}, why: "compression is a matter of a store's files"},
	{module: "github.com/PlakarKorp/go-cdc-chunkers", in: []string{"object"}, why: "where chunks end decides hashes: one place decides it"},
	{module: "github.com/go-json-experiment/json", in: []string{"..."}, why: "the one JSON of the house (decision 5)"},
	{module: "golang.org/x/sys", in: []string{"object/...", "ws", "cmd/..."}, why: "system calls belong to files, sockets and terminals"},
	{module: "golang.org/x/sync", in: []string{"..."}, why: "errgroup and semaphore"},

	{module: "github.com/adrg/xdg", in: []string{"cmd/..."}, why: "a library is told its directory"},
	{module: "github.com/spf13/cobra", in: []string{"cmd/..."}, why: "only commands have flags"},
	{module: "github.com/spf13/pflag", in: []string{"cmd/..."}, why: "only commands have flags"},
	{module: "github.com/dustin/go-humanize", in: []string{"cmd/..."}, why: "only commands print"},
	{module: "github.com/lmittmann/tint", in: []string{"cmd/..."}, why: "only commands print"},
	{module: "github.com/vbauerster/mpb/v8", in: []string{"cmd/..."}, why: "only commands print"},
	{module: "golang.org/x/text", in: []string{"cmd/..."}, why: "words the errors of the schema library"},
	{module: "golang.org/x/term", in: []string{"cmd/..."}, why: "only commands have a terminal"},

	{module: "go.uber.org/goleak", in: []string{"..."}, tests: true, why: "it looks for leaks in tests"},
	{module: "github.com/creachadair/jrpc2", in: []string{"jsonrpc"}, tests: true, why: "a JSON-RPC client that others wrote"},
	{module: "github.com/sourcegraph/jsonrpc2", in: []string{"jsonrpc"}, tests: true, why: "another"},
	{module: "pgregory.net/rapid", in: []string{"..."}, tests: true, why: "it makes input for tests"},
	{module: "github.com/coder/websocket", in: []string{"ws"}, tests: true, why: "what our framing must understand, and is measured by"},
	{module: "github.com/santhosh-tekuri/jsonschema/v6", in: []string{"cmd/..."}, why: "the command checks arguments against a method's schema before it calls"},
	{module: "github.com/santhosh-tekuri/jsonschema/v6", in: []string{"rpc"}, tests: true, why: "somebody else's reading of the schemas that rpc makes"},
	{module: "github.com/gorilla/websocket", in: []string{"ws", "jsonrpc"}, tests: true, why: "what our framing must understand, and JSON-RPC clients stand on"},
	{module: "github.com/google/go-cmp", in: []string{"..."}, tests: true, why: "it panics where values do not compare: for tests"},
	{module: "github.com/rogpeppe/go-internal", in: []string{"cmd/..."}, tests: true, why: "testscript runs commands"},
}

const maxLines = 500 // of a file that is not a test

// longFiles may have more, for the reason given.
var longFiles = map[string]string{}

// vagueNames say nothing of what is inside.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "manager", "pkg", "lib", "shared", "stuff"}

func TestRules(t *testing.T) {
	report(t, checkRules(rules, libraries))
}

func TestSources(t *testing.T) {
	h, err := readHouse(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	if len(h.sources) == 0 {
		t.Fatal("no Go file found: the test does not run in the root of the repository")
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { report(t, c.find(h)) })
	}
}

func TestLicences(t *testing.T) {
	texts, err := readLicences()
	if err != nil {
		t.Fatal(err)
	}
	if len(texts) == 0 {
		t.Fatal("go list names no module but ours, and these tests alone use one")
	}
	report(t, checkLicences(texts))
}

func report(t *testing.T, findings []string) {
	t.Helper()
	if len(findings) > 0 {
		t.Errorf("%d findings:\n%s", len(findings), strings.Join(findings, "\n"))
	}
}
