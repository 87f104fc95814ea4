package main

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// TestTalk runs the scripts that need a daemon. They talk to the real server of the control socket.
// Behind it is a fake daemon that knows two groups and records its calls.
func TestTalk(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "talk"),
		UpdateScripts: *update,
		Cmds:          map[string]func(*testscript.TestScript, bool, []string){"status": status, "statuses": statusesOf, "json": asJSON, "interrupted": interruptedOnce},
		Setup: func(env *testscript.Env) error {
			// A socket's path must be short, and that of the work folder may be long.
			run, err := os.MkdirTemp("", "sp")
			if err != nil {
				return err
			}
			env.Defer(func() { os.RemoveAll(run) })
			env.Setenv("SALLYPORT_RUN_DIR", run)
			folder, err := filepath.Abs(schemas)
			if err != nil {
				return err
			}
			env.Setenv("SCHEMAS", folder)
			return serve(env, filepath.Join(run, "sallyport.sock"), filepath.Join(env.WorkDir, "calls"))
		},
	})
}

func serve(env *testscript.Env, socket, calls string) error {
	server, err := api.NewServer(sampleDaemon(calls))
	if err != nil {
		return err
	}
	l, err := api.Listen(socket, api.Access{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	env.Defer(func() {
		cancel()
		if err := <-done; err != nil {
			env.T().Fatal("serve: ", err)
		}
	})
	return nil
}

// serveSample serves the control socket of such a daemon of its own, which the test's commands find
// by the environment.
func serveSample(t *testing.T) {
	t.Helper()
	t.Setenv("SALLYPORT_RUN_DIR", filepath.Dir(serveAt(t, sampleDaemon(filepath.Join(t.TempDir(), "calls")))))
}

// sampleDaemon returns the control socket's part of a fake daemon.
func sampleDaemon(calls string) api.ServerConfig {
	d := &fakeDaemon{calls: calls}
	return api.ServerConfig{Runs: &fakeRuns{daemon: d}, Keeper: d, Exec: d, Logs: d.logs, Removed: d.removed, Events: eventSource(d.events, d.Status), Version: api.VersionInfo{Version: "fake"},
		Copy: d, Forward: forwarder{door{}, func(e group.Event) { _ = d.record("%s %s", e.Kind, e.Text) }},
		Signal: func(_ context.Context, req api.SignalRequest) (bool, error) {
			if req.Container == "gone" {
				return false, &hint.Error{Err: errors.New("container checkout.gone doesn't run"), Hint: "see why"}
			}
			return req.Signal == 10, d.record("signal %s.%s %d by %v", req.Group, req.Container, req.Signal, req.Caller.Known)
		},
		Registries: fakeRegistries{d}, Puller: fakeRegistries{d},
		CurrentDigest: func(_ context.Context, ref string) (string, error) {
			if ref == "nowhere:1" {
				return "", &hint.Error{Err: errors.New("image nowhere:1: docker.io doesn't have it"), Hint: "check its name"}
			}
			letter := "2"
			if strings.Contains(ref, "archive") {
				letter = "3"
			}
			return "sha256:" + strings.Repeat(letter, 64), nil
		},
		Usage:  func(context.Context) host.Usage { return sampleUsage() },
		Images: func(context.Context) (host.Images, error) { return sampleUsage().Images, nil },
		PruneImages: func(_ context.Context, req api.PruneRequest, each func(host.ImageRemoval)) error {
			each(host.ImageRemoval{Names: []string{"oci-archive:/a b.tar", "old@sha256:2"}, Digest: "sha256:2", Frees: 90 * mebibyte, Why: "no group uses it"})
			if req.ByHand {
				each(host.ImageRemoval{Digest: "sha256:3", Frees: mebibyte, Why: "no group uses it"})
			}
			return nil
		},
		RemoveImages: func(_ context.Context, names []string, each func(host.ImageRemoval)) error {
			for _, name := range names {
				if name == "web:1" {
					return &hint.Error{Err: errors.New("image web:1 is in use: group shop has it (generation 2)"), Hint: "remove the group first: sallyport rm shop"}
				}
				each(host.ImageRemoval{Names: []string{name}, Digest: "sha256:2", Frees: 90 * mebibyte, Why: "an operator removed it"})
			}
			return d.record("images rm %s", strings.Join(names, " "))
		},
		LoadImages: func(_ context.Context, req host.LoadRequest) (loaded host.LoadedImages, err error) {
			from := filepath.Base(req.Path)
			if req.Content != nil {
				content, err := io.ReadAll(req.Content)
				if err != nil {
					return loaded, err
				}
				from = strconv.Itoa(len(content)) + " bytes"
			}
			if from == "bad.tar" {
				return loaded, &hint.Error{Err: errors.New("archive /bad.tar has an image without a name, @0"), Hint: "give it one: sallyport images load /bad.tar --name app:1"}
			}
			loaded.Images = []host.LoadedImage{
				{Image: cmp.Or(req.Name, "docker.io/library/app:1"), Digest: "sha256:2222", Before: "sha256:1111", Groups: []string{"checkout"}},
				{Image: "docker.io/library/new:1", Digest: "sha256:3333"},
			}
			loaded.Skipped = []string{"arm:1 is for linux/arm64"}
			return loaded, d.record("images load %s as %q", from, req.Name)
		}}
}

// fakeRegistries accept every login but those of eve.
type fakeRegistries struct{ daemon *fakeDaemon }

func (f fakeRegistries) Login(_ context.Context, req host.RegistryLogin) (host.LoggedIn, error) {
	if req.User == "eve" {
		return host.LoggedIn{}, &hint.Error{Err: errors.New(req.Registry + " refuses access to it"), Hint: "log in again"}
	}
	err := f.daemon.record("login %s %s with %d letters, plain %v", req.Registry, req.User, len(req.Password), req.PlainHTTP)
	return host.LoggedIn{Registry: req.Registry, User: req.User, File: "/var/lib/sallyport/registries.json", Unchecked: req.Registry == "open.example"}, err
}

func (f fakeRegistries) Pull(_ context.Context, group string, progress func(string)) error {
	progress(group + ": image web:1 is 222222222222 now, and was 111111111111")
	if group == "checkout" {
		f.daemon.back.Add(1) // a new generation
	}
	return f.daemon.record("pull %s", group)
}

func (f fakeRegistries) PullImage(_ context.Context, ref string) (host.PulledImage, error) {
	if ref == "nowhere:1" {
		return host.PulledImage{}, &hint.Error{Err: errors.New("image nowhere:1: docker.io doesn't have it"), Hint: "check its name"}
	}
	return host.PulledImage{Image: ref, Digest: "sha256:2222", Before: "sha256:1111", Groups: []string{"checkout"}}, f.daemon.record("pull image %s", ref)
}

func (f fakeRegistries) Logout(_ context.Context, registry string) (host.LoggedOut, error) {
	if registry == "a/b" {
		return host.LoggedOut{}, errors.New("\"a/b\" is no name of a registry")
	}
	return host.LoggedOut{Registry: registry, Removed: registry == "registry.example", Elsewhere: "/root/.docker/config.json"}, f.daemon.record("logout %s", registry)
}

// A fakeDaemon replaces the keeper and containerd. Each call that would change something adds a
// line to the file calls.
type fakeDaemon struct {
	calls string
	back  atomic.Int32 // generations that were made by going back
}

func (d *fakeDaemon) record(format string, args ...any) error {
	f, err := os.OpenFile(d.calls, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, format+"\n", args...)
	return errors.Join(err, f.Close())
}

func (d *fakeDaemon) Problems() []group.FileProblem {
	return []group.FileProblem{{Path: "/groups.d/hand.hcl", Err: errors.New("hand.hcl:1:1: nonsense")}}
}

func bundlesText(files []group.Bundle) string {
	var words []string
	for _, f := range files {
		words = append(words, fmt.Sprintf("%s vars=%v files=%d absolute=%v", f.Name, f.Vars, len(f.Files), filepath.IsAbs(f.Path)))
		for _, ref := range slices.Sorted(maps.Keys(f.Locked)) {
			words = append(words, "locked "+filepath.Base(ref)+" "+f.Locked[ref][:14])
		}
	}
	return strings.Join(words, ", ")
}

func (d *fakeDaemon) Preview(_ context.Context, files []group.Bundle) ([]group.Preview, error) {
	if err := d.record("preview %s", bundlesText(files)); err != nil {
		return nil, err
	}
	if files[0].Name == "sealed.hcl" {
		return []group.Preview{{Group: "sealed", Steps: []string{}}}, nil
	}
	var differs []diff.Change
	if files[0].Name == "differs.hcl" {
		differs = someChanges
	}
	return []group.Preview{{Group: "checkout", Steps: []string{"start web (app)"}, Differs: differs, Opens: []string{"proxy may reach 203.0.113.0/24:443/tcp"}}}, nil
}

func (d *fakeDaemon) Apply(_ context.Context, files []group.Bundle, progress func(string)) error {
	if strings.Contains(string(files[0].HCL), "nowhere") {
		return &hint.Error{Err: errors.New("image \"nowhere:1\": not found"), Hint: "look at its name"}
	}
	progress("checkout: start proxy (ambassador)")
	progress("checkout: start web (app)")
	progress("checkout: running")
	return d.record("apply %s", bundlesText(files))
}

// known returns an error for a group that there is not.
func (d *fakeDaemon) known(name string) error {
	_, err := d.Status(name)
	return err
}

func (d *fakeDaemon) Install(_ context.Context, files []group.Bundle, progress func(string)) error {
	progress("warning: the state can't be written to disk now")
	return d.record("install %s", bundlesText(files))
}

func (d *fakeDaemon) Remove(_ context.Context, group string, progress func(string)) error {
	if err := d.known(group); err != nil {
		return err
	}
	progress(group + ": stop web (app)")
	return d.record("remove %s", group)
}

// Purge knows the volumes that the removed group old has left.
func (d *fakeDaemon) Purge(_ context.Context, group string, progress func(string)) error {
	if err := d.known(group); err != nil && group != "old" {
		return err
	}
	progress(group + ": delete its persistent volumes")
	return d.record("purge %s", group)
}

func (d *fakeDaemon) RemoveFile(_ context.Context, file string, volumes bool, progress func(string)) error {
	progress("checkout: stop web (app)")
	return d.record("remove %s, volumes %v", file, volumes)
}

func (d *fakeDaemon) Restart(_ context.Context, group, container string, progress func(string)) error {
	if err := d.known(group); err != nil {
		return err
	}
	progress(group + ": stop")
	return d.record("restart %q %q", group, container)
}

// Rollback to generation 1 fails: it does not become ready.
func (d *fakeDaemon) Rollback(_ context.Context, group string, to int, progress func(string)) error {
	progress(fmt.Sprintf("%s: back to generation %d", group, to))
	if err := d.record("rollback %s %d", group, to); err != nil || to != 1 {
		if to != checkout.Generation+int(d.back.Load()) { // else it is the current one
			d.back.Add(1)
		}
		return err
	}
	return &hint.Error{Err: errors.New("group checkout: generation 4 not ready within 1m0s"), Hint: "see its log"}
}

// Wait knows one job that has ended well, one that fails, and one that never ends.
func (d *fakeDaemon) Wait(ctx context.Context, name string) (uint32, error) {
	switch name {
	case "done":
		return 0, nil
	case "sealed":
		return 3, nil
	case "checkout":
		<-ctx.Done()
		return 0, ctx.Err()
	case "late":
		return 0, &hint.Error{Err: fmt.Errorf("group late has %w after 2s", group.ErrTimedOut), Hint: "\"sallyport start late\" runs it again"}
	}
	return 0, fmt.Errorf("group %q: %w", name, group.ErrNoGroup)
}

// Settle knows one group that fails.
func (d *fakeDaemon) Settle(_ context.Context, name string, settle time.Duration, progress func(string)) error {
	if err := d.record("settle %s %s", name, settle); err != nil || name == "checkout" {
		return err
	}
	progress(name + ": waits for web (app) to be ready")
	return &hint.Error{Err: errors.New("group sealed: web (app) ended with status 3"), Hint: "see its log"}
}

func (d *fakeDaemon) History(_ context.Context, name string) ([]group.Generation, error) {
	if err := d.known(name); err != nil {
		return nil, err
	}
	if name == "sealed" {
		return recorded, nil
	}
	return generations, nil
}

// Compare knows the generations 1 to 3.
func (d *fakeDaemon) Compare(_ context.Context, name string, before, now int) (group.Comparison, error) {
	if err := d.known(name); err != nil {
		return group.Comparison{}, err
	}
	if max(before, now) > 3 {
		return group.Comparison{}, &hint.Error{Err: fmt.Errorf("group %s: generation %d is not kept: %w", name, max(before, now), group.ErrNoGeneration), Hint: "kept: 2, 3"}
	}
	if before == now && before != 0 {
		return group.Comparison{Group: name, Before: before, Now: now, Differs: []diff.Change{}}, nil
	}
	return group.Comparison{
		Group: name, Before: cmp.Or(before, 2), Now: cmp.Or(now, 3), Differs: someChanges,
		Images: recorded[0].ImageDigests.Moved(recorded[1].ImageDigests),
		Texts: []group.TextDiff{
			{Name: "checkout.hcl", Diff: "--- generation 2: checkout.hcl\n+++ generation 3: checkout.hcl\n@@ -1,1 +1,1 @@\n-a\n+b\n"},
			{Name: "/etc/key", Why: "it is no text"},
		},
	}, nil
}

func (d *fakeDaemon) Definition(_ context.Context, name string, number int) (group.Definition, error) {
	if number != 2 {
		return group.Definition{}, group.ErrNoGeneration
	}
	return group.Definition{Bundle: group.Bundle{Name: "checkout.hcl", HCL: []byte("group \"checkout\" {}\n")}}, nil
}

func (d *fakeDaemon) Stop(_ context.Context, group string, progress func(string)) error {
	if err := d.known(group); err != nil {
		return err
	}
	progress(group + ": stop web (app), grace 10s")
	return d.record("stop %s", group)
}

func (d *fakeDaemon) Start(_ context.Context, group string, progress func(string)) error {
	if err := d.known(group); err != nil {
		return err
	}
	progress(group + ": start web (app)")
	return d.record("start %s", group)
}

func (d *fakeDaemon) Status(name string) ([]group.Status, error) {
	now := checkout
	now.Generation += int(d.back.Load())
	all := []group.Status{now, {Name: "sealed", State: group.Degraded, Egress: "none", Error: "web ended", Hint: "see its log"}}
	for _, g := range all {
		if g.Name == name {
			return []group.Status{g}, nil
		}
	}
	if name != "" {
		return nil, fmt.Errorf("group %q: %w", name, group.ErrNoGroup)
	}
	return all, nil
}

// logs emits lines whose times show how those of several groups are merged.
func (d *fakeDaemon) logs(_ context.Context, req api.LogRequest, emit func(api.LogLine) error) error {
	if _, err := d.Status(req.Group); err != nil && !req.Removed {
		return err
	}
	text := fmt.Sprintf("logs %s %v follow=%v tail=%d", req.Group, req.Containers, req.Follow, req.Tail)
	if !req.Since.IsZero() {
		text += " since=" + req.Since.UTC().Format(time.DateTime)
	}
	if !req.Until.IsZero() {
		text += " until=" + req.Until.UTC().Format(time.DateTime)
	}
	if req.Times {
		text += " times"
	}
	if req.Removed {
		text += " removed"
	}
	if err := d.record("%s", text); err != nil {
		return err
	}
	at := func(s int) time.Time {
		if !req.Times {
			return time.Time{}
		}
		return time.Date(2026, 11, 29, 12, 0, s, 0, time.UTC)
	}
	for _, l := range map[string][]api.LogLine{
		"checkout": {
			{Container: "proxy", Text: "ready", Time: at(1), Latest: req.Times}, {Container: "web", Text: "hello", Time: at(3)},
			{Container: "web", Missed: 4096}, {Container: "web", Text: "bye", Time: at(5)},
		},
		"sealed": {
			{Container: "app", Stream: "stderr", Text: "sealed", Time: at(2)}, {Container: "app", Stream: "stdout", Text: "", Time: at(4)}, {Container: "raw", Text: "\xff\n"},
			{Container: "long", Text: "a-", Partial: true}, {Container: "long", Text: "b"},
			{Container: "long", Text: "c-", Partial: true}, {Container: "other", Text: "x"}, {Container: "long", Text: "d"},
		},
	}[req.Group] {
		if len(req.Containers) == 0 && slices.Contains([]string{"app", "proxy", "web"}, l.Container) || slices.Contains(req.Containers, l.Container) {
			if err := emit(l); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *fakeDaemon) removed() ([]api.RemovedOutput, error) {
	return []api.RemovedOutput{{Group: "old", At: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC), Containers: []string{"app", "proxy"}, Size: 3 << 20}}, nil
}

// events emits those of two groups, one of them removed. With Follow it then waits.
func (d *fakeDaemon) events(ctx context.Context, q group.EventQuery, emit func(group.Event) error) error {
	if err := d.record("events %q %v follow=%v tail=%d", q.Group, q.Kinds, q.Follow, q.Tail); err != nil {
		return err
	}
	for _, e := range happened {
		if (q.Group == "" || q.Group == e.Group) && (len(q.Kinds) == 0 || slices.Contains(q.Kinds, e.Kind)) {
			if err := emit(e); err != nil {
				return err
			}
		}
	}
	if q.Follow {
		<-ctx.Done()
	}
	return nil
}

// Exec simulates some programs: one copies its input, one complains, one never ends, one ends as it
// is told, and all others print how they were called.
func (d *fakeDaemon) Exec(_ context.Context, req host.ExecRequest) (uint32, error) {
	switch req.Args[0] {
	case "cat":
		_, err := io.Copy(req.Stdout, req.Stdin)
		return 0, err
	case "complain":
		_, err := fmt.Fprintln(req.Stderr, "I won't")
		return 7, err
	case "sleep":
		return 0, fmt.Errorf("\"sleep\" did not end within %s, and was ended: %w", req.Timeout, host.ErrTimedOut)
	case "exit":
		switch n, _ := strconv.Atoi(req.Args[1]); req.Args[1] {
		case "cannot":
			return 0, fmt.Errorf("exit: %w", host.ErrCannotRun)
		case "none":
			return 0, fmt.Errorf("exit: %w", host.ErrNoProgram)
		default:
			return uint32(n), nil
		}
	}
	if as := strings.TrimSpace(req.User + " " + strings.Join(req.Env, " ") + " " + req.WorkDir); as != "" {
		if _, err := fmt.Fprintln(req.Stdout, "as:", as); err != nil {
			return 0, err
		}
	}
	_, err := fmt.Fprintf(req.Stdout, "%s.%s %q tty=%v stdin=%v\n", req.Group, req.Container, req.Args, req.TTY, req.Stdin != nil)
	return 0, err
}

// Copy has a folder, a file, a pipe and a stream in bad faith to give. It records the names that it
// gets.
func (d *fakeDaemon) Copy(_ context.Context, req host.CopyRequest) error {
	if req.Out != nil {
		headers := map[string][]tar.Header{
			"/dir":  {{Name: "dir/", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "dir/a", Mode: 0o600, Size: 5}, {Name: "dir/l", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}},
			"/file": {{Name: "file", Mode: 0o640, Size: 5}},
			"/bad":  {{Name: "bad", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, {Name: "bad/x", Mode: 0o600, Size: 5}},
			"/pipe": {},
		}[req.Path]
		if headers == nil {
			return fmt.Errorf("%s.%s:%s: no such file or directory", req.Group, req.Container, req.Path)
		}
		if req.Path == "/dir" || req.Path == "/pipe" {
			req.Skip(req.Path[1:]+"/pipe", "a pipe")
		}
		w := tar.NewWriter(req.Out)
		for _, h := range headers {
			if err := w.WriteHeader(&h); err != nil {
				return err
			}
			if _, err := io.WriteString(w, "hello"[:h.Size]); err != nil {
				return err
			}
		}
		return w.Close()
	}
	if req.Path == "/closed" {
		return &hint.Error{Err: errors.New("checkout.web:/closed: read-only file system"), Hint: "copy to a volume"}
	}
	var names []string
	for entries := tar.NewReader(req.In); ; {
		h, err := entries.Next()
		if err == io.EOF {
			return d.record("copy %s to %s.%s:%s whole=%v", strings.Join(names, " "), req.Group, req.Container, req.Path, req.Whole)
		}
		if err != nil {
			return err
		}
		names = append(names, fmt.Sprintf("%s(%d)", h.Name, h.Size))
	}
}
