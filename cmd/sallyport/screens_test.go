package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/containerd/console"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/term"
)

// screenLines are the command lines whose output is compared with testdata/screens/VERB.txt, in a
// pipe and on terminals of several widths. Every verb has one at least; -update writes the files.
var screenLines = []string{
	"validate checkout.hcl",
	"validate wrong.hcl",
	"fmt checkout.hcl",
	"fmt --check loose.hcl",
	"fmt --diff loose.hcl",
	"fmt half.hcl",
	"schema x", // a mistake, since the schema is long
	"plan checkout.hcl",
	"version",
	"apply checkout.hcl",
	"apply --detach checkout.hcl",
	"apply nowhere.hcl",
	"rollback checkout",
	"rollback --to 1 checkout",
	"history checkout",
	"history --values sealed",
	"diff checkout",
	"diff checkout 9",
	"run checkout.hcl",
	"run --detach checkout.hcl",
	"run nowhere.hcl",
	"run ls",
	"wait sealed",
	"wait --timeout 1ms checkout",
	"rm checkout",
	"ps",
	"ps chekout sealed",
	"ps -q",
	"status checkout",
	"status chekout",
	"df",
	"df shop",
	"lock --check nowhere.hcl",
	"lock checkout.hcl",
	"lock nowhere.hcl",
	"plan --locked half.hcl",
	"images",
	"images prune",
	"images load app.tar",
	"images rm old:1",
	"images rm web:1",
	"images pull web:1",
	"pull checkout",
	"pull sealed",
	"pull web:1",
	"pull chekout",
	"login --password-stdin registry.example",
	"logout registry.example",
	"logs checkout",
	"logs --removed",
	"events",
	"denials",
	"exec checkout.web -- complain",
	"cp checkout:/file new",
	"cp checkout:/dir .",
	"cp checkout.hcl checkout:/closed",
	"port-forward checkout 0:22",
	"signal checkout.web TERM",
	"signal checkout.gone TERM",
	"restart checkout",
	"stop checkout sealed",
	"start checkout",
	"daemon x", // a mistake, since the verb itself would change this host
	"containerd x",
	"output x",
	"follow nowhere",
	"doctor x",
}

// screenContent are the lines that print what containers have written, as it is.
var screenContent = []string{"diff checkout", "logs checkout", "exec checkout.web -- complain"}

var screenWidths = []uint16{40, 80, 120}

// TestScreens compares what every verb prints.
func TestScreens(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"checkout.hcl": "group \"checkout\" {\n  egress = \"none\"\n  app \"web\" {\n    image = \"web:1\"\n  }\n}\n",
		"loose.hcl":    "group \"checkout\" {\n  egress=\"none\"\n  app \"web\" {\n      image=\"web:1\"\n  }\n}\n",
		"half.hcl":     "group \"checkout\" {\n",
		"nowhere.hcl":  "group \"checkout\" {\n  egress = \"none\"\n  app \"web\" {\n    image = \"nowhere:1\"\n  }\n}\n",
		"wrong.hcl":    "group \"checkout\" {\n  egress = \"none\"\n  app \"web\" {\n    image = \"web:1\"\n    memroy = \"64MiB\"\n  }\n}\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	zone := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = zone })

	var c cli
	for _, verb := range newParser(&c).Model.Children {
		t.Run(verb.Name, func(t *testing.T) {
			var golden txtar.Archive
			section := func(name, text string) {
				golden.Files = append(golden.Files, txtar.File{Name: name, Data: []byte(text)})
			}
			for _, line := range screenLines {
				if word, _, _ := strings.Cut(line, " "); word == verb.Name {
					checkScreens(t, line, section)
				}
			}
			if len(golden.Files) == 0 {
				t.Errorf("no line of screenLines has %q", verb.Name)
			}
			for _, columns := range screenWidths {
				golden.Files = append(golden.Files, helpScreen(t, columns, verb.Name, "--help"))
			}
			compareGolden(t, verb.Name, &golden)
		})
	}
	t.Run("sallyport", func(t *testing.T) {
		var golden txtar.Archive
		for _, columns := range screenWidths {
			golden.Files = append(golden.Files, helpScreen(t, columns, "--help"))
		}
		compareGolden(t, "sallyport", &golden)
	})
}

func helpScreen(t *testing.T, columns uint16, args ...string) txtar.File {
	t.Helper()
	text := helpText(t, screen{width: int(columns), color: true}, args...)
	checkWidth(t, text, int(columns))
	return txtar.File{Name: fmt.Sprintf("%s, %d columns", strings.Join(args, " "), columns), Data: []byte(withTags(text))}
}

var screensDir, _ = filepath.Abs(filepath.Join("testdata", "screens"))

