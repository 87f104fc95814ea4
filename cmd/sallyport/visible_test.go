package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/term"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

func TestVisible(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"text", "größer, 大, ✓, 👩‍🚀\tend\n", "größer, 大, ✓, 👩‍🚀\tend\n"},
		{"a sequence", "\x1b[2Jred", `\u001b[2Jred`},
		{"other controls", "a\x00\a\b\v\f\x7fb", `a\u0000\u0007\u0008\u000b\u000c\u007fb`},
		{"C1", "\u0080\u009b31m\u009f", `\u0080\u009b31m\u009f`},
		{"C1 in one byte", "\x9b31m", `\x9b31m`},
		{"order of characters", "a\u202eb\u2066c\u200fd\u061c", `a\u202eb\u2066c\u200fd\u061c`},
		{"lines that are no newlines", "a\u2028b\u2029", `a\u2028b\u2029`},
		{"carriage returns", "a\rb\r\nc\r\r\n", "a\\u000db\r\nc\\u000d\r\n"},
		{"half a character at the end", "a\xe5\xa4", `a\xe5\xa4`},
		{"a carriage return at the end", "a\r", `a\u000d`},
		{"not UTF-8", "\xff\xc0\x80\xed\xa0\x80", `\xff\xc0\x80\xed\xa0\x80`},
		{"nothing", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{len(c.in), 1, 2, 3} { // of each write
				var out bytes.Buffer
				v := &visibleWriter{w: &out}
				for part := range slices.Chunk([]byte(c.in), max(1, size)) {
					if n, err := v.Write(part); n != len(part) || err != nil {
						t.Fatalf("write of %q: %d, %v", part, n, err)
					}
				}
				v.flush()
				v.flush()
				if diff := cmp.Diff(c.want, out.String()); diff != "" {
					t.Errorf("%d bytes at a time (-want +got)\n%s", size, diff)
				}
			}
		})
	}
}

// JSON that passes keeps its value.
func TestVisibleJSON(t *testing.T) {
	var out bytes.Buffer
	want := map[string]string{"a\x1b\u009b": "\u202e\x7f\r\n\t"}
	if err := (&ui{out: &visibleWriter{w: &out}}).json(want); err != nil {
		t.Fatal(err)
	}
	checkPlain(t, out.String())
	var got map[string]string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestVisibleErrors(t *testing.T) {
	errFull := errors.New("disk full")
	if _, err := (&visibleWriter{w: failing{errFull}}).Write([]byte("x")); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// evil sets the title, clears the screen and turns the text around, in every way that a terminal
// knows.
const evil = "\x1b]0;evil\a\x1b[2J\u009b31m\x9b31m\x7f\b\u202e"

// checkPlain fails if a terminal would act on the text. The colours of our own are allowed.
func checkPlain(t *testing.T, text string) {
	t.Helper()
	text = regexp.MustCompile("\x1b\\[(1;31|1|3[1-6]|0)m").ReplaceAllString(text, "")
	if i := strings.IndexFunc(text, func(r rune) bool {
		return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r))
	}); i >= 0 || !utf8.ValidString(text) {
		t.Errorf("a terminal would act on this: %q", text)
	}
}

