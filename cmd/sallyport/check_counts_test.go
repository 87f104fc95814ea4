package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckInstances(t *testing.T) {
	for content, want := range map[string]result{
		"128\n": {OK: true, Note: true, Found: "128 inotify instances for root, of the host and of all containers together: one group can use them up",
			Hint: "sysctl -w fs.inotify.max_user_instances=8192, and the same in /etc/sysctl.d"},
		"1024\n": {OK: true, Found: "1024 inotify instances for root, of the host and of all containers together"},
		"many\n": {Error: `: strconv.Atoi: parsing "many": invalid syntax`},
	} {
		path := filepath.Join(t.TempDir(), "max_user_instances")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if want.Error != "" {
			want.Error = "read " + path + want.Error
		}
		got := check{run: func(context.Context) (string, error) { return checkInstances(path) }}.result(t.Context())
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", content, diff)
		}
	}
	got := check{run: func(context.Context) (string, error) { return checkInstances("/absent") }}.result(t.Context())
	if diff := cmp.Diff(result{OK: true, Found: "a kernel without inotify"}, got); diff != "" {
		t.Errorf("absent (-want +got):\n%s", diff)
	}
}
