package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestOnlyHosts(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	h := onlyHosts(slog.New(slog.DiscardHandler), ok, []string{"Files.example.org", "192.0.2.1", ""})
	for host, want := range map[string]int{
		"127.0.0.1:7171":         http.StatusNoContent,
		"localhost":              http.StatusNoContent,
		"LOCALHOST:7171":         http.StatusNoContent,
		"app.localhost.:80":      http.StatusNoContent,
		"[::1]:7171":             http.StatusNoContent,
		"[::1]":                  http.StatusNoContent,
		"192.0.2.7:7171":         http.StatusNoContent, // an address cannot be turned to another
		"files.EXAMPLE.org:1":    http.StatusNoContent,
		"files.example.org.":     http.StatusNoContent,
		"evil.example":           http.StatusMisdirectedRequest,
		"evil.example:7171":      http.StatusMisdirectedRequest,
		"localhost.evil.example": http.StatusMisdirectedRequest,
		"notlocalhost":           http.StatusMisdirectedRequest,
		"127.0.0.1.evil.example": http.StatusMisdirectedRequest,
		"files.example.org.evil": http.StatusMisdirectedRequest,
		"":                       http.StatusMisdirectedRequest,
		":7171":                  http.StatusMisdirectedRequest,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q: status %d, want %d", host, w.Code, want)
		}
	}
}
