package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/ctrd/apparmor"
	"github.com/sallyport/sallyport/shim/hint"
)

func TestModules(t *testing.T) {
	const on, profiles, selinux = "module/apparmor/parameters/enabled", "kernel/security/apparmor/profiles", "fs/selinux/enforce"
	missing := &hint.Error{Err: errors.New("there is no apparmor_parser"), Hint: "install it"}
	for _, tt := range []struct {
		name   string
		files  map[string]string
		parser error
		want   []string
		hint   string // of a note; empty: it is none
	}{
		{"neither", nil, nil, []string{"neither AppArmor nor SELinux"}, ""},
		{"AppArmor that is off", map[string]string{on: "N\n"}, missing, []string{"neither"}, ""},
		{"AppArmor", map[string]string{on: "Y\n", profiles: "sallyport-default (enforce)\n"}, missing, []string{"AppArmor is on, and containers are created with the profile sallyport-default"}, ""},
		{"a profile that only reports", map[string]string{on: "Y\n", profiles: "sallyport-default (complain)\n"}, missing, []string{", whose mode is complain"}, ""},
		{"a profile that can be loaded", map[string]string{on: "Y\n", profiles: ""}, nil, []string{"is loaded before the next container is created"}, ""},
		{"one that can't", map[string]string{on: "Y\n", profiles: ""}, missing, []string{"containers are created without a profile: there is no apparmor_parser"}, "install it"},
		{"one without words of what to do", map[string]string{on: "Y\n", profiles: ""}, errors.New("no memory"), []string{"without a profile: no memory"}, "tried again"},
		{"no securityfs", map[string]string{on: "Y\n"}, nil, []string{"profiles is not there"}, "mount -t securityfs"},
		{"SELinux", map[string]string{selinux: "1"}, nil, []string{"SELinux is enforcing"}, ""},
		{"SELinux that only reports", map[string]string{selinux: "0"}, nil, []string{"SELinux is permissive"}, ""},
		{"both", map[string]string{on: "Y\n", profiles: "", selinux: "1"}, missing, []string{"AppArmor is on", "SELinux is enforcing"}, "install it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sys := t.TempDir()
			for name, content := range tt.files {
				path := filepath.Join(sys, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			h := apparmor.Below(sys, func(_ context.Context, flags string) error {
				if flags != "-QK" {
					t.Errorf("doctor changes the kernel's profiles: %s", flags)
				}
				return tt.parser
			})
			c := check{name: "security modules", run: func(ctx context.Context) (string, error) { return modulesOf(ctx, sys, h) }}
			r := c.result(t.Context())
			if !r.OK || r.Note != (tt.hint != "") || !strings.Contains(r.Hint, tt.hint) {
				t.Errorf("%+v, want the hint %q", r, tt.hint)
			}
			for _, want := range tt.want {
				if !strings.Contains(r.Found, want) {
					t.Errorf("%q lacks %q", r.Found, want)
				}
			}
		})
	}
}
