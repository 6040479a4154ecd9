package main

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/chumsync/chum/rpc/tsgen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write src/methods.ts anew")

// The methods of both sides, in one file.
func TestMethods(t *testing.T) {
	const file = "src/methods.ts"
	all := services()
	Ask.Handle(all, nil) // what a handler does is not asked
	Show.Handle(all, nil)
	got, err := tsgen.Generate(all.Methods(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is not what the methods make. Run: go generate ./... && go test ./examples/browser -update", file)
	}
}

func TestPage(t *testing.T) {
	for path, want := range map[string]string{"/": "text/html", "/page.js": "text/javascript", "/page.css": "text/css"} {
		w := httptest.NewRecorder()
		handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %d, %s; want 200, %s", path, w.Code, got, want)
		}
		if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'") {
			t.Errorf("%s has no strict policy: %v", path, w.Header())
		}
	}
}
