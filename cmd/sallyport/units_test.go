package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// A unit has the values of a systemd unit file, by "Section.Key".
type unit map[string][]string

func readUnit(t *testing.T, file string) unit {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	u, section := unit{}, ""
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		key, value, isKey := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		case isKey:
			u[section+"."+key] = append(u[section+"."+key], value)
		default:
			t.Fatalf("%s: what is %q?", file, line)
		}
	}
	return u
}

// words returns the words of all values of a key.
func (u unit) words(key string) (all []string) {
	for _, value := range u[key] {
		all = append(all, strings.Fields(value)...)
	}
	return all
}

func (u unit) time(t *testing.T, key string) time.Duration {
	t.Helper()
	text := strings.Join(u.words(key), "")
	d, err := time.ParseDuration(strings.Replace(text, "min", "m", 1))
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return d
}

var unitFiles = []string{"sallyport.service", "sallyport-containerd.service", "sallyport-output.service", "sallyport@.service"}

// What the units start is on the command line, and what they set in the environment is read.
func TestUnitsStartWhatThereIs(t *testing.T) {
	for _, file := range unitFiles {
		u := readUnit(t, file)
		var c cli
		parser := kong.Must(&c, kong.Name("sallyport"), kong.Exit(func(int) { t.Fatal("exits") }), kong.BindTo(t.Context(), (*context.Context)(nil)))
		for _, command := range slices.Concat(u["Service.ExecStart"], u["Service.ExecCondition"]) {
			args := strings.Fields(command)
			if args[0] != "/usr/bin/sallyport" { // make install puts the real path there
				t.Errorf("%s runs %s", file, args[0])
			}
			if _, err := parser.Parse(args[1:]); err != nil {
				t.Errorf("%s: %s: %v", file, command, err)
			}
		}
		for _, value := range u["Service.Environment"] {
			name, _, _ := strings.Cut(value, "=")
			read := false
			_ = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
				if flag, ok := node.(*kong.Flag); ok && slices.Contains(flag.Envs, name) {
					read = true
				}
				return next(nil)
			})
			if !read {
				t.Errorf("%s sets %s, which no flag reads", file, name)
			}
		}
	}
}

// The limits of the units leave room for those of the program.
func TestUnitsWaitLongEnough(t *testing.T) {
	daemon, containerd := readUnit(t, "sallyport.service"), readUnit(t, "sallyport-containerd.service")
	for _, x := range []struct {
		name  string
		limit time.Duration
		least time.Duration
	}{
		{"the daemon's start waits for containerd", daemon.time(t, "Service.TimeoutStartSec"), privateReady + readyWithin},
		{"the daemon's stop leaves a part behind", daemon.time(t, "Service.TimeoutStopSec"), daemonGrace},
		{"containerd's start", containerd.time(t, "Service.TimeoutStartSec"), privateReady},
	} {
		if x.limit <= x.least {
			t.Errorf("%s: %v, and the program takes up to %v", x.name, x.limit, x.least)
		}
	}
}

// Nothing that is done to the daemon's unit reaches a group, and no option gives the daemon a mount
// namespace: its mounts would be missing on the host (systemd.exec(5)).
func TestUnitsLeaveGroupsAlone(t *testing.T) {
	daemon, containerd := readUnit(t, "sallyport.service"), readUnit(t, "sallyport-containerd.service")
	for _, u := range []unit{daemon, containerd} {
		for key, want := range map[string]string{
			"Service.KillMode": "process", "Service.Restart": "always", "Service.Type": "notify", "Unit.StartLimitIntervalSec": "0",
		} {
			if got := strings.Join(u[key], " "); got != want {
				t.Errorf("%s=%s, want %s", key, got, want)
			}
		}
		for _, key := range []string{
			"ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateMounts", "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths",
			"BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem", "RootDirectory", "RootImage", "MountFlags", "MountImages", "ExtensionImages",
			"ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectProc", "ProcSubset", "PrivateIPC",
			"LogNamespace", "DynamicUser", "RuntimeDirectory", "StateDirectory", "RestrictNamespaces", "PrivateNetwork", "PrivateUsers",
		} {
			if got := u["Service."+key]; got != nil {
				t.Errorf("%s=%s", key, got)
			}
		}
		for _, key := range []string{"Requires", "Requisite", "BindsTo", "PartOf"} {
			if got := u["Unit."+key]; got != nil {
				t.Errorf("%s=%s: what is done to that unit is done to this one", key, got)
			}
		}
		for _, key := range []string{"After", "Wants"} {
			for _, other := range u.words("Unit." + key) {
				if strings.Contains(other, "network") {
					t.Errorf("%s=%s, and a boot may have no network", key, other)
				}
			}
		}
	}
	output := readUnit(t, "sallyport-output.service")
	for key, want := range map[string]string{
		"Service.Restart": "always", "Service.Type": "notify", "Unit.StartLimitIntervalSec": "0", "Service.CapabilityBoundingSet": "CAP_SYS_NICE",
		"Service.RestrictRealtime": "", "Service.LogRateLimitIntervalSec": "1s", "Service.LogRateLimitBurst": "1000000", "Unit.Requires": "", "Unit.BindsTo": "", "Unit.PartOf": "", "Unit.After": "",
	} {
		if got := strings.Join(output[key], " "); got != want {
			t.Errorf("sallyport-output.service has %s=%s, want %q", key, got, want)
		}
	}
	for _, key := range []string{"Wants", "After"} {
		if !slices.Contains(daemon.words("Unit."+key), "sallyport-output.service") {
			t.Errorf("the daemon's unit has no %s=sallyport-output.service", key)
		}
	}
	group := readUnit(t, "sallyport@.service")
	if got := group["Service.RestartForceExitStatus"]; !slices.Equal(got, []string{fmt.Sprint(statusAgain)}) {
		t.Errorf("RestartForceExitStatus=%s", got)
	}
	for _, key := range []string{"Unit.Requires", "Unit.BindsTo", "Unit.PartOf", "Service.ExecStop", "Service.ExecStopPost"} {
		if got := group[key]; got != nil {
			t.Errorf("%s=%s: an end of the daemon or a shutdown would stop the group", key, got)
		}
	}
	if got := containerd["Service.Delegate"]; !slices.Equal(got, []string{"yes"}) {
		t.Errorf("Delegate=%s", got)
	}
}

// systemd finds no mistake in the units, as make install writes them.
func TestUnitsAreVerified(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, verify := t.TempDir(), []string{"verify", "--man=no"}
	for _, file := range unitFiles {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("/usr/bin/sallyport"), []byte(program))
		path := filepath.Join(dir, strings.Replace(file, "@.", "@web.", 1))
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		verify = append(verify, path)
	}
	out, err := exec.CommandContext(t.Context(), analyze, verify...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
	wrong := filepath.Join(dir, "wrong.service")
	if err := os.WriteFile(wrong, fmt.Appendf(nil, "[Service]\nExecStart=%s\nProtectSystme=yes\n", program), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _ := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", wrong).CombinedOutput(); !strings.Contains(string(out), "ProtectSystme") {
		t.Errorf("a mistake is not found, so this test shows nothing: %s", out)
	}
}
