package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

// The table in docs/commands.md is the one of the command.
func TestStatusesInDocuments(t *testing.T) {
	const path, begin = "../../docs/commands.md", "| status | of | meaning |\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, "\n\n")
	if !ok || !ended {
		t.Fatalf("%s has no table that begins with %q", path, begin)
	}
	others := "all but `" + strings.Join(programVerbs(), "` and `") + "`"
	var b strings.Builder
	b.WriteString(begin + "| --- | --- | --- |\n")
	for _, r := range statuses {
		of := "all"
		switch {
		case r.verbs != nil:
			of = "`" + strings.Join(r.verbs, "`, `") + "`"
		case !r.of(programVerbs()[0]):
			of = others
		}
		fmt.Fprintf(&b, "| %d | %s | %s |\n", r.status, of, r.text)
	}
	fmt.Fprintf(&b, "| any | `%s` | the status of the program |\n", strings.Join(programVerbs(), "`, `"))
	want := before + b.String() + "\n" + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("go test ./cmd/sallyport -run TestStatusesInDocuments -update writes the table (-want +got):\n%s", diff)
	}
}

// statusesOf runs each line of a file as "STATUS ARGUMENTS..." and expects that status. The table
// of the command has to have it for the verb. Each verb and each row of the table has to have a
// line.
func statusesOf(ts *testscript.TestScript, neg bool, args []string) {
	var problems []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	model := newParser(&cli{}).Model
	seen := map[string][]int{}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		words := strings.Fields(line)
		want, err := strconv.Atoi(words[0])
		ts.Check(err)
		got := 0
		err = ts.Exec("sallyport", words[1:]...)
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			got = exit.ExitCode()
		} else {
			ts.Check(err)
		}
		if got != want {
			problem("%q exits with %d", strings.TrimSpace(line), got)
		}
		verb := ""
		for _, word := range words[1:] {
			if verb == "" && isVerb(model, word) && words[1] != "help" {
				verb = word
			}
		}
		seen[verb] = append(seen[verb], got)
		known := slices.ContainsFunc(statuses, func(r statusRow) bool { return r.status == got && r.of(verb) })
		if anyOther := returnsStatus(verb) && strings.Contains(line, " -- ") || line == "3    wait sealed\n"; !known && !anyOther {
			problem("%q exits with %d, which the table does not have for %q", strings.TrimSpace(line), got, verb)
		}
	}
	for _, verb := range model.Children {
		mistake := statusUsage
		if returnsStatus(verb.Name) {
			mistake = statusOwn
		}
		if !slices.Contains(seen[verb.Name], mistake) {
			problem("no line has a mistake in the command line of %s", verb.Name)
		}
	}
	for _, r := range statuses {
		for _, verb := range r.verbs {
			if r.status != statusAgain && !slices.Contains(seen[verb], r.status) { // that is tested by TestFollow
				problem("no line has %s with %d", verb, r.status)
			}
		}
	}
	if neg || len(problems) > 0 {
		ts.Fatalf("%d problems:\n%s", len(problems), strings.Join(problems, "\n"))
	}
}

// A signal that comes before a verb is done ends it with its status, also a verb that exits with
// that of a program.
func TestInterrupted(t *testing.T) {
	dir, err := os.MkdirTemp("", "sp") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "sallyport.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	file := filepath.Join(dir, "web.hcl")
	if err := os.WriteFile(file, []byte("group \"web\" {\n egress = \"none\"\n app \"app\" { image = \"web:1\" }\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"ps", "status web", "logs web", "logs -f web", "events", "events -f", "denials", "df", "images", "images prune", "pull web", "login -u bob --password-stdin registry.example", "logout registry.example", "exec web -- true",
		"cp web:/x .", "cp FILE web:/x", "signal web HUP", "restart web db", "stop web db", "start web", "history web", "rollback web", "wait web", "wait --timeout 1h web", "rm web db", "rm --ignore web.hcl", "plan FILE", "apply FILE",
	} {
		for _, tt := range []struct {
			signal syscall.Signal
			want   int
		}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}} {
			t.Run(line+" "+tt.signal.String(), func(t *testing.T) {
				null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer null.Close()
				var stderr bytes.Buffer
				ui := newUI(null, null, null, nil)
				ui.err = &stderr
				asked := make(chan net.Conn, 1)
				go func() { // the verb waits for an answer to its first question when the signal comes
					conn, err := l.Accept()
					if err == nil {
						_, err = conn.Read(make([]byte, 1))
					}
					if err == nil {
						err = syscall.Kill(os.Getpid(), tt.signal)
					}
					if err != nil {
						t.Error(err)
					}
					asked <- conn
				}()
				status := run(argsOf(socket, strings.ReplaceAll(line, "FILE", file)), ui)
				if conn := <-asked; conn != nil {
					conn.Close()
				}
				if said := stderr.String(); status != tt.want || !strings.HasPrefix(said, "sallyport: error: interrupted\n") {
					t.Errorf("exit status %d, want %d; standard error %q", status, tt.want, said)
				}
			})
		}
	}
}

// What came before an interrupt is told all the same.
func TestInterruptedAfterFailures(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&signalled{syscall.SIGINT})
	unknown := &hint.Error{Err: fmt.Errorf("group %q: %w", "chekout", group.ErrNoGroup), Hint: "did you mean \"checkout\"?"}
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"alone", fmt.Errorf("stop: %w", context.Canceled), "sallyport: error: interrupted\n"},
		{"after another group's", failures{unknown, interrupted(ctx, ctx.Err(), "the stop continues")}, "" +
			"sallyport: error: group \"chekout\": no such group\nsallyport: hint: did you mean \"checkout\"?\n" +
			"sallyport: error: interrupted\nsallyport: hint: the stop continues\n"},
	} {
		var stderr bytes.Buffer
		status := (&ui{err: &stderr}).fail(endedBySignal(ctx, tt.err))
		if diff := cmp.Diff(tt.want, stderr.String()); diff != "" || status != 130 {
			t.Errorf("%s: exit status %d, standard error (-want +got):\n%s", tt.name, status, diff)
		}
	}
	if err := endedBySignal(ctx, nil); err != nil {
		t.Errorf("a verb that was done: %v", err)
	}
}

func TestVerbOf(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"wait", "wait"}, {"--bogus wait web", "wait"}, {"wait --bogus", "wait"}, {"exec web -- wait", "exec"}, {"status web.app", "status"}, {"frobnicate", ""}, {"--bogus", ""},
	} {
		var c cli
		args := strings.Fields(tt.line)
		command, err := c.parse(t.Context(), args, &ui{environ: []string{}})
		if got := verbOf(command, err, args); got != tt.want {
			t.Errorf("%q: verb %q, want %q", tt.line, got, tt.want)
		}
	}
}

func isVerb(model *kong.Application, word string) bool {
	return slices.ContainsFunc(model.Children, func(verb *kong.Node) bool { return verb.Name == word })
}
