package api

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

func TestImages(t *testing.T) {
	want := host.Images{Path: "/images", CanFree: 3, All: []host.ImageUsage{
		{Names: []string{"web:1"}, Digest: "sha256:1", Own: 1, Groups: []string{"checkout"}},
		{Names: []string{"old:1"}, Digest: "sha256:2", Own: 3, Kept: host.KeptByHand, Unused: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
	}}
	d := startDaemon(t, ServerConfig{Images: func(context.Context) (host.Images, error) { return want, nil }})
	if got, err := d.Images(t.Context()); err != nil || !cmp.Equal(got, want) {
		t.Errorf("error %v (-want +got):\n%s", err, cmp.Diff(want, got))
	}
	d = startDaemon(t, ServerConfig{Images: func(context.Context) (host.Images, error) {
		return host.Images{}, &hint.Error{Err: errors.New("no answer"), Hint: "wait"}
	}})
	_, err := d.Images(t.Context())
	checkProblem(t, err, "no answer", "wait")
	if got, err := startDaemon(t, ServerConfig{}).Images(t.Context()); err != nil || len(got.All) > 0 {
		t.Errorf("without a source: %+v, %v", got, err)
	}
}

func TestPruneImages(t *testing.T) {
	removals := []host.ImageRemoval{{Names: []string{"old:1"}, Digest: "sha256:2", Frees: 3, Why: "no group uses it"}, {Digest: "sha256:3"}}
	var asked PruneRequest
	var after error
	d := startDaemon(t, ServerConfig{PruneImages: func(_ context.Context, req PruneRequest, each func(host.ImageRemoval)) error {
		asked = req
		for _, r := range removals {
			each(r)
		}
		return after
	}})
	for _, req := range []PruneRequest{{}, {DryRun: true}, {ByHand: true}, {DryRun: true, ByHand: true}} {
		var got []host.ImageRemoval
		err := d.PruneImages(t.Context(), req, func(r host.ImageRemoval) { got = append(got, r) })
		if diff := cmp.Diff(removals, got); diff != "" || err != nil || asked != req {
			t.Errorf("asked %+v, got there %+v, error %v (-want +got):\n%s", req, asked, err, diff)
		}
	}
	after = &hint.Error{Err: errors.New("a group file can't be used"), Hint: "mend it"}
	checkProblem(t, d.PruneImages(t.Context(), PruneRequest{}, func(host.ImageRemoval) {}), "a group file can't be used", "mend it")
	if err := startDaemon(t, ServerConfig{}).PruneImages(t.Context(), PruneRequest{}, func(host.ImageRemoval) {}); err != nil {
		t.Errorf("without a source: %v", err)
	}
}
