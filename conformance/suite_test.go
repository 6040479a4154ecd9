package conformance

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chumsync/chum/rpc"
)

// TestSuiteNotices has it play cases that must fail, each for its reason.
func TestSuiteNotices(t *testing.T) {
	s := suite(t, goServer(t, Services()))
	hi := Call{Method: "hi", Arg: data("x"), Want: Outcome{Result: data("hi x")}}
	other := hi
	other.Want.Result = data("hi y")
	back := other
	back.Back = true
	failed := hi
	failed.Want = Outcome{Code: "aborted", Executed: "yes"}
	unknown := Call{Method: "hello", Want: Outcome{Result: data("")}}
	ping, bad, call := "0c000101", "0c00", "12010b0000000268695b2278225d"
	for _, x := range []struct {
		c   Case
		why string
	}{
		{Case{Calls: []Call{hi}}, ""},
		{Case{Calls: []Call{hi}, Needs: "wings"}, "not offered"},
		{Case{Calls: []Call{hi, other}}, `hi came to {"result":"hi x"}, not {"result":"hi y"}`},
		{Case{Calls: []Call{back}}, `hi came to {"result":"hi x"}, not {"result":"hi y"}`},
		{Case{Calls: []Call{failed}}, `not {"code":"aborted","executed":"yes"}`},
		{Case{Calls: []Call{unknown}}, "a method that is not of the suite"},
		{Case{Calls: []Call{hi}, Fault: &Fault{Up: 1000}}, "the fault did not happen"},
		{Case{Steps: []Step{{Send: &ping}}, End: &End{}}, ""},
		{Case{Steps: []Step{{Send: &ping}}, End: &End{Cut: "invalid_argument"}}, "it should have cut the connection"},
		{Case{Steps: []Step{{Send: &bad}}, End: &End{}}, "it does not go on"},
		{Case{Steps: []Step{{Send: &bad}}, End: &End{Cut: "internal"}}, `it came to {"cut":"invalid_argument"}`},
		{Case{Steps: []Step{{Send: &call}}, End: &End{Errors: []Refusal{{1, "internal", "no"}}}}, `it came to {"results":1}`},
	} {
		x.c.Name = x.why
		s.File.Cases = []Case{x.c}
		verdicts, err := s.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v := verdicts[0]
		if !v.Offered {
			v.Why = "not offered"
		}
		if (v.Why == "") != (x.why == "") || !strings.Contains(v.Why, x.why) {
			t.Errorf("the verdict is %q, want %q", v.Why, x.why)
		}
	}
}

func TestNoSuite(t *testing.T) {
	mux := rpc.NewMux(rpc.Public)
	if _, err := suite(t, goServer(t, mux)).Run(t.Context()); !errors.Is(err, ErrNoSuite) {
		t.Errorf("without the methods: %v", err)
	}
	mux.Func("conformance", func() About { return About{Suite: 2} })
	if _, err := suite(t, goServer(t, mux)).Run(t.Context()); !errors.Is(err, ErrNoSuite) {
		t.Errorf("with those of another version: %v", err)
	}
}

func TestProxyRefuses(t *testing.T) {
	p, err := NewProxy("ws://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for query, want := range map[string]int{
		"fault={}":                            http.StatusForbidden,
		"fault={}&to=ws://127.0.0.1:2":        http.StatusForbidden,
		"fault=1&to=ws://127.0.0.1:1":         http.StatusBadRequest,
		"fault={}&case=c&to=ws://127.0.0.1:1": http.StatusBadGateway,
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.Address()+"/?"+values.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %s, want %d", query, answer.Status, want)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}
