package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
)

// transferring returns a keeper whose verbs report two transfers and a line.
func transferring() *fakeKeeper {
	return &fakeKeeper{do: func(ctx context.Context, progress func(string)) error {
		report := host.Transfers(ctx)
		report(host.Transfer{Image: "web:1", Stage: host.Pulling, Done: 1, Total: 2, Milliseconds: 250})
		progress("web: start app")
		report(host.Transfer{Image: "web:1", Stage: host.Pulling, Done: 2, Total: 2, Ended: true})
		return nil
	}}
}

func TestTransfers(t *testing.T) {
	d := startDaemon(t, ServerConfig{Keeper: transferring()})
	for _, verb := range []struct {
		name string
		run  func(ctx context.Context, progress func(string)) error
	}{
		{"apply", func(ctx context.Context, progress func(string)) error { return d.Apply(ctx, twoFiles, progress) }},
		{"start", func(ctx context.Context, progress func(string)) error { return d.Start(ctx, "web", progress) }},
	} {
		var seen []string
		progress := func(line string) { seen = append(seen, line) }
		ctx := host.WithTransfers(t.Context(), func(t host.Transfer) { seen = append(seen, fmt.Sprintf("%+v", t)) })
		if err := verb.run(ctx, progress); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"{Image:web:1 Stage:pull Done:1 Total:2 Milliseconds:250 Ended:false}", "web: start app",
			"{Image:web:1 Stage:pull Done:2 Total:2 Milliseconds:0 Ended:true}",
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("%s (-want +got):\n%s", verb.name, diff)
		}
		seen = nil
		if err := verb.run(t.Context(), progress); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"web: start app"}, seen); diff != "" {
			t.Errorf("%s by a caller who wants no transfers (-want +got):\n%s", verb.name, diff)
		}
	}
}

// A client of an earlier version ignores the lines without a field that it knows.
func TestTransfersOnTheWire(t *testing.T) {
	d := startDaemon(t, ServerConfig{Keeper: transferring()})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/v1/groups/web/start", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := d.browser().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"transfer":{"image":"web:1","stage":"pull","done":1,"total":2,"ms":250}}
{"progress":"web: start app"}
{"transfer":{"image":"web:1","stage":"pull","done":2,"total":2,"ended":true}}
{"done":true}
`
	if diff := cmp.Diff(want, string(body)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A caller who reads slowly misses transfers, and keeps the work.
func TestTransfersOfACallerThatDoesNotRead(t *testing.T) {
	d := startDaemon(t, ServerConfig{Keeper: &fakeKeeper{do: func(ctx context.Context, _ func(string)) error {
		for i := range 100_000 {
			host.Transfers(ctx)(host.Transfer{Image: "web:1", Stage: host.Pulling, Done: int64(i)})
		}
		host.Transfers(ctx)(host.Transfer{Image: "web:1", Ended: true})
		return context.Cause(ctx)
	}}})
	var last host.Transfer
	ctx := host.WithTransfers(t.Context(), func(t host.Transfer) { last = t })
	if err := d.Start(ctx, "web", nil); err != nil || !last.Ended {
		t.Errorf("%v, the last transfer is %+v", err, last)
	}
}
