package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/layout"
)

func TestLogSource(t *testing.T) {
	l := layout.Layout{LogDir: t.TempDir()}
	for name, text := range map[string]string{"proxy": "ready\n", "web": "one\ntwo\n", "old": "from before\n"} {
		path := l.LogPath("checkout", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	source := logSource(l, (&fakeDaemon{}).Status, noRuns)
	for _, c := range []struct {
		name string
		req  api.LogRequest
		want string
		err  string
	}{
		{"every container of the group", api.LogRequest{Group: "checkout"}, "proxy ready, web one, web two", ""},
		{"one of them", api.LogRequest{Group: "checkout", Containers: []string{"web"}, Tail: 1}, "web two", ""},
		{"one that the group no longer has", api.LogRequest{Group: "checkout", Containers: []string{"old"}}, "old from before", ""},
		{"no such container", api.LogRequest{Group: "checkout", Containers: []string{"wab"}}, "", `group "checkout" has no container "wab"`},
		{"no such group", api.LogRequest{Group: "chekout"}, "", group.ErrNoGroup.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			err := source(t.Context(), c.req, func(line api.LogLine) error {
				got = append(got, line.Container+" "+line.Text)
				return nil
			})
			if diff := cmp.Diff(c.want, strings.Join(got, ", ")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
	stop := errors.New("enough")
	err := source(t.Context(), api.LogRequest{Group: "checkout"}, func(api.LogLine) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("the reader's own error: %v", err)
	}
}

// noRuns knows no run.
func noRuns(string) bool { return false }

// What a run has printed is there under its ID when it is over, if it has printed anything.
func TestLogSourceOfARun(t *testing.T) {
	l := layout.Layout{LogDir: t.TempDir()}
	dir := filepath.Join(l.LogDir, layout.RemovedOutput, "report-abcdefgh@1790000000")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "work.log"), []byte("printed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	source := logSource(l, (&fakeDaemon{}).Status, func(id string) bool { return strings.HasPrefix(id, "report-") })
	for id, want := range map[string]string{"report-abcdefgh": "printed", "report-silent": ""} {
		got := ""
		err := source(t.Context(), api.LogRequest{Group: id, Follow: true}, func(line api.LogLine) error { got += line.Text; return nil })
		if got != want || err != nil {
			t.Errorf("%s: %q, error %v", id, got, err)
		}
	}
}
