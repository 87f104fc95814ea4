package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

var twoFiles = []group.Bundle{
	{Name: "a.hcl", Path: "/etc/a.hcl", HCL: []byte("A"), Vars: map[string]string{"tag": "1"}},
	{Name: "b.hcl", HCL: []byte("B"), Files: map[string][]byte{"/etc/x": {0xff}}},
}

// checkout is the status that the fakeKeeper returns.
var checkout = []group.Status{{Name: "checkout", State: group.Running, Containers: []group.ContainerStatus{{Name: "web", PID: 7}}}}

// generations is the history that the fakeKeeper returns.
var generations = []group.Generation{{
	Number: 2, By: group.ByApply, Outcome: group.OnTrial, Kept: true,
	Digest: "sha256 of xyzzy", Text: "sha256 of xyzzy", Change: "sha256 of xyzzy",
	Differs: comparison.Differs,
	Values:  []group.Value{{Variable: spec.Variable{Name: "tag", Value: json.RawMessage(`"xyzzy"`)}, From: group.FromFlag}},
}, {Number: 1, By: group.ByFile, Outcome: group.Proved}}

// comparison is the answer of the fakeKeeper for any two generations.
var comparison = group.Comparison{Group: "checkout", Before: 1, Now: 2, Differs: []diff.Change{{Container: "web", Attribute: "image", Kind: diff.Changed, Before: `"a"`, Now: `"xyzzy"`}}}

// fullDisks are the disks that the server of the tests has.
var fullDisks = []host.Disk{{Path: "/state", Full: true, Consumers: []host.Consumer{{Kind: host.LayerConsumer, Group: "checkout", Container: "web", Bytes: 9}}}}

// someUsage is the usage that the server of the tests has.
var someUsage = host.Usage{
	Disks:     []host.DiskUsage{{Disk: host.Disk{Path: "/state", Size: 9, Free: 3}, Taken: 5}},
	Consumers: []host.Consumer{{Kind: host.OutputConsumer, Group: "gone", Path: "/log", Bytes: 5, Partial: true, Removed: true}},
	Images:    host.Images{Path: "/images", All: []host.ImageUsage{{Names: []string{"web:1"}, Digest: "sha256:1", Own: 1, Common: 2, Groups: []string{"checkout"}}}, Shared: 2},
	Unknown:   []string{"layers: no answer"},
}

