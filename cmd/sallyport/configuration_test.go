package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/config"
	"github.com/sallyport/sallyport/shim/ctrd/registry"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/logs/bound"
	"github.com/sallyport/sallyport/shim/prune"
	"github.com/sallyport/sallyport/shim/signed"
	"github.com/sallyport/sallyport/shim/signed/signedtest"
	"github.com/sallyport/sallyport/spec"
)

// parsed reads a command line as run does.
func parsed(t *testing.T, args ...string) (*cli, *kong.Context) {
	t.Helper()
	var c cli
	command, err := c.parse(context.Background(), args, &ui{})
	if err != nil {
		t.Fatal(err)
	}
	return &c, command
}

// rootWith returns an instance's folder with a configuration.
func rootWith(t *testing.T, text string) (root, file string) {
	t.Helper()
	root = t.TempDir()
	file = filepath.Join(root, config.FileName)
	writeText(t, file, text)
	return root, file
}

func writeText(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A flag goes before the environment, the environment before the file, the file before the default.
func TestPrecedence(t *testing.T) {
	root, file := rootWith(t, `
log_level = "warn"
folders {
  run   = "/file/Run"
  state = "/file/state"
  logs  = "/file/logs"
}
containerd { shim = "host" }
`)
	t.Setenv("SALLYPORT_STATE_DIR", "/environ/state")
	t.Setenv("SALLYPORT_LOG_DIR", "/environ/logs")
	want := []api.Setting{
		{Name: "log_level", Value: "error", Source: "--log-level"},
		{Name: "folders.run", Value: "/file/Run", Source: file + ":4"},
		{Name: "folders.state", Value: "/environ/state", Source: "SALLYPORT_STATE_DIR"},
		{Name: "folders.logs", Value: "/flag/logs", Source: "--log-dir"},
		{Name: "containerd.shim", Value: "host", Source: file + ":8"},
	}
	for _, verb := range []string{"daemon", "doctor"} {
		t.Run(verb, func(t *testing.T) {
			c, command := parsed(t, "--root", root, verb, "--log-dir=/flag/logs", "--log-level=error")
			flags := &c.Daemon.daemonFlags
			if verb == "doctor" {
				flags = &c.Doctor.daemonFlags
			}
			s, err := c.Instance.settings(command, flags)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, s.set); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			l, err := c.Instance.layout(flags.paths)
			if err != nil || l.RunDir != "/file/Run" || l.StateDir != "/environ/state" || l.LogDir != "/flag/logs" || l.GroupsDir != root+"/groups.d" {
				t.Errorf("layout %+v, %v", l, err)
			}
			if flags.Shim != "host" || flags.LogLevel.Level() != slog.LevelError {
				t.Errorf("shim %s, level %s", flags.Shim, flags.LogLevel.Level())
			}
		})
	}
	t.Run("a client finds the socket", func(t *testing.T) {
		c, _ := parsed(t, "ps", "--root", root)
		if l, err := c.Instance.layout(paths{}); err != nil || l.Socket() != "/file/Run/sallyport.sock" {
			t.Errorf("socket %s, %v", l.Socket(), err)
		}
	})
	t.Run("another file", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "other.hcl")
		writeText(t, other, "containerd {\n  shim = \"group\"\n}\n")
		t.Setenv("SALLYPORT_CONFIG", other)
		c, _ := parsed(t, "daemon", "--root", root)
		if c.Daemon.Shim != "group" || c.Instance.RunDir != "" {
			t.Errorf("shim %s, run folder %s", c.Daemon.Shim, c.Instance.RunDir)
		}
	})
	t.Run("a file that is named has to be there", func(t *testing.T) {
		c, _ := parsed(t, "daemon", "--config", root+"/none.hcl")
		if err := c.Instance.conf.problem(); err == nil || !strings.Contains(err.Error(), "none.hcl") {
			t.Errorf("got %v", err)
		}
	})
}

