package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An escape is a published way out of a container.
type escape struct {
	cves  []string
	fixed []release // the first of each line that closes it, sorted; later lines than the last have the fix
}

// escapes are the escapes of each runtime. The sources are the security advisories of
// opencontainers/runc of January 2024 and November 2025, and the release notes of containers/crun.
var escapes = map[string][]escape{
	runc: {
		{[]string{"CVE-2024-21626"}, []release{{1, 1, 12, final}}},
		{[]string{"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}, []release{{1, 2, 8, final}, {1, 3, 3, final}, {1, 4, 0, 3}}},
	},
	crun: {
		{[]string{"CVE-2026-47766"}, []release{{1, 28, 0, final}}},
	},
}

// safe are the releases of each runtime without a published escape.
var safe = map[string]string{
	runc: "runc 1.2.8, 1.3.3, 1.4.0-rc.3 or later",
	crun: "crun 1.28 or later",
}

// A release is the number of an upstream release: major, minor, patch and release candidate.
type release [4]int

// final is the release candidate's number of a release that is none.
const final = math.MaxInt

// number matches the beginning of a version such as 1.1.5+ds1, 1.4.0-rc.2 or 1.2.0~rc1. What a
// distribution adds behind it does not count.
var number = regexp.MustCompile(`^v?(\d+)\.(\d+)\.(\d+)(?:[-~](alpha|beta|rc)\.?(\d*))?`)

// parseRelease reads a version. An alpha or beta counts as a release candidate before the first.
func parseRelease(version string) (r release, ok bool) {
	m := number.FindStringSubmatch(version)
	if m == nil {
		return r, false
	}
	for i := range 3 {
		r[i], _ = strconv.Atoi(m[i+1]) // digits alone
	}
	switch m[4] {
	case "":
		r[3] = final
	case "rc":
		r[3], _ = strconv.Atoi(m[5]) // empty: 0
	}
	return r, true
}

// has reports whether a release has a fix that came with the given ones.
func (r release) has(fixed []release) bool {
	for _, f := range fixed {
		if slices.Equal(r[:2], f[:2]) {
			return slices.Compare(r[:], f[:]) >= 0
		}
	}
	return slices.Compare(r[:], fixed[len(fixed)-1][:]) > 0
}

// openEscapes returns the CVEs of the escapes that a release of a runtime has.
func openEscapes(runtime string, r release) (cves []string) {
	for _, e := range escapes[runtime] {
		if !r.has(e.fixed) {
			cves = append(cves, e.cves...)
		}
	}
	return cves
}

// checkEscapes looks for published escapes of the chosen runtime.
func checkEscapes(ctx context.Context, choice string) (string, error) {
	p, err := findRuntime(ctx, choice)
	if err != nil {
		return "", err
	}
	if err := p.known(); err != nil {
		return "", err
	}
	return escapesText(p, func() (pkg, changelog string, err error) { return debianPackage(ctx, p.path) })
}

// escapesText judges a version. A distribution keeps the number and adds the fix, so a version that
// is too old counts as patched where the changelog of its package names the CVE.
func escapesText(p runtimeProgram, packaged func() (pkg, changelog string, err error)) (string, error) {
	r, ok := p.release()
	if !ok {
		return "", &note{
			text: fmt.Sprintf("can't read the version of %s, %q, so its published escapes are unknown", p.name, p.version),
			hint: "make sure that it is at least as new as " + safe[p.name],
		}
	}
	open := openEscapes(p.name, r)
	if len(open) == 0 {
		return "none is published for " + p.String(), nil
	}
	pkg, changelog, err := packaged()
	if err != nil {
		return "", &note{
			text: fmt.Sprintf("%s is older than the fix of %s; a distribution may have patched it, which can't be seen here: %v",
				p, strings.Join(open, ", "), err),
			hint: "ask your distribution about them, or install " + safe[p.name],
		}
	}
	open = slices.DeleteFunc(open, func(cve string) bool { return strings.Contains(changelog, cve) })
	if len(open) == 0 {
		return fmt.Sprintf("none is published for %s with the patches of package %s", p, pkg), nil
	}
	return "", &note{
		text: fmt.Sprintf("%s lets containers escape: %s; the changelog of package %s does not name their fix",
			p, strings.Join(open, ", "), pkg),
		hint: "apt-get update && apt-get install " + p.name + "; if that changes nothing, install " + safe[p.name],
	}
}

// maxChangelog bounds what is read of a changelog. Its newest entries come first.
const maxChangelog = 4 << 20

// debianPackage returns the name and version of the Debian package that a program is from, and the
// package's changelog. The error is for a person.
func debianPackage(ctx context.Context, program string) (pkg, changelog string, err error) {
	if program, err = filepath.EvalSymlinks(program); err != nil { // /sbin is a link to usr/sbin
		return "", "", err
	}
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		return "", "", errors.New("this is no Debian or Ubuntu")
	}
	out, err := exec.CommandContext(ctx, "dpkg-query", "--search", program).Output()
	name := packageOf(string(out), program)
	if err != nil || name == "" {
		return "", "", fmt.Errorf("%s is from no package", program)
	}
	version, err := exec.CommandContext(ctx, "dpkg-query", "--show", "--showformat=${Version}", name).Output()
	if err != nil {
		return "", "", fmt.Errorf("dpkg-query does not know the version of package %s", name)
	}
	changelog, err = readChangelog(filepath.Join("/usr/share/doc", name, "changelog.Debian.gz"))
	if err != nil {
		return "", "", fmt.Errorf("package %s %s has no changelog on this host", name, version)
	}
	return name + " " + string(version), changelog, nil
}

// packageOf reads the output of "dpkg-query --search": lines such as "runc:amd64: /usr/sbin/runc".
func packageOf(out, program string) string {
	for line := range strings.Lines(out) {
		if names, path, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && path == program {
			name, _, _ := strings.Cut(names, ",")
			name, _, _ = strings.Cut(name, ":")
			if !strings.Contains(name, " ") { // else it is about a diversion
				return name
			}
		}
	}
	return ""
}

func readChangelog(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(zip, maxChangelog))
	return string(text), err
}
