package api

import (
	"testing"

	"github.com/sallyport/sallyport/shim/group"
)

// A run with a lock file has a route that a daemon without lock files lacks.
func TestRouteOfLockedRun(t *testing.T) {
	for want, b := range map[string]group.Bundle{
		"/v1/runs":        {},
		"/v1/locked/runs": {Locked: group.ImageDigests{"registry.example/web:1": "sha256:1"}},
	} {
		a := &runAttachment{}
		a.req.Bundle = b
		if got := a.path(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
