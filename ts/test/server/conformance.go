package main

import (
	"fmt"
	"net/http"
	"os"

	"github.com/go-json-experiment/json"

	"github.com/chumsync/chum/conformance"
	"github.com/chumsync/chum/spec/vectors"
)

// suite serves what the conformance suite needs: the cases, our server, a proxy before servers ("POST" their URLs, the answer is
// its address), and a place for the verdicts, which are counted into the directory that CHUM_CONFORMANCE names.
func suite() (*conformance.Proxy, error) {
	proxy, err := conformance.NewProxy()
	if err != nil {
		return nil, err
	}
	http.Handle("/conformance", serving(conformance.Services("resume")))
	http.HandleFunc("GET /conformance/cases", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Write(vectors.Conformance) //nolint:errcheck // or whoever asked has gone
	})
	http.HandleFunc("POST /conformance/proxy", func(w http.ResponseWriter, r *http.Request) {
		var servers []string
		if err := json.UnmarshalRead(r.Body, &servers); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		proxy.Allow(servers...)
		fmt.Fprint(w, proxy.Address()) //nolint:errcheck // or whoever asked has gone
	})
	http.HandleFunc("POST /conformance/verdicts", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		var verdicts []conformance.Verdict
		err := json.UnmarshalRead(r.Body, &verdicts)
		if dir := os.Getenv("CHUM_CONFORMANCE"); err == nil && dir != "" {
			err = conformance.Summarize(r.FormValue("pair"), vectors.Conformance, verdicts).Write(dir)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	return proxy, nil
}