// Every setting has a flag of the daemon and of doctor, and the default that it names.
func TestSettingsAreFlags(t *testing.T) {
	t.Setenv("SALLYPORT_CONFIG", os.DevNull+"/none") // a file of this machine must not count
	c, command := parsed(t, "daemon")
	_, doctor := parsed(t, "doctor")
	c.Instance.conf = readConfiguration(t.Context(), "", t.TempDir())
	s, err := c.Instance.settings(command, &c.Daemon.daemonFlags)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range config.Settings {
		if flagNamed(command, x.Flag) == nil || flagNamed(doctor, x.Flag) == nil {
			t.Errorf("%s: no flag --%s", x.FullName(), x.Flag)
		}
		value, ok := s.effective[x.FullName()]
		if !ok || value != x.Default {
			t.Errorf("%s: the default is %q, and the file has %q", x.FullName(), value, x.Default)
		}
	}
	if len(s.effective) != len(config.Settings) {
		t.Errorf("%d settings in force, %d in the file", len(s.effective), len(config.Settings))
	}
}

// The file that packages install is up to date, changes nothing, and is valid once its settings are
// no comments any more.
func TestSampleConfiguration(t *testing.T) {
	const name = config.FileName
	if *update {
		writeText(t, name, config.Sample())
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Sample(), string(text)); diff != "" {
		t.Errorf("%s (-settings +file), -update writes it:\n%s", name, diff)
	}
	if file, diags := config.Parse(name, text); len(file) > 0 || len(diags) > 0 {
		t.Errorf("as it is: %v, %v", file, diags)
	}
	_, settings, _ := strings.Cut(string(text), "\n\n")
	file, diags := config.Parse(name, []byte(regexp.MustCompile(`(?m)^# ?`).ReplaceAllString(settings, "")))
	if diags.HasErrors() || len(file) != len(config.Settings) {
		t.Errorf("without the comments: %v, %v", file, diags)
	}
}

