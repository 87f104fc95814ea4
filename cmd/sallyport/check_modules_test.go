package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestModules(t *testing.T) {
	const apparmor, selinux = "module/apparmor/parameters/enabled", "fs/selinux/enforce"
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"neither", nil, []string{"neither AppArmor nor SELinux"}},
		{"AppArmor that is off", map[string]string{apparmor: "N\n"}, []string{"neither"}},
		{"AppArmor", map[string]string{apparmor: "Y\n"}, []string{"AppArmor is on"}},
		{"SELinux", map[string]string{selinux: "1"}, []string{"SELinux is enforcing"}},
		{"SELinux that only reports", map[string]string{selinux: "0"}, []string{"SELinux is permissive"}},
		{"both", map[string]string{apparmor: "Y\n", selinux: "1"}, []string{"AppArmor is on", "SELinux is enforcing"}},
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
			found, err := modulesBelow(sys)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(found, want) {
					t.Errorf("%q lacks %q", found, want)
				}
			}
		})
	}
}
