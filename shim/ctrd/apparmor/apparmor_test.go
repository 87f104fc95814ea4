package apparmor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/contrib/apparmor"

	"github.com/sallyport/sallyport/shim/hint"
)

const (
	enabled  = "module/apparmor/parameters/enabled"
	profiles = "kernel/security/apparmor/profiles"
	others   = "/usr/bin/man (enforce)\nsallyport-default-old (enforce)\n"
)

// sysWith makes a folder like /sys.
func sysWith(t *testing.T, files map[string]string) string {
	t.Helper()
	sys := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(sys, name), content)
	}
	return sys
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A profile is loaded where AppArmor is on and the kernel lacks it, and nowhere else.
func TestEnsure(t *testing.T) {
	broken := errors.New("syntax error")
	for _, tt := range []struct {
		name   string
		files  map[string]string
		parser error
		lost   bool // the parser loads nothing

		profile      string
		parsed, does bool
		why          string
	}{
		{name: "no AppArmor"},
		{name: "it is off", files: map[string]string{enabled: "N\n", profiles: ""}},
		{name: "no securityfs", files: map[string]string{enabled: "Y\n"}, why: "profiles is not there"},
		{name: "loaded", files: map[string]string{enabled: "Y\n", profiles: others + Profile + " (enforce)\n"}, profile: Profile},
		{name: "loaded, in another mode", files: map[string]string{enabled: "Y\n", profiles: Profile + " (complain)\n" + others}, profile: Profile},
		{name: "not loaded", files: map[string]string{enabled: "Y\n", profiles: others}, profile: Profile, parsed: true, does: true},
		{name: "can't be loaded", files: map[string]string{enabled: "Y\n", profiles: others}, parser: broken, parsed: true, why: "syntax error"},
		{name: "is not there afterwards", files: map[string]string{enabled: "Y\n", profiles: others}, lost: true, parsed: true, why: "the kernel doesn't have it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sys, parsed := sysWith(t, tt.files), false
			h := Below(sys, func(_ context.Context, flags string) error {
				if parsed = true; flags != "-Kr" {
					t.Errorf("flags %q", flags)
				}
				if tt.parser == nil && !tt.lost {
					write(t, filepath.Join(sys, profiles), others+Profile+" (enforce)\n")
				}
				return tt.parser
			})
			profile, loaded, err := h.Ensure(t.Context())
			if profile != tt.profile || loaded != tt.does || parsed != tt.parsed {
				t.Errorf("profile %q, loaded %v, parsed %v", profile, loaded, parsed)
			}
			if (err != nil) != (tt.why != "") || err != nil && !strings.Contains(err.Error(), tt.why) {
				t.Errorf("error %v, want %q", err, tt.why)
			}
		})
	}
}

// What apparmor_parser is given, and what becomes of what it prints.
func TestParse(t *testing.T) {
	for _, tt := range []struct{ name, parser, want, hint string }{
		{"none", "", "no apparmor_parser", "apt-get install apparmor"},
		{"takes the profile", "test \"$1\" = -Kr && grep -q '^profile sallyport-default ' && exit 0; exit 1", "", ""},
		{"refuses it", "echo AppArmor parser error at line 3; exit 1", "exit status 1: AppArmor parser error at line 3", "systemctl status apparmor"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bin := t.TempDir()
			if tt.parser != "" {
				if err := os.WriteFile(filepath.Join(bin, "apparmor_parser"), []byte("#!/bin/sh\nPATH=/usr/bin:/bin\n"+tt.parser+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", bin)
			err := parse(t.Context(), "-Kr")
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) || !strings.Contains(hint.Of(err), tt.hint) {
				t.Errorf("error %v, hint %q", err, hint.Of(err))
			}
		})
	}
}

// The profile lets in the signals that end a container, those of the host's processes and of the
// runtimes, and those among its processes. A new release of the profile shows here.
func TestSignals(t *testing.T) {
	text, err := apparmor.DumpDefaultProfile(Profile)
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range []string{
		"signal (receive) peer=unconfined,", "signal (receive) peer=runc,", "signal (receive) peer=crun,",
		"signal (send,receive) peer=" + Profile + ",", "peer=" + Profile + ",\n}", "deny mount,",
	} {
		if !strings.Contains(text, rule) {
			t.Errorf("the profile has no %q:\n%s", rule, text)
		}
	}
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]bool{
		"runc create failed: unable to start container process: error during container init: unable to apply apparmor profile: apparmor failed to apply profile: write /proc/thread-self/attr/apparmor/exec: no such file or directory": true,
		"runc create failed: unable to start container process: error during container init: unable to apply apparmor profile: apparmor: config provided but apparmor not supported":                                                    true,
		"crun: write to `/proc/self/attr/apparmor/exec`: No such file or directory: OCI runtime error":                                                                                                                                  true,
		`exec: "/usr/sbin/apparmor_parser": no such file or directory`:                                                                                                                                                                  false,
		"cgroup": false,
	} {
		if got := Refused(errors.New(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if Refused(nil) {
		t.Error("no error is refused")
	}
}