func compareGolden(t *testing.T, verb string, got *txtar.Archive) {
	t.Helper()
	path := filepath.Join(screensDir, verb+".txt")
	text := txtar.Format(got)
	if *update {
		if err := errors.Join(os.MkdirAll(screensDir, 0o755), os.WriteFile(path, text, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), string(text)); diff != "" {
		t.Errorf("%s (-want +got)\n%s", path, diff)
	}
}

// checkScreens runs a command line on terminals and in pipes.
func checkScreens(t *testing.T, line string, section func(name, text string)) {
	t.Helper()
	for _, columns := range screenWidths {
		text, status := onScreen(t, line, columns)
		if !slices.Contains(screenContent, line) {
			checkWidth(t, text, int(columns))
		}
		section(fmt.Sprintf("%s, %d columns", line, columns), withTags(text)+statusText(status))
		if columns != 80 {
			continue
		}
		noColors, _ := onScreen(t, line, columns, "NO_COLOR=1")
		if diff := gocmp.Diff(sequences.ReplaceAllString(text, ""), noColors); diff != "" {
			t.Errorf("%s: NO_COLOR changes more than colours (-without +with)\n%s", line, diff)
		}
	}
	out, errs, status := inPipe(t, line)
	section(line+", pipe", out+statusText(status))
	if errs != "" {
		section(line+", pipe, standard error", errs)
	}
	if strings.Contains(out+errs, "\x1b") {
		t.Errorf("%s: colours in a pipe: %q", line, out+errs)
	}
	checkClosedPipe(t, line, out, errs, status)
}

func statusText(status int) string {
	if status == 0 {
		return ""
	}
	return fmt.Sprintf("(exit status %d)\n", status)
}

// screenUI returns a ui whose time stands still.
func screenUI(out, err *os.File, environ ...string) *ui {
	u := newUI(nil, out, err, append(environ, "SALLYPORT_RUN_DIR="+os.Getenv("SALLYPORT_RUN_DIR")))
	u.clock = func() time.Time { return now }
	return u
}

// onScreen returns what a terminal of so many columns gets.
func onScreen(t *testing.T, line string, columns uint16, environ ...string) (text string, status int) {
	t.Helper()
	serveSample(t)
	master, slave := openPTY(t)
	if _, err := term.MakeRaw(int(slave.Fd())); err != nil { // else the kernel adds carriage returns
		t.Fatal(err)
	}
	if err := master.Resize(console.WinSize{Width: columns, Height: 24}); err != nil {
		t.Fatal(err)
	}
	all := received(t, master)
	status = run(strings.Fields(line), screenUI(slave, slave, environ...))
	return steady(all(slave)), status
}

// inPipe returns what two pipes get.
func inPipe(t *testing.T, line string) (out, errs string, status int) {
	t.Helper()
	serveSample(t)
	read := func() (*os.File, <-chan string) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		received := make(chan string)
		go func() {
			defer r.Close()
			all, _ := io.ReadAll(r)
			received <- string(all)
		}()
		return w, received
	}
	outFile, outText := read()
	errFile, errText := read()
	status = run(strings.Fields(line), screenUI(outFile, errFile))
	outFile.Close()
	errFile.Close()
	return steady(<-outText), steady(<-errText), status
}

// checkClosedPipe fails unless a command whose reader has gone ends as other programs do: by
// SIGPIPE at its first output, and without a word.
func checkClosedPipe(t *testing.T, line, out, errs string, status int) {
	t.Helper()
	serveSample(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	command := exec.Command("sallyport", strings.Fields(line)...)
	var said bytes.Buffer
	command.Stdout, command.Stderr = w, &said
	err = command.Run()
	exit, _ := errors.AsType[*exec.ExitError](err)
	switch {
	case out == "" && command.ProcessState.ExitCode() != status:
		t.Errorf("%s: nothing to print and no reader: %v, want exit status %d", line, err, status)
	case out != "" && (exit == nil || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE):
		t.Errorf("%s: no reader: %v, want the end by SIGPIPE", line, err)
	case !strings.HasPrefix(errs, steady(said.String())):
		t.Errorf("%s: no reader: the command prints %q", line, said.String())
	}
}

// steady replaces what differs from one build to the next.
func steady(text string) string {
	return regexp.MustCompile(`(?s)^sallyport [^:]*\ndaemon `).ReplaceAllString(text, "sallyport VERSION\ndaemon ")
}

// checkWidth fails if a line is too wide, unless it has a single word.
func checkWidth(t *testing.T, text string, columns int) {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimLeft(sequences.ReplaceAllString(line, ""), " ")
		if textWidth(line) > columns && strings.Contains(line, " ") {
			t.Errorf("a line has more than %d columns: %s", columns, line)
		}
	}
}

// withTags shows colours.
func withTags(text string) string {
	return sequences.ReplaceAllStringFunc(text, func(s string) string {
		s = strings.Trim(s, "\x1b[m")
		names := map[string]string{"0": "/", "1": "bold", "1;31": "bold red", "31": "red", "32": "green", "33": "yellow"}
		return "<" + cmp.Or(names[s], s) + ">"
	})
}

// helpText returns the help that a command line prints.
func helpText(t *testing.T, s screen, args ...string) (text string) {
	t.Helper()
	type printed struct{}
	var c cli
	var out strings.Builder
	parser := newParser(&c, kong.Writers(&out, io.Discard), kong.Help(helpOn(s)), kong.Exit(func(int) { panic(printed{}) }))
	defer func() {
		if r := recover(); r != (printed{}) {
			t.Fatalf("no help for %q: %v", args, r)
		}
		text = out.String()
	}()
	_, err := parser.Parse(args)
	t.Fatalf("no help for %q: %v", args, err)
	return ""
}
