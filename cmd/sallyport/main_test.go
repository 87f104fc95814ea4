package main

import (
	"bufio"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in the scripts")

// TestMain makes the real main available to the scripts as the command sallyport, in a process of
// its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sallyport": main})
}

// TestScripts runs the scripts that need neither root nor a daemon, and those that show a refusal.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("SALLYPORT_RUN_DIR", filepath.Join(env.WorkDir, "run"))
			return nil
		},
		Cmds:      map[string]func(*testscript.TestScript, bool, []string){"status": status},
		Condition: func(cond string) (bool, error) { return cond == "root" && os.Geteuid() == 0, nil },
	})
}

// status runs a command and expects the exit status in the first argument. The output is then in
// stdout and stderr.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

// interruptedOnce runs a command until it has printed a line that matches, and then interrupts it
// as Ctrl-C does. The command must then exit with 0 and print nothing to standard error.
func interruptedOnce(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: interrupted REGEXP COMMAND...")
	}
	want, cmd := regexp.MustCompile(args[0]), exec.Command(args[1], args[2:]...)
	for _, name := range []string{"SALLYPORT_RUN_DIR", "TZ"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	stuck := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	seen := false
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if !seen && want.MatchString(lines.Text()) {
			seen = true
			ts.Check(cmd.Process.Signal(os.Interrupt))
		}
	}
	if err := cmd.Wait(); err != nil || !seen || stderr.Len() > 0 {
		ts.Fatalf("printed a line like %q: %v; its end: %v; standard error: %q", args[0], seen, err, &stderr)
	}
}