// No verb lets a terminal act on what a container, an image, a file or an error text holds.
func TestTerminalIsSafe(t *testing.T) {
	socket := serveEvil(t)
	file := filepath.Join(t.TempDir(), "checkout.hcl")
	text := "group \"checkout\" {\n egress = \"none\"\n app \"web\" { image = \"web:1\" }\n}\n"
	wrong := filepath.Join(t.TempDir(), "a"+strings.ReplaceAll(evil, "/", "")+".hcl")
	if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.WriteFile(wrong, []byte("group \""+evil+"\" { "+evil+" }\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	loose := filepath.Join(filepath.Dir(wrong), "b"+filepath.Base(wrong))
	if err := os.WriteFile(loose, []byte("locals{a=1} # "+strings.ToValidUTF8(evil, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := []string{
		"version", "ps", "ps --json", "status checkout", "status checkout --json", "history checkout", "history checkout --values", "history checkout --json", "diff checkout", "diff checkout --json",
		"history checkout --file 1", "history checkout --file 1 --json", "plan FILE", "plan FILE --json", "apply FILE", "validate WRONG", "plan WRONG", "fmt WRONG", "fmt --diff LOOSE", "fmt --check LOOSE", "schema EVIL", "lock LOOSE", "lock WRONG",
		"logs checkout", "logs checkout.web", "logs -t checkout sealed", "logs --json checkout", "logs --removed", "events", "events --json", "denials", "denials --json", "denials -f", "df", "df checkout", "df --json",
		"images", "images --json", "images prune", "images prune --dry-run --json",
		"images load FILE", "images load FILE --json", "images rm EVIL", "images pull EVIL:1",
		"pull checkout", "pull EVIL:1", "login -u EVIL --password-stdin registry.example", "logout EVIL", "logout EVIL --json",
		"exec checkout.web -- loud", "signal checkout.web HUP", "port-forward checkout 0:80", "cp checkout.web:/x .", "cp FILE checkout.web:/x", "restart checkout", "stop checkout", "start checkout", "rollback checkout", "wait checkout",
		"run FILE", "run --json FILE", "run -d FILE", "run ls", "run ls --json",
		"rm checkout", "rm checkout.hcl", "status EVIL", "EVIL", "apply EVIL.hcl",
	}
	checkVerbs(t, lines, "daemon", "containerd", "output", "follow", "doctor") // these change the host, or wait for a daemon
	for _, line := range lines {
		t.Run(line, func(t *testing.T) {
			out := onTerminal(t, socket, strings.NewReplacer("FILE", file, "WRONG", wrong, "LOOSE", loose, "EVIL", evil).Replace(line))
			checkPlain(t, out)
			if !strings.Contains(out, "evil") {
				t.Errorf("the text did not come at all, so this test shows nothing: %q", out)
			}
		})
	}
	// Here the operator asks for it.
	for _, line := range []string{"logs --raw checkout.web", "exec -t checkout.web -- loud"} {
		t.Run(line, func(t *testing.T) {
			if out := onTerminal(t, socket, line); !strings.Contains(out, evil) {
				t.Errorf("changed: %q", out)
			}
		})
	}
}

// checkVerbs fails if a verb of the command line is neither in a line nor among the others.
func checkVerbs(t *testing.T, lines []string, others ...string) {
	t.Helper()
	for _, line := range lines {
		verb, _, _ := strings.Cut(line, " ")
		others = append(others, strings.ReplaceAll(verb, "-", ""))
	}
	verbs := reflect.TypeFor[cli]()
	for i := range verbs.NumField() {
		if _, ok := verbs.Field(i).Tag.Lookup("cmd"); ok && !slices.Contains(others, strings.ToLower(verbs.Field(i).Name)) {
			t.Errorf("no command line for %s", verbs.Field(i).Name)
		}
	}
}

// A pipe gets what a container or a file holds, byte for byte.
func TestPipeIsRaw(t *testing.T) {
	socket := serveEvil(t)
	for _, line := range []string{"logs checkout.web", "exec checkout.web -- loud", "history checkout --file 1"} {
		t.Run(line, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			run(argsOf(socket, line), newUI(nil, w, w, nil))
			w.Close()
			if out, err := io.ReadAll(r); err != nil || !strings.Contains(string(out), evil) {
				t.Errorf("changed: %q, %v", out, err)
			}
		})
	}
}

// onTerminal runs a command line on a terminal of its own and returns what the terminal received.
func onTerminal(t *testing.T, socket, line string) string {
	t.Helper()
	master, slave := openPTY(t)
	if _, err := term.MakeRaw(int(slave.Fd())); err != nil { // else the kernel adds carriage returns
		t.Fatal(err)
	}
	text := received(t, master)
	run(argsOf(socket, line), newUI(slave, slave, slave, nil))
	return text(slave)
}

// argsOf returns the words of a command line for the daemon at a socket.
func argsOf(socket, line string) []string {
	return slices.Insert(strings.Split(line, " "), 1, "--run-dir="+filepath.Dir(socket)) // before the words of exec
}

// serveEvil serves the control socket of a daemon in whose answers every text is evil.
func serveEvil(t *testing.T) (socket string) {
	t.Helper()
	d := evilDaemon{&fakeDaemon{calls: filepath.Join(t.TempDir(), "calls")}}
	return serveAt(t, api.ServerConfig{Runs: evilRuns{}, Keeper: d, Exec: d, Logs: d.logs, Removed: d.removed, Events: d.events, Version: api.VersionInfo{Version: evil}, Usage: evilUsage,
		Copy: evilCopier{}, Forward: evilForwarder{}, Registries: evilRegistries{}, Puller: evilRegistries{},
		Signal:        func(context.Context, api.SignalRequest) (bool, error) { return false, errors.New(evil) },
		CurrentDigest: func(context.Context, string) (string, error) { return "", errors.New(evil) },
		Images:        func(ctx context.Context) (host.Images, error) { return evilUsage(ctx).Images, nil },
		PruneImages: func(_ context.Context, _ api.PruneRequest, each func(host.ImageRemoval)) error {
			each(host.ImageRemoval{Names: []string{"image " + evil}, Why: evil})
			return nil
		},
		RemoveImages: func(_ context.Context, names []string, _ func(host.ImageRemoval)) error { return errors.New(evil) },
		LoadImages: func(context.Context, host.LoadRequest) (host.LoadedImages, error) {
			return host.LoadedImages{Images: []host.LoadedImage{{Image: evil, Digest: "sha256:" + evil, Groups: []string{evil}}}, Skipped: []string{evil}}, nil
		}})
}

type evilRegistries struct{}

func (evilRegistries) Login(context.Context, host.RegistryLogin) (host.LoggedIn, error) {
	return host.LoggedIn{}, errors.New(evil)
}

func (evilRegistries) Logout(_ context.Context, registry string) (host.LoggedOut, error) {
	return host.LoggedOut{Registry: registry, Elsewhere: evil}, nil
}

func (evilRegistries) Pull(_ context.Context, _ string, progress func(string)) error {
	progress(evil)
	return nil
}

func (evilRegistries) PullImage(_ context.Context, ref string) (host.PulledImage, error) {
	return host.PulledImage{Image: ref, Digest: "sha256:" + evil, Groups: []string{evil}}, nil
}

type evilForwarder struct{ api.Forwarder }

func (evilForwarder) Begin(context.Context, api.ForwardRequest) (func(), error) {
	return nil, errors.New(evil)
}

type evilCopier struct{}

func (evilCopier) Copy(_ context.Context, req host.CopyRequest) error {
	req.Skip("file "+evil, evil)
	return errors.New(evil)
}

// serveAt serves a control socket until the test ends.
func serveAt(t *testing.T, config api.ServerConfig) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sp") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "sallyport.sock")
	server, err := api.NewServer(config)
	if err != nil {
		t.Fatal(err)
	}
	l, err := api.Listen(socket, api.Access{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return socket
}

func evilUsage(context.Context) host.Usage {
	text := "evil" + evil
	return host.Usage{
		Disks: []host.DiskUsage{{Disk: host.Disk{Path: text}}}, Unknown: []string{text},
		Consumers: []host.Consumer{
			{Kind: host.VolumeConsumer, Group: "checkout", Volume: text}, {Kind: host.OutputConsumer, Group: "checkout", Container: text, Image: text},
			{Kind: host.ConsumerKind(text), Group: text, Removed: true},
		},
		Images: host.Images{All: []host.ImageUsage{{Names: []string{text + "evil"}, Groups: []string{"checkout", text}}, {Names: []string{text + "evil"}}}, Remove: text},
	}
}

type evilDaemon struct{ *fakeDaemon }

var errEvil = &hint.Error{Err: errors.New("evil error " + evil), Hint: "evil hint " + evil}

func (evilDaemon) Status(string) ([]group.Status, error) {
	return []group.Status{{
		Name: "checkout", State: group.State("evil" + evil), Egress: spec.Egress(evil), File: "checkout.hcl", Digest: evil,
		Addrs: []string{evil}, Labels: map[string]string{evil: evil}, Unsafe: []string{evil}, Error: evil, Hint: evil, Waiting: evil,
		Door: spec.Door{Publish: []spec.Publish{{Name: evil, Address: evil, Protocol: evil}}},
		Containers: []group.ContainerStatus{{
			Name: "web", Role: spec.App, Task: host.TaskState(evil), Image: evil, Signal: evil, ExitStatus: new(uint32(1)), Waiting: evil, LastOutput: []string{evil},
		}},
	}}, nil
}

func (evilDaemon) Problems() []group.FileProblem {
	return []group.FileProblem{{Path: evil, Err: errEvil}}
}

func (evilDaemon) Preview(context.Context, []group.Bundle) ([]group.Preview, error) {
	return []group.Preview{
		{Group: evil, Error: "evil" + evil, Steps: []string{evil}, Differs: []diff.Change{evilChange}, Opens: []string{evil}, Closes: []string{evil}, Unsafe: []string{evil}},
		{Group: evil, Ended: evil},
	}, nil
}

func (evilDaemon) History(context.Context, string) ([]group.Generation, error) {
	return []group.Generation{
		{File: "evil" + evil, Why: evil, Digest: evil, ImageDigests: group.ImageDigests{evil: evil}, Differs: []diff.Change{evilChange}, Values: []group.Value{{Variable: spec.Variable{Name: evil}, From: evil}}},
		{ImageDigests: group.ImageDigests{evil: "another"}},
	}, nil
}

func (evilDaemon) Compare(context.Context, string, int, int) (group.Comparison, error) {
	return group.Comparison{
		Group: evil, Differs: []diff.Change{evilChange}, Images: []group.MovedImage{{Image: evil, Before: evil, Now: evil}},
		Texts: []group.TextDiff{{Name: evil, Diff: "+evil" + evil}, {Name: evil, Why: evil}},
	}, nil
}

var evilChange = diff.Change{Container: evil, Attribute: evil, Kind: diff.Changed, Before: evil, Now: evil}

func (evilDaemon) Definition(context.Context, string, int) (group.Definition, error) {
	return group.Definition{Bundle: group.Bundle{Name: "evil" + evil, HCL: []byte("evil" + evil)}}, nil
}

func (evilDaemon) refuse(progress func(string)) error {
	progress("evil progress " + evil)
	return errEvil
}

func (d evilDaemon) Apply(_ context.Context, _ []group.Bundle, progress func(string)) error {
	return d.refuse(progress)
}

func (d evilDaemon) Install(_ context.Context, _ []group.Bundle, progress func(string)) error {
	return d.refuse(progress)
}

func (d evilDaemon) Remove(_ context.Context, _ string, progress func(string)) error {
	return d.refuse(progress)
}

func (d evilDaemon) RemoveFile(_ context.Context, _ string, _ bool, progress func(string)) error {
	return d.refuse(progress)
}

func (d evilDaemon) Restart(_ context.Context, _, _ string, progress func(string)) error {
	return d.refuse(progress)
}

func (d evilDaemon) Rollback(_ context.Context, _ string, _ int, progress func(string)) error {
	return d.refuse(progress)
}

func (d evilDaemon) Stop(_ context.Context, _ string, progress func(string)) error {
	return d.refuse(progress)
}

func (d evilDaemon) Start(_ context.Context, _ string, progress func(string)) error {
	return d.refuse(progress)
}

func (evilDaemon) Wait(context.Context, string) (uint32, error) { return 0, errEvil }

func (evilDaemon) Exec(_ context.Context, req host.ExecRequest) (uint32, error) {
	_, err := io.WriteString(req.Stdout, "evil"+evil)
	if !req.TTY {
		_, err = io.WriteString(req.Stderr, "evil"+evil)
	}
	return 0, err
}

func (evilDaemon) logs(_ context.Context, _ api.LogRequest, emit func(api.LogLine) error) error {
	return errors.Join(
		emit(api.LogLine{Container: "web", Text: strings.Repeat("大", 4000) + "evil" + evil}), // longer than a buffer
		emit(api.LogLine{Container: "evil" + evil, Stream: evil}), emit(api.LogLine{Container: "evil" + evil, Stream: evil, Missed: 1}))
}

func (evilDaemon) removed() ([]api.RemovedOutput, error) {
	return []api.RemovedOutput{{Group: "evil" + evil, Containers: []string{evil}}}, nil
}

func (evilDaemon) events(_ context.Context, _ group.EventQuery, emit func(group.Event) error) error {
	return errors.Join(
		emit(group.Event{Group: "evil" + evil, Container: evil, Kind: group.EventKind(evil), Text: evil}),
		emit(group.Event{Group: evil, Kind: group.EventDenied, Denial: &host.Denial{Container: "evil" + evil, Protocol: evil}, Text: evil}),
		errEvil)
}
