package api

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The package's documentation lists exactly the routes of the server.
func TestDocListsTheRoutes(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range regexp.MustCompile(`(?m)^//\t([A-Z]+) +(/\S*)`).FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, m[1]+" "+m[2])
	}
	s := &Server{ServerConfig: ServerConfig{Keeper: &fakeKeeper{}}}
	var served []string
	for _, r := range s.routes() {
		served = append(served, r.pattern)
	}
	if diff := cmp.Diff(served, listed); diff != "" {
		t.Errorf("routes of the server and in doc.go (-server +doc.go):\n%s", diff)
	}
}
