package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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

// readRuns knows the runs of a template. They are over once its channel is closed.
type readRuns struct {
	template string
	over     chan struct{}
}

var noRuns = readRuns{}

func (f readRuns) KnowsRun(id string) bool {
	return f.template != "" && strings.HasPrefix(id, f.template+"-")
}

func (f readRuns) RunOf(_ context.Context, id string) (group.Run, error) {
	return group.Run{ID: id, Started: time.Unix(1790000000, 0)}, nil
}

func (f readRuns) WaitRun(ctx context.Context, id string) (group.Run, error) {
	select {
	case <-f.over:
		return group.Run{ID: id}, nil
	case <-ctx.Done():
		return group.Run{}, ctx.Err()
	}
}

// Following a run waits for its turn, and ends when it is over.
func TestLogSourceFollowsARun(t *testing.T) {
	l := layout.Layout{LogDir: t.TempDir()}
	path := l.LogPath("report-abcdefgh", "web")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("printed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var looks atomic.Int32
	status := func(string) ([]group.Status, error) {
		if looks.Add(1) < 3 { // it waits for its turn
			return nil, group.ErrNoGroup
		}
		if looks.Load() < 5 { // it is looked at
			return []group.Status{{Name: "report-abcdefgh"}}, nil
		}
		return []group.Status{{Name: "report-abcdefgh", Containers: []group.ContainerStatus{{Name: "web"}}}}, nil
	}
	runs := readRuns{"report", make(chan struct{})}
	lines, done := make(chan string, 10), make(chan error, 1)
	go func() {
		done <- logSource(l, status, runs)(t.Context(), api.LogRequest{Group: "report-abcdefgh", Follow: true}, func(line api.LogLine) error {
			lines <- line.Text
			return nil
		})
	}()
	select {
	case got := <-lines:
		if got != "printed" {
			t.Errorf("it has %q", got)
		}
	case err := <-done:
		t.Fatalf("it ended before the run, error %v", err)
	}
	close(runs.over)
	if err := <-done; err != nil || len(lines) > 0 {
		t.Errorf("error %v, %d more lines", err, len(lines))
	}
}

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
	over := make(chan struct{})
	close(over)
	source := logSource(l, (&fakeDaemon{}).Status, readRuns{"report", over})
	for id, want := range map[string]string{"report-abcdefgh": "printed", "report-silent": ""} {
		got := ""
		err := source(t.Context(), api.LogRequest{Group: id, Follow: true}, func(line api.LogLine) error { got += line.Text; return nil })
		if got != want || err != nil {
			t.Errorf("%s: %q, error %v", id, got, err)
		}
	}
}
