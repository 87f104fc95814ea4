package ctrd

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

func TestCreateFiles(t *testing.T) {
	own := spec.File{Path: "/etc/app.conf", Content: []byte("own"), Mode: 0o400}
	hostsOwn := spec.File{Path: "/etc//hosts", Content: []byte("own")}
	name, hosts, resolv := spec.File{Path: "/etc/hostname", Content: []byte("shop\n")},
		spec.File{Path: "/etc/hosts", Content: []byte("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\tshop\n")},
		spec.File{Path: "/etc/resolv.conf"}
	tests := []struct {
		name string
		c    spec.Container
		want []spec.File
	}{
		{"generated, then its own", spec.Container{Role: spec.App, Files: []spec.File{own}}, []spec.File{name, hosts, resolv, own}},
		{"own instead of generated", spec.Container{Role: spec.Sidecar, Files: []spec.File{hostsOwn}}, []spec.File{name, resolv, hostsOwn}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, createFiles(&spec.Group{Name: "shop"}, tt.c, []byte("nameserver 192.0.2.53\n"))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The files for names, of the ambassador and of a member.
func TestNames(t *testing.T) {
	proxy := spec.Container{Name: "proxy", Role: spec.Ambassador, Door: spec.Door{Upstreams: []spec.Upstream{
		{Name: "db", Listen: 5432},
		{Name: "payments", Listen: 443, Hosts: []string{"payments.example.com", "pay.internal"}},
		{Name: "localhost", Listen: 1}, {Name: "shop", Listen: 2},
	}}}
	bare := spec.Container{Name: "proxy", Role: spec.Ambassador}
	tests := []struct {
		name, golden string
		door         spec.Container
		dns          spec.DNS
		servers      []string
	}{
		{name: "nothing asked for", golden: "plain", door: bare},
		{name: "upstreams", golden: "upstreams", door: proxy},
		{name: "the ambassador answers", golden: "dns", door: proxy, dns: spec.DNSAmbassador},
		{name: "servers of its own", golden: "servers", door: proxy, servers: []string{"198.51.100.53", "2001:db8::53"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := &spec.Group{Name: "shop", DNS: tt.dns, Network: spec.Network{Servers: tt.servers}, Containers: []spec.Container{
				tt.door, {Name: "ship", Role: spec.Sidecar}, {Name: "web", Role: spec.App},
			}}
			got := ""
			for _, c := range g.Containers {
				for _, f := range createFiles(g, c, []byte("search example.com\nnameserver 192.0.2.53\n")) {
					got += fmt.Sprintf("-- %s (%s) %s --\n%s", c.Name, c.Role, f.Path, f.Content)
				}
			}
			goldenText(t, "names."+tt.golden+".txt", got)
		})
	}
}

func TestWriteFiles(t *testing.T) {
	l := layout.Layout{RunDir: t.TempDir()}
	dir := l.FilesPath("shop", "web")
	if err := writeFiles(dir, "", []spec.File{{Path: "/a"}, {Path: "/b"}, {Path: "/c"}}, nil); err != nil {
		t.Fatal(err)
	}
	files := []spec.File{{Path: "/etc/x", Content: []byte("x")}, {Path: "/bin/y", Content: []byte("y"), Mode: 0o777}}
	if err := writeFiles(dir, "", files, nil); err != nil {
		t.Fatal(err)
	}
	for i, place := range placeFiles(dir, "", files) {
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
	l := layout.Layout{RunDir: t.TempDir()}
	for _, name := range []string{"web", "db"} {
		if err := writeFiles(l.FilesPath("shop", name), "", []spec.File{{Path: "/x"}}, nil); err != nil {
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
	l := layout.Layout{RunDir: t.TempDir()}
	if at := startedAt(l, "shop", "web"); !at.IsZero() {
		t.Errorf("never started, and yet at %v", at)
	}
	if err := writeFiles(l.FilesPath("shop", "web"), "", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := markStarted(l, "shop", "web"); err != nil {
		t.Fatal(err)
	}
	if at := startedAt(l, "shop", "web"); time.Since(at).Abs() > time.Minute {
		t.Errorf("started at %v", at)
	}
}
