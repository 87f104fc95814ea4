package ctrd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
)

func TestNumericUser(t *testing.T) {
	tests := []struct {
		name string
		want specs.User
		ok   bool
	}{
		{"", specs.User{}, true},
		{"0", specs.User{}, true},
		{"root", specs.User{}, true},
		{"1000:50", specs.User{UID: 1000, GID: 50}, true},
		{"1000", specs.User{}, false},
		{"web", specs.User{}, false},
		{"1000:web", specs.User{}, false},
		{"web:50", specs.User{}, false},
		{"-1:0", specs.User{}, false},
		{"4294967295:0", specs.User{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := numericUser(tt.name)
			if diff := cmp.Diff(tt.want, got); diff != "" || ok != tt.ok {
				t.Errorf("ok %v, want %v (-want +got):\n%s", ok, tt.ok, diff)
			}
		})
	}
}

func TestImageUser(t *testing.T) {
	root := t.TempDir()
	etc := filepath.Join(root, "etc")
	if err := os.Mkdir(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(etc, "passwd"), []byte("root:x:0:0::/:/bin/sh\nweb:x:1000:100::/:/bin/sh\n"))
	writeFile(t, filepath.Join(etc, "group"), []byte("web:x:100:\nlogs:x:2000:web\n"))
	tests := []struct {
		name string
		want specs.User
		ok   bool
	}{
		{"web", specs.User{UID: 1000, GID: 100, AdditionalGids: []uint32{2000}}, true},
		{"1000", specs.User{UID: 1000, GID: 100, AdditionalGids: []uint32{2000}}, true},
		{"1234", specs.User{UID: 1234}, true},
		{"web:logs", specs.User{UID: 1000, GID: 2000}, true},
		{"web:7", specs.User{UID: 1000, GID: 7}, true},
		{"nobody", specs.User{}, false},
		{"web:nobody", specs.User{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := imageUser(root, tt.name, nil)
			if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != tt.ok {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
			var p *hint.Error
			if !tt.ok && !errors.As(err, &p) {
				t.Errorf("%v has no hint", err)
			}
		})
	}
}

// An image's links don't lead to the host's files.
func TestImageUserStaysInside(t *testing.T) {
	host := filepath.Join(t.TempDir(), "passwd")
	writeFile(t, host, []byte("web:x:1000:100::/:/bin/sh\n"))
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(host, filepath.Join(root, "etc", "passwd")); err != nil {
		t.Fatal(err)
	}
	if u, err := imageUser(root, "web", nil); err == nil {
		t.Errorf("found %+v in the host's file", u)
	}
}

func TestImageUserReadsNoPipe(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(root, "etc", "passwd"), 0o644); err != nil {
		t.Fatal(err)
	}
	if u, err := imageUser(root, "web", nil); err == nil || !strings.Contains(err.Error(), "etc/passwd is no file") {
		t.Errorf("user %+v, error %v", u, err)
	}
}

func TestImageUserWithoutFiles(t *testing.T) {
	u, err := imageUser(t.TempDir(), "1000", nil)
	if diff := cmp.Diff(specs.User{UID: 1000}, u); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}

func TestMoreGroups(t *testing.T) {
	root := t.TempDir()
	etc := filepath.Join(root, "etc")
	if err := os.Mkdir(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(etc, "passwd"), []byte("web:x:1000:100::/:/bin/sh\n"))
	writeFile(t, filepath.Join(etc, "group"), []byte("web:x:100:\nlogs:x:2000:web\nadm:x:4:\n"))
	for _, tt := range []struct {
		name   string
		groups []string
		want   []uint32
		wrong  string
	}{
		{"web", []string{"adm", "2000", "2000", "3000"}, []uint32{2000, 4, 3000}, ""},
		{"web", []string{"web"}, []uint32{2000}, ""}, // its own
		{"", []string{"adm"}, []uint32{4}, ""},
		{"5:6", []string{"logs"}, []uint32{2000}, ""},
		{"web", []string{"wheel"}, nil, `group "wheel" is not in the image's /etc/group`},
	} {
		u, err := imageUser(root, tt.name, tt.groups)
		if tt.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%q and %q: %v, want %q", tt.name, tt.groups, err, tt.wrong)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, u.AdditionalGids); diff != "" || err != nil {
			t.Errorf("%q and %q: %v (-want +got):\n%s", tt.name, tt.groups, err, diff)
		}
	}
}