// docs/configuration.md has one row for each setting, as the code has it.
func TestConfigurationDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, command := parsed(t, "daemon")
	var want []string
	for _, s := range config.Settings {
		value, reload := "`"+s.Default+"`", "restart"
		if s.Default == "" {
			value = ""
		}
		if s.Live {
			reload = "reload"
		}
		want = append(want, fmt.Sprintf("| `%s` | `--%s`, `%s` | %s | %s | %s |",
			s.FullName(), s.Flag, flagNamed(command, s.Flag).Envs[0], value, reload, s.About))
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `") {
			got = append(got, strings.TrimSuffix(line, "\n"))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-settings +docs/configuration.md):\n%s", diff)
	}
}

// rootsFiles is a host on which root owns every file.
func rootsFiles(string) (inode, error) { return inode{}, nil }

func TestReloadConfiguration(t *testing.T) {
	root, file := rootWith(t, "log_level = \"warn\"\nnetwork {\n  prefix4 = \"10.1.0.0/16\"\n}\n")
	t.Setenv("SALLYPORT_STATE_DIR", "/environ/state")
	c, command := parsed(t, "--root", root, "daemon", "--table", "mine")
	now, err := c.Instance.settings(command, &c.Daemon.daemonFlags)
	if err != nil {
		t.Fatal(err)
	}
	level := &slog.LevelVar{}
	level.Set(c.Daemon.LogLevel.Level())
	var log bytes.Buffer
	look := rootsFiles
	conf := newConfigurationInForce(now, readAgain(command, func(path string) (inode, error) { return look(path) }), level, slog.New(slog.NewTextHandler(&log, nil)))
	var admitted api.Access
	conf.admit = func(a api.Access) error { admitted = a; return nil }
	var bounds bound.Settings
	conf.bound = func(s bound.Settings) error {
		if s.Size == 9<<20 {
			return errors.New("no space left on device")
		}
		bounds = s
		return nil
	}
	metrics, prepared := "", 0 // where they are served, and how often neither commit nor cancel was called
	conf.metrics = func(address string, _ api.Access) (commit, cancel func(), err error) {
		if address == "127.0.0.1:1" {
			return nil, nil, errors.New("address already in use")
		}
		prepared++
		return func() { prepared--; metrics = address }, func() { prepared-- }, nil
	}
	var limits prune.Limits
	conf.prune = func(l prune.Limits) { limits = l }
	var runs keeper.RunLimits
	conf.runs = func(next settings) { runs = runLimits(next) }
	var reached registry.Settings
	conf.reach = func(next settings) { reached = next.registries() }
	var demands signed.Demands
	conf.sign = func(d signed.Demands) { demands = d }
	state := api.Setting{Name: "folders.state", Value: "/environ/state", Source: "SALLYPORT_STATE_DIR"}
	table := api.Setting{Name: "network.table", Value: "mine", Source: "--table"}
	prefix := func(value string, line int) api.Setting {
		return api.Setting{Name: "network.prefix4", Value: value, Source: fmt.Sprintf("%s:%d", file, line)}
	}
	logLevel := func(value string) api.Setting {
		return api.Setting{Name: "log_level", Value: value, Source: file + ":1"}
	}
	started := api.Configuration{File: file, Settings: []api.Setting{logLevel("warn"), state, prefix("10.1.0.0/16", 3), table}}
	for _, step := range []struct {
		name, text string
		look       func(string) (inode, error)
		level      slog.Level
		want       api.Configuration
		log        string
	}{
		{"nothing changed", "log_level = \"warn\"\nnetwork {\n  prefix4 = \"10.1.0.0/16\"\n}\n", rootsFiles, slog.LevelWarn, started, ""},
		{"a setting that can change, and others that can't", "log_level = \"debug\"\nnetwork {\n\n  prefix4 = \"10.2.0.0/16\"\n  table = \"theirs\"\n}\n", rootsFiles, slog.LevelDebug,
			api.Configuration{File: file, Settings: []api.Setting{logLevel("debug"), state, prefix("10.1.0.0/16", 3), table}, Restart: []api.Setting{prefix("10.2.0.0/16", 4)}},
			"setting waits for a restart of the daemon"},
		{"a mistake", "log_level = \"error\"\nnetwork {\n  prefix4 = 5\n}\n", rootsFiles, slog.LevelDebug,
			api.Configuration{File: file, Settings: []api.Setting{logLevel("debug"), state, prefix("10.1.0.0/16", 3), table}, Restart: []api.Setting{prefix("10.2.0.0/16", 4)},
				Problem: file + `:3:13: Wrong type: "prefix4" is text in quotes, without variables, functions or ${...}. Write: prefix4 = "10.209.0.0/16"`},
			"configuration not read, so nothing of it changed"},
		{"a stranger's file", "log_level = \"error\"\n", func(string) (inode, error) { return inode{uid: 1000}, nil }, slog.LevelDebug,
			api.Configuration{File: file, Settings: []api.Setting{logLevel("debug"), state, prefix("10.1.0.0/16", 3), table}, Restart: []api.Setting{prefix("10.2.0.0/16", 4)},
				Problem: "configuration " + file + ": / belongs to uid 1000, who could replace what the daemon runs"},
			"configuration not read, so nothing of it changed"},
		{"a group that is not there", "log_level = \"error\"\naccess {\n  readers = \"no-such-group-here\"\n}\n", rootsFiles, slog.LevelDebug,
			api.Configuration{File: file, Settings: []api.Setting{logLevel("debug"), state, prefix("10.1.0.0/16", 3), table}, Restart: []api.Setting{prefix("10.2.0.0/16", 4)},
				Problem: file + `:3: access.readers: this host has no group "no-such-group-here"`},
			"configuration not read, so nothing of it changed"},
		{"groups", "log_level = \"debug\"\naccess {\n  operators = \"0\"\n  readers   = \"7\"\n}\nnetwork {\n  prefix4 = \"10.1.0.0/16\"\n}\n", rootsFiles, slog.LevelDebug,
			api.Configuration{File: file, Settings: []api.Setting{logLevel("debug"), {Name: "access.operators", Value: "0", Source: file + ":3"},
				{Name: "access.readers", Value: "7", Source: file + ":4"}, state, prefix("10.1.0.0/16", 7), table}},
			"setting changed"},
		{"output", "log_level = \"debug\"\noutput {\n  size    = \"8MiB\"\n  total   = \"1GiB\"\n  removed = \"2h\"\n}\nnetwork {\n  prefix4 = \"10.1.0.0/16\"\n}\n", rootsFiles, slog.LevelDebug,
			api.Configuration{File: file, Settings: []api.Setting{logLevel("debug"), state, {Name: "output.size", Value: "8MiB", Source: file + ":3"},
				{Name: "output.total", Value: "1GiB", Source: file + ":4"}, {Name: "output.removed", Value: "2h", Source: file + ":5"}, prefix("10.1.0.0/16", 8), table}},
			"setting changed"},
		{"metrics", "log_level = \"debug\"\nmetrics { listen = \"127.0.0.1:9469\" }\nnetwork {\n  prefix4 = \"10.1.0.0/16\"\n}\n", rootsFiles, slog.LevelDebug,
			api.Configuration{File: file, Settings: []api.Setting{logLevel("debug"), state, {Name: "metrics.listen", Value: "127.0.0.1:9469", Source: file + ":2"}, prefix("10.1.0.0/16", 4), table}},
			"setting changed"},
		{"metrics at a port that is in use", "log_level = \"error\"\nmetrics { listen = \"127.0.0.1:1\" }\n", rootsFiles, slog.LevelDebug,
			api.Configuration{File: file, Settings: []api.Setting{logLevel("debug"), state, {Name: "metrics.listen", Value: "127.0.0.1:9469", Source: file + ":2"}, prefix("10.1.0.0/16", 4), table},
				Problem: file + ":2: metrics.listen: address already in use"},
			"configuration not read, so nothing of it changed"},
		{"metrics, and output that can't be bounded", "output { size = \"9MiB\" }\nmetrics { listen = \"off\" }\n", rootsFiles, slog.LevelDebug,
			api.Configuration{File: file, Settings: []api.Setting{logLevel("debug"), state, {Name: "metrics.listen", Value: "127.0.0.1:9469", Source: file + ":2"}, prefix("10.1.0.0/16", 4), table},
				Problem: "no space left on device"},
			"configuration not read, so nothing of it changed"},
		{"images", "log_level = \"debug\"\nimages {\n  unused = \"168h\"\n  total  = \"10GiB\"\n}\nnetwork {\n  prefix4 = \"10.1.0.0/16\"\n}\n", rootsFiles, slog.LevelDebug,
			api.Configuration{File: file, Settings: []api.Setting{logLevel("debug"), state, {Name: "images.unused", Value: "168h", Source: file + ":3"},
				{Name: "images.total", Value: "10GiB", Source: file + ":4"}, prefix("10.1.0.0/16", 7), table}},
			"setting changed"},
		{"runs", "log_level = \"debug\"\nruns {\n  at_once = \"2\"\n  queued  = \"0\"\n  keep    = \"2d\"\n  records = \"5\"\n}\nnetwork {\n  prefix4 = \"10.1.0.0/16\"\n}\n", rootsFiles, slog.LevelDebug,
			api.Configuration{File: file, Settings: []api.Setting{logLevel("debug"), state, {Name: "runs.at_once", Value: "2", Source: file + ":3"},
				{Name: "runs.queued", Value: "0", Source: file + ":4"}, {Name: "runs.keep", Value: "2d", Source: file + ":5"},
				{Name: "runs.records", Value: "5", Source: file + ":6"}, prefix("10.1.0.0/16", 9), table}},
			"setting changed"},
		{"registries", "log_level = \"debug\"\nregistries {\n  docker_config = \"none\"\n  max_concurrent = \"5\"\n  rate = \"1MiB\"\n  window = \"22:00-06:00\"\n}\nnetwork {\n  prefix4 = \"10.1.0.0/16\"\n}\n", rootsFiles, slog.LevelDebug,
			api.Configuration{File: file, Settings: []api.Setting{logLevel("debug"), state, {Name: "registries.docker_config", Value: "none", Source: file + ":3"},
				{Name: "registries.max_concurrent", Value: "5", Source: file + ":4"}, {Name: "registries.rate", Value: "1MiB", Source: file + ":5"},
				{Name: "registries.window", Value: "22:00-06:00", Source: file + ":6"}, prefix("10.1.0.0/16", 9), table}},
			"setting changed"},
		{"signed_by, without the key", "log_level = \"error\"\nsigned_by \"r.example\" {\n  key = \"/nowhere/team.pub\"\n}\n", rootsFiles, slog.LevelDebug,
			api.Configuration{File: file, Settings: []api.Setting{logLevel("debug"), state, {Name: "registries.docker_config", Value: "none", Source: file + ":3"},
				{Name: "registries.max_concurrent", Value: "5", Source: file + ":4"}, {Name: "registries.rate", Value: "1MiB", Source: file + ":5"},
				{Name: "registries.window", Value: "22:00-06:00", Source: file + ":6"}, prefix("10.1.0.0/16", 9), table},
				Problem: file + ":2: signed_by \"r.example\": read /nowhere/team.pub: no such file or directory"},
			"configuration not read, so nothing of it changed"},
		{"keys", "log_level = \"debug\"\nsigned_by \"r.example\" {\n  key = \"none\"\n}\nnetwork {\n  prefix4 = \"10.1.0.0/16\"\n}\n", rootsFiles, slog.LevelDebug,
			api.Configuration{File: file, Settings: []api.Setting{logLevel("debug"), {Name: "signed_by", Value: "r.example=none", Source: file + ":2"}, state, prefix("10.1.0.0/16", 6), table}},
			"setting changed"},
		{"as it was at the start", "log_level = \"warn\"\nnetwork {\n  prefix4 = \"10.1.0.0/16\"\n}\n", rootsFiles, slog.LevelWarn, started, "setting changed"},
	} {
		log.Reset()
		writeText(t, file, step.text)
		look = step.look
		conf.reload()
		if diff := cmp.Diff(step.want, conf.show()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
		if got := admitted.Operators != nil && *admitted.Operators == 0 && *admitted.Readers == 7; got != (step.name == "groups") {
			t.Errorf("%s: admitted %+v", step.name, admitted)
		}
		if prepared != 0 {
			t.Errorf("%s: %d changes of the metrics are neither made nor given up", step.name, prepared)
		}
		if got := metrics != ""; got != strings.HasPrefix(step.name, "metrics") {
			t.Errorf("%s: metrics at %q", step.name, metrics)
		}
		wantBounds := bound.Defaults
		if step.name == "output" {
			wantBounds = bound.Settings{Size: 8 << 20, Total: 1 << 30, Removed: 2 * time.Hour}
		}
		if bounds != wantBounds {
			t.Errorf("%s: output %+v, want %+v", step.name, bounds, wantBounds)
		}
		wantLimits := prune.Limits{}
		if step.name == "images" {
			wantLimits = prune.Limits{Unused: 168 * time.Hour, Total: 10 << 30}
		}
		if limits != wantLimits {
			t.Errorf("%s: images %+v, want %+v", step.name, limits, wantLimits)
		}
		wantRuns := keeper.DefaultRunLimits
		if step.name == "runs" {
			wantRuns = keeper.RunLimits{AtOnce: 2, Queued: 0, Keep: 48 * time.Hour, Records: 5}
		}
		if runs != wantRuns {
			t.Errorf("%s: runs %+v, want %+v", step.name, runs, wantRuns)
		}
		wantReached := registry.Settings{DockerConfig: "/root/.docker/config.json", Hosts: "/etc/containerd/certs.d", MaxConcurrent: 3}
		if strings.HasPrefix(step.name, "registries") || strings.HasPrefix(step.name, "signed_by") {
			wantReached = registry.Settings{Hosts: "/etc/containerd/certs.d", MaxConcurrent: 5, Rate: 1 << 20, Window: registry.Window{From: 22 * time.Hour, To: 6 * time.Hour}}
		}
		if reached != wantReached {
			t.Errorf("%s: registries %+v, want %+v", step.name, reached, wantReached)
		}
		if (len(demands) > 0) != (step.name == "keys") {
			t.Errorf("%s: demands %+v", step.name, demands)
		}
		if level.Level() != step.level {
			t.Errorf("%s: level %s, want %s", step.name, level.Level(), step.level)
		}
		if !strings.Contains(log.String(), step.log) || step.log == "" && log.Len() > 0 {
			t.Errorf("%s: log %q", step.name, log.String())
		}
	}
}

// What a flag or the environment sets is checked as the file is. A folder may be relative there,
// and a program on PATH.
func TestSettingsOfFlags(t *testing.T) {
	for _, tt := range []struct{ arg, env, want string }{
		{"--output-size=1KiB", "", `--output-size: "1KiB" is out of range. Write a size from 1MiB to 1TiB.`},
		{"--output-total=1", "", `--output-total: "1" has no unit. Write a number and one of B, KiB, MiB, GiB, TiB: "128MiB".`},
		{"--output-removed=soon", "", `--output-removed: "soon" is not a time. Write a number and one of s, m, h, d: "24h".`},
		{"--output-removed=3d", "", ""},
		{"--images-unused=soon", "", `--images-unused: "soon" is not a time. Write a number and one of s, m, h, d, such as "30d", or "never".`},
		{"--images-total=1KiB", "", `--images-total: "1KiB" is out of range. Write a size from 16MiB to 1024TiB. Or write "unlimited".`},
		{"--images-unused=7d", "", ""},
		{"--prefix4=10.0.0.0", "", `--prefix4: "10.0.0.0" is no prefix of this family. Write it as "10.209.0.0/16".`},
		{"--containerd=privat", "", `--containerd: "privat" is neither the absolute path of a socket, such as "/run/containerd/containerd.sock", nor "private".`},
		{"", "privat", `SALLYPORT_CONTAINERD: "privat" is neither the absolute path of a socket, such as "/run/containerd/containerd.sock", nor "private".`},
		{"--cgroup-root=/", "", `--cgroup-root: "/" is no cgroup below the root of the hierarchy. Write one like this: "/sallyport".`},
		{"--table=a b", "", `--table: "a b" is no name of a table: use a letter, and then at most 127 letters, digits, "_", "." and "-".`},
		{"--log-dir=log", "", ""},
		{"--operators=", "", ""},
		{"--containerd=", "", ""},
		{"--output-size=", "", `--output-size: "" is not a size. Write a number and one of B, KiB, MiB, GiB, TiB: "128MiB".`},
		{"--containerd-bin=containerd", "", ""},
	} {
		t.Setenv("SALLYPORT_CONTAINERD", tt.env)
		args := []string{"--root", t.TempDir(), "daemon"}
		if tt.arg != "" {
			args = append(args, tt.arg)
		}
		c, command := parsed(t, args...)
		_, err := c.Instance.settings(command, &c.Daemon.daemonFlags)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s%s: got %q, want %q", tt.arg, tt.env, got, tt.want)
		}
	}
}

// A warning keeps nothing from starting, and is not taken for the mistake that does.
func TestWarningsAreNoMistakes(t *testing.T) {
	const open = "metrics {\n  listen = \"0.0.0.0:9469\"\n}\n"
	for text, want := range map[string]string{
		open:                     "",
		open + "log_level = 5\n": `:4:13: Wrong type: "log_level" is text in quotes, without variables, functions or ${...}. Write: log_level = "info"`,
	} {
		root, file := rootWith(t, text)
		c := readConfiguration(t.Context(), "", root)
		if len(c.diags) == 0 || c.diags[0].Severity != hcl.DiagWarning {
			t.Fatalf("the first is no warning: %v", c.diags)
		}
		if err := c.problem(); (err == nil) != (want == "") || err != nil && (!strings.HasPrefix(err.Error(), file+want) || strings.Contains(err.Error(), "more)")) {
			t.Errorf("got %v, want %s%s", err, file, want)
		}
	}
}

// Without a daemon, doctor has what one would use, and the first mistake in the file.
func TestConfigurationResults(t *testing.T) {
	root, file := rootWith(t, "containerd {\n  shim = \"host\"\n}\n")
	broken := filepath.Join(root, "broken.hcl")
	writeText(t, broken, "folders {\n  stat = \"/srv\"\n  run = \"r\"\n}\n")
	t.Setenv("SALLYPORT_TABLE", "theirs")
	t.Setenv("SALLYPORT_STATE_DIR", "")
	const none = "no daemon answers; one that starts now: "
	for _, tt := range []struct {
		name string
		args []string
		want []result
	}{
		{"set", []string{"--prefix4=10.9.0.0/16"}, []result{
			{OK: true, Found: none + `containerd.shim = "host" (` + file + `:2), network.prefix4 = "10.9.0.0/16" (--prefix4), network.table = "theirs" (SALLYPORT_TABLE); file ` + file}}},
		{"mistakes", []string{"--config=" + broken}, []result{
			{Error: broken + `:2:3: Unknown setting: There is no setting "stat" in the block folders. Did you mean "state"? Allowed are run, state, logs, groups. (and 1 more)`, Hint: "sallyport validate " + broken},
			{OK: true, Found: none + `network.table = "theirs" (SALLYPORT_TABLE); file ` + broken}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, command := parsed(t, append([]string{"--root", root, "doctor"}, tt.args...)...)
			own, err := c.Instance.settings(command, &c.Doctor.daemonFlags)
			if err != nil {
				t.Fatal(err)
			}
			for i := range tt.want {
				tt.want[i].Name = "configuration"
			}
			if diff := cmp.Diff(tt.want, configurationResults(t.Context(), &c.Instance, own)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The keys are read anew at each reload. Several keys of the same images are one demand.
func TestDemands(t *testing.T) {
	key, folder := signedtest.NewKey(t, "ecdsa"), t.TempDir()
	one, two := filepath.Join(folder, "one.pub"), filepath.Join(folder, "two.pub")
	writeText(t, one, key.Public)
	writeText(t, two, key.Public)
	demands := func(text string, look func(string) (inode, error)) (signed.Demands, error) {
		return settings{flags: &daemonFlags{imageFlags: imageFlags{SignedBy: text}}}.demands(t.Context(), look)
	}
	got, err := demands("*="+one+",r.example=none,*="+two, rootsFiles)
	want := signed.Demands{{Prefix: "*", Signers: []spec.Signer{{Key: key.Public, File: one}, {Key: key.Public, File: two}}}, {Prefix: "r.example"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, err := demands("", rootsFiles); len(got) > 0 || err != nil {
		t.Errorf("nothing is demanded: %v, %v", got, err)
	}
	writeText(t, two, "x")
	for text, look := range map[string]func(string) (inode, error){
		"r.example=" + two: rootsFiles, "r.example=" + folder: rootsFiles, "r.example=" + folder + "/none": rootsFiles,
		"r.example=" + one: func(string) (inode, error) { return inode{uid: 1000}, nil },
	} {
		if got, err := demands(text, look); err == nil || !strings.Contains(err.Error(), `signed_by "r.example"`) || hintOf(err) == "" {
			t.Errorf("%s: %v, %v; hint %q", text, got, err, hintOf(err))
		}
	}
}