func TestVerbs(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(ctx context.Context, c *Client) (any, error)
		want any
		call string
	}{
		{"version", func(ctx context.Context, c *Client) (any, error) { return c.Version(ctx) }, VersionInfo{Version: "1.2", Runtime: "containerd 1.6", PID: 9}, ""},
		{"status", func(ctx context.Context, c *Client) (any, error) { return c.Status(ctx, "") }, checkout, "status"},
		{"problems", func(ctx context.Context, c *Client) (any, error) { return c.Problems(ctx) }, []FileProblem{{Path: "/groups.d/hand.hcl", Error: "hand.hcl:1:1: nonsense"}}, "problems"},
		{"disks", func(ctx context.Context, c *Client) (any, error) { return c.Disks(ctx) }, fullDisks, ""},
		{"usage", func(ctx context.Context, c *Client) (any, error) { return c.Usage(ctx) }, someUsage, ""},
		{"status of one", func(ctx context.Context, c *Client) (any, error) { return c.Status(ctx, "checkout") }, checkout, "status checkout"},
		{"preview", func(ctx context.Context, c *Client) (any, error) { return c.Preview(ctx, twoFiles) },
			[]group.Preview{{Group: "checkout", Steps: []string{"start web"}, Opens: []string{"any"}}}, "plan a.hcl(A) b.hcl(B)"},
		{"apply", progressOf(func(ctx context.Context, c *Client, progress func(string)) error {
			return c.Apply(ctx, twoFiles, progress)
		}), []string{"one", "two"}, "apply a.hcl(A) b.hcl(B)"},
		{"apply without progress", func(ctx context.Context, c *Client) (any, error) { return nil, c.Apply(ctx, nil, nil) }, nil, "apply"},
		{"install", progressOf(func(ctx context.Context, c *Client, progress func(string)) error {
			return c.Install(ctx, twoFiles, progress)
		}), []string{"one", "two"}, "install a.hcl(A) b.hcl(B)"},
		{"remove", progressOf(func(ctx context.Context, c *Client, progress func(string)) error {
			return c.Remove(ctx, "checkout", progress)
		}), []string{"one", "two"}, "rm checkout"},
		{"remove with its volumes", progressOf(func(ctx context.Context, c *Client, progress func(string)) error {
			return c.Purge(ctx, "checkout", progress)
		}), []string{"one", "two"}, "rm --volumes checkout"},
		{"remove a file", progressOf(func(ctx context.Context, c *Client, progress func(string)) error {
			return c.RemoveFile(ctx, "a b.hcl", true, progress)
		}), []string{"one", "two"}, "rm a b.hcl, volumes true"},
		{"restart a container", progressOf(func(ctx context.Context, c *Client, progress func(string)) error {
			return c.Restart(ctx, "checkout", "web", progress)
		}), []string{"one", "two"}, "restart checkout web"},
		{"restart a group", func(ctx context.Context, c *Client) (any, error) { return nil, c.Restart(ctx, "checkout", "", nil) }, nil, "restart checkout"},
		{"history", func(ctx context.Context, c *Client) (any, error) { return c.History(ctx, "checkout") }, generations, "history checkout"},
		{"the file of a generation", func(ctx context.Context, c *Client) (any, error) { return c.File(ctx, "checkout", 2) }, twoFiles[0], "history checkout 2"},
		{"diff", func(ctx context.Context, c *Client) (any, error) { return c.Compare(ctx, "checkout", 1, 2) }, comparison, "diff checkout 1 2"},
		{"diff of those that the daemon chooses", func(ctx context.Context, c *Client) (any, error) { return c.Compare(ctx, "checkout", 0, 0) }, comparison, "diff checkout 0 0"},
		{"wait", func(ctx context.Context, c *Client) (any, error) { return c.Wait(ctx, "checkout") }, uint32(7), "wait checkout"},
		{"settle", progressOf(func(ctx context.Context, c *Client, progress func(string)) error {
			return c.Settle(ctx, "checkout", 1500*time.Millisecond, progress)
		}), []string{"one", "two"}, "settle checkout 1.5s"},
		{"rollback", progressOf(func(ctx context.Context, c *Client, progress func(string)) error {
			return c.Rollback(ctx, "checkout", 0, progress)
		}), []string{"one", "two"}, "rollback checkout 0"},
		{"rollback to one", func(ctx context.Context, c *Client) (any, error) { return nil, c.Rollback(ctx, "checkout", 3, nil) }, nil, "rollback checkout 3"},
		{"stop", progressOf(func(ctx context.Context, c *Client, progress func(string)) error {
			return c.Stop(ctx, "checkout", progress)
		}), []string{"one", "two"}, "stop checkout"},
		{"start", progressOf(func(ctx context.Context, c *Client, progress func(string)) error {
			return c.Start(ctx, "checkout", progress)
		}), []string{"one", "two"}, "start checkout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keeper := &fakeKeeper{do: func(_ context.Context, progress func(string)) error {
				if progress != nil {
					progress("one")
					progress("two")
				}
				return nil
			}}
			d := startDaemon(t, ServerConfig{Keeper: keeper, Version: VersionInfo{Version: "1.2", PID: 9}, Runtime: func(context.Context) string { return "containerd 1.6" }, Disks: func(context.Context) []host.Disk { return fullDisks },
				Usage: func(context.Context) host.Usage { return someUsage }})
			got, err := tt.run(t.Context(), d.Client)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.call, keeper.String()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func progressOf(verb func(ctx context.Context, c *Client, progress func(string)) error) func(context.Context, *Client) (any, error) {
	return func(ctx context.Context, c *Client) (any, error) {
		var lines []string
		err := verb(ctx, c, func(line string) { lines = append(lines, line) })
		return lines, err
	}
}

