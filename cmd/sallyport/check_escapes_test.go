package main

import (
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOpenEscapes(t *testing.T) {
	const both, later = "CVE-2024-21626 CVE-2025-31133 CVE-2025-52565 CVE-2025-52881", "CVE-2025-31133 CVE-2025-52565 CVE-2025-52881"
	for version, want := range map[string]string{
		"1.0.0-rc93": both, "1.0.3": both, "1.1.5+ds1": both, "1.1.11": both, "1.1.12-rc.1": both,
		"1.1.12": later, "1.1.12-0ubuntu2~22.04.1": later, "1.1.15+ds1": later, "1.2.0-rc.1": later, "1.2.7": later, "1.3.2": later, "1.3.0+dev": later,
		"1.4.0-rc.2": later, "1.4.0-rc.1+ds1": later, "1.4.0~rc.2+ds1": later, "1.4.0-beta.1": later, "1.4.0-rc": later,
		"1.2.8": "", "1.2.10": "", "1.3.3": "", "1.3.3+ds1": "", "1.4.0-rc.3": "", "1.4.0~rc3+ds1": "", "1.4.0": "", "1.5.0-rc.1": "", "v2.0.0": "",
	} {
		r, ok := parseRelease(version)
		if got := strings.Join(openEscapes(runc, r), " "); !ok || got != want {
			t.Errorf("%s: read %v, %v; has %q, want %q", version, r, ok, got, want)
		}
	}
	for _, version := range []string{"", "devel", "1.2", "unknown 1.2.3"} {
		if r, ok := parseRelease(version); ok {
			t.Errorf("%q is %v", version, r)
		}
	}
}

func TestEscapesText(t *testing.T) {
	const debian12 = "runc (1.1.5+ds1-1+deb12u1) bookworm-security; urgency=high\n\n  * CVE-2024-21626: several container breakouts due to internally leaked fds\n"
	const patched = "runc (1.1.5+ds1-1+deb12u9) bookworm-security; urgency=high\n\n  * CVE-2025-31133, CVE-2025-52565\n  * CVE-2025-52881\n\n" + debian12
	for _, c := range []struct {
		name, version, changelog string
		err                      error
		found, warns, hint       string
	}{
		{"new", "1.3.3", "", errors.New("not asked"), "none is published for runc 1.3.3", "", ""},
		{"patched", "1.1.5+ds1", patched, nil, "none is published for runc 1.1.5+ds1 with the patches of package runc 1.1", "", ""},
		{"one of two patched", "1.1.5+ds1", debian12, nil, "",
			"runc 1.1.5+ds1 lets containers escape: CVE-2025-31133, CVE-2025-52565, CVE-2025-52881; the changelog of package runc 1.1 does not name their fix",
			"apt-get update && apt-get install runc; if that changes nothing, install runc 1.2.8, 1.3.3, 1.4.0-rc.3 or later"},
		{"another distribution", "1.2.4", "", errors.New("this is no Debian or Ubuntu"), "",
			"runc 1.2.4 is older than the fix of CVE-2025-31133, CVE-2025-52565, CVE-2025-52881; " +
				"a distribution may have patched it, which can't be seen here: this is no Debian or Ubuntu",
			"ask your distribution about them, or install runc 1.2.8, 1.3.3, 1.4.0-rc.3 or later"},
		{"no version", "", "", nil, "", `can't read the version of runc, "", so its published escapes are unknown`,
			"make sure that it is at least as new as runc 1.2.8, 1.3.3, 1.4.0-rc.3 or later"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := escapesText(runtimeProgram{name: runc, version: c.version}, func() (string, string, error) { return "runc 1.1", c.changelog, c.err })
			var warns, hint string
			if n, ok := errors.AsType[*note](err); ok {
				warns, hint = n.text, n.hint
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{c.found, c.warns, c.hint}, []string{found, warns, hint}); diff != "" {
				t.Errorf("found, warning and hint (-want +got)\n%s", diff)
			}
		})
	}
}

func TestPackageOf(t *testing.T) {
	for _, c := range []struct{ name, out, want string }{
		{"Debian's", "runc: /usr/sbin/runc\n", "runc"},
		{"with an architecture", "containerd.io:amd64: /usr/sbin/runc\n", "containerd.io"},
		{"several packages", "a, b: /usr/sbin/runc\n", "a"},
		{"diverted", "diversion by x from: /usr/sbin/runc\ndiversion by x to: /usr/sbin/runc.real\nrunc: /usr/sbin/runc\n", "runc"},
		{"only in its name", "runc-doc: /usr/sbin/runc-doc\n", ""},
		{"none", "", ""},
	} {
		if got := packageOf(c.out, "/usr/sbin/runc"); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestReadChangelog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "changelog.gz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	zip := gzip.NewWriter(f)
	_, err = zip.Write([]byte("newest\n" + strings.Repeat("older\n", 1<<20)))
	if err := errors.Join(err, zip.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	text, err := readChangelog(path)
	if err != nil || !strings.HasPrefix(text, "newest\nolder\n") || len(text) != maxChangelog {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if _, err := readChangelog(path + ".gone"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
