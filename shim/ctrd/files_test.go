package ctrd

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/spec"
)

func TestCreateFiles(t *testing.T) {
	resolvers := []byte("nameserver 192.0.2.53\n")
	hosts := []byte("127.0.0.1\tlocalhost shop\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	own := spec.File{Path: "/etc/app.conf", Content: []byte("own"), Mode: 0o400}
	hostsOwn := spec.File{Path: "/etc//hosts", Content: []byte("own")}
	tests := []struct {
		name string
		c    spec.Container
		want []spec.File
	}{
		{"member", spec.Container{Role: spec.App, Files: []spec.File{own}},
			[]spec.File{{Path: "/etc/hostname", Content: []byte("shop\n")}, {Path: "/etc/hosts", Content: hosts}, {Path: "/etc/resolv.conf"}, own}},
		{"ambassador", spec.Container{Role: spec.Ambassador},
			[]spec.File{{Path: "/etc/hostname", Content: []byte("shop\n")}, {Path: "/etc/hosts", Content: hosts}, {Path: "/etc/resolv.conf", Content: resolvers}}},
		{"own instead of generated", spec.Container{Role: spec.Sidecar, Files: []spec.File{hostsOwn}},
			[]spec.File{{Path: "/etc/hostname", Content: []byte("shop\n")}, {Path: "/etc/resolv.conf"}, hostsOwn}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, createFiles("shop", tt.c, resolvers)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWriteFiles(t *testing.T) {
	l := shim.Layout{RunDir: t.TempDir()}
	dir := l.FilesPath("shop", "web")
	if err := writeFiles(dir, []spec.File{{Path: "/a"}, {Path: "/b"}, {Path: "/c"}}); err != nil {
		t.Fatal(err)
	}
	files := []spec.File{{Path: "/etc/x", Content: []byte("x")}, {Path: "/bin/y", Content: []byte("y"), Mode: 0o777}}
	if err := writeFiles(dir, files); err != nil {
		t.Fatal(err)
	}
	for i, place := range placeFiles(dir, files) {
		b, err := os.ReadFile(place.Source)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(place.Source)
		if err != nil {
			t.Fatal(err)
		}
		if want := []os.FileMode{0o444, 0o777}[i]; string(b) != string(files[i].Content) || info.Mode() != want || place.Path != files[i].Path {
			t.Errorf("%s holds %q, mode %v, want %q, %v", place.Source, b, info.Mode(), files[i].Content, want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(files) {
		t.Errorf("%d files, want %d: those of before are left", len(entries), len(files))
	}
}

func TestRemoveFiles(t *testing.T) {
	l := shim.Layout{RunDir: t.TempDir()}
	for _, name := range []string{"web", "db"} {
		if err := writeFiles(l.FilesPath("shop", name), []spec.File{{Path: "/x"}}); err != nil {
			t.Fatal(err)
		}
	}
	group := filepath.Dir(l.FilesPath("shop", "web"))
	for i, name := range []string{"web", "web", "db", "db"} {
		if err := removeFiles(l, "shop", name); err != nil {
			t.Fatal(err)
		}
		_, err := os.Stat(group)
		if gone := os.IsNotExist(err); gone != (i >= 2) {
			t.Errorf("after step %d the group's folder is gone: %v", i, gone)
		}
	}
}

func TestStartedAt(t *testing.T) {
	l := shim.Layout{RunDir: t.TempDir()}
	if at := startedAt(l, "shop", "web"); !at.IsZero() {
		t.Errorf("never started, and yet at %v", at)
	}
	if err := writeFiles(l.FilesPath("shop", "web"), nil); err != nil {
		t.Fatal(err)
	}
	if err := markStarted(l, "shop", "web"); err != nil {
		t.Fatal(err)
	}
	if at := startedAt(l, "shop", "web"); time.Since(at).Abs() > time.Minute {
		t.Errorf("started at %v", at)
	}
}

func TestReachableResolver(t *testing.T) {
	tests := []struct {
		name, conf string
		want       bool
	}{
		{"empty", "", false},
		{"systemd-resolved", "# stub\nnameserver 127.0.0.53\noptions edns0\n", false},
		{"own v6 loopback", "nameserver ::1\n", false},
		{"one of two", "nameserver 127.0.0.1\nnameserver 192.0.2.53\n", true},
		{"v6", "nameserver 2001:db8::53", true},
		{"commented out", "#nameserver 192.0.2.53\n", false},
		{"nothing named", "nameserver\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := reachableResolver([]byte(tt.conf)); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