// Everything must arrive complete. A bundle's files are bytes.
func TestApplySendsEverything(t *testing.T) {
	d := startDaemon(t, ServerConfig{})
	if err := d.Apply(t.Context(), twoFiles, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(twoFiles, d.keeper.applied); diff != "" {
		t.Errorf("bundles (-want +got):\n%s", diff)
	}
}

func TestErrorsTravel(t *testing.T) {
	apply := func(c *Client) error { return c.Apply(context.Background(), nil, func(string) {}) }
	for _, tt := range []struct {
		name     string
		fail     error
		progress bool // before it
		run      func(c *Client) error
		want     string
		hint     string
		is       error
	}{
		{"plain", errors.New("disk full"), false, apply, "disk full", "", nil},
		{"after progress", errors.New("disk full"), true, apply, "disk full", "", nil},
		{"with a hint", &hint.Error{Err: errors.New("port 443 is taken"), Hint: "choose another"}, false, apply, "port 443 is taken", "choose another", nil},
		{"with a hint, after progress", &hint.Error{Err: errors.New("port 443 is taken"), Hint: "choose another"}, true, apply, "port 443 is taken", "choose another", nil},
		{"a hint in a wrapped error", fmt.Errorf("apply: %w", &hint.Error{Err: errors.New("no image"), Hint: "push it"}), false, apply, "apply: no image", "push it", nil},
		{"no group", group.ErrNoGroup, false, func(c *Client) error { return c.Remove(context.Background(), "web", nil) }, `group "web": no such group`, "", group.ErrNoGroup},
		{"no container", group.ErrNoContainer, true, func(c *Client) error { return c.Restart(context.Background(), "web", "x", nil) },
			`container "x" of group "web": no such container`, `"sallyport status web" lists its containers`, group.ErrNoContainer},
		{"no group to stop", group.ErrNoGroup, false, func(c *Client) error { return c.Stop(context.Background(), "web", nil) }, `group "web": no such group`, "", group.ErrNoGroup},
		{"no generation", nil, false, func(c *Client) error { _, err := c.File(context.Background(), "checkout", 9); return err }, `no such generation`, "", group.ErrNoGeneration},
		{"diff of no generation", nil, false, func(c *Client) error { _, err := c.Compare(context.Background(), "checkout", 9, 0); return err }, `no such generation`, "", group.ErrNoGeneration},
		{"no history", nil, false, func(c *Client) error { _, err := c.History(context.Background(), "gone"); return err }, `group "gone": no such group`, "", group.ErrNoGroup},
		{"a job that can't be waited for", &hint.Error{Err: errors.New("group web is no job"), Hint: "see its file"}, false,
			func(c *Client) error { _, err := c.Wait(context.Background(), "web"); return err }, "group web is no job", "see its file", nil},
		{"a job that has timed out", &hint.Error{Err: fmt.Errorf("group web has %w after 2s", group.ErrTimedOut), Hint: "raise it"}, false,
			func(c *Client) error { _, err := c.Wait(context.Background(), "web"); return err }, "group web has timed out after 2s", "raise it", group.ErrTimedOut},
		{"no group to look at", nil, false, func(c *Client) error { _, err := c.Status(context.Background(), "gone"); return err },
			`group "gone": no such group`, "", group.ErrNoGroup},
		{"a preview's", errors.New("bad file"), false, func(c *Client) error { _, err := c.Preview(context.Background(), nil); return err }, "bad file", "", nil},
		{"no group's name", nil, false, func(c *Client) error { _, err := c.Status(context.Background(), "../x"); return err },
			`group "../x": no such group`, "", group.ErrNoGroup},
		{"no group's name, events", nil, false, func(c *Client) error {
			return c.Events(context.Background(), group.EventQuery{Group: "A"}, nil)
		}, `group "A": no such group`, "", group.ErrNoGroup},
		{"no container's name", nil, false, func(c *Client) error {
			return c.Logs(context.Background(), LogRequest{Group: "web", Containers: []string{"a/b"}}, nil)
		}, `container "a/b" of group "web": no such container`, `"sallyport status web" lists its containers`, group.ErrNoContainer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := startDaemon(t, ServerConfig{Keeper: &fakeKeeper{do: func(_ context.Context, progress func(string)) error {
				if tt.progress {
					progress("working")
				}
				return tt.fail
			}}})
			checkProblem(t, tt.run(d.Client), tt.want, tt.hint)
			if err := tt.run(d.Client); tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
		})
	}
}

// checkProblem compares an error's text and hint.
func checkProblem(t *testing.T, err error, text, hint_ string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", text)
	}
	var problem *hint.Error
	gotHint := ""
	if errors.As(err, &problem) {
		gotHint = problem.Hint
	}
	if diff := cmp.Diff([]string{text, hint_}, []string{err.Error(), gotHint}); diff != "" {
		t.Errorf("error and hint (-want +got):\n%s", diff)
	}
}

func TestPanicInAVerb(t *testing.T) {
	d := startDaemon(t, ServerConfig{Keeper: &fakeKeeper{do: func(context.Context, func(string)) error { panic("oh no") }}})
	const hint = "the daemon's log has the details; please report them"
	checkProblem(t, d.Apply(t.Context(), nil, nil), "bug in the daemon: oh no", hint)
	_, err := d.Preview(t.Context(), nil)
	checkProblem(t, err, "bug in the daemon: oh no", hint)
	if _, err := d.Version(t.Context()); err != nil {
		t.Errorf("after the panic: %v", err)
	}
}

func TestNewServerNeeds(t *testing.T) {
	exec := execFunc(nil)
	logs := func(context.Context, LogRequest, func(LogLine) error) error { return nil }
	for name, cfg := range map[string]ServerConfig{
		"a Keeper":       {Exec: exec, Logs: logs},
		"an Execer":      {Keeper: &fakeKeeper{}, Logs: logs},
		"a LogSource":    {Keeper: &fakeKeeper{}, Exec: exec},
		"an EventSource": {Keeper: &fakeKeeper{}, Exec: exec, Logs: logs},
	} {
		if _, err := NewServer(cfg); err == nil || err.Error() != "the control socket needs "+name {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
