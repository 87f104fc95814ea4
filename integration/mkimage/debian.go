package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// unpackDebian downloads a package and the libraries below it and unpacks them all into dir. The
// package alone is unpacked into own too, unless that is empty. Nothing is installed.
func unpackDebian(ctx context.Context, dir, own, pkg string) error {
	pkgs, err := closure(pkg, func(names []string) (string, error) {
		out, err := output(ctx, dir, "apt-cache", append([]string{"show", "--no-all-versions"}, names...)...)
		return string(out), err
	})
	if err != nil {
		return err
	}
	debs, err := os.MkdirTemp(dir, "debs-")
	if err != nil {
		return err
	}
	// apt's own unprivileged user can't write to our folder. Without the option apt warns and does
	// the same.
	if _, err := output(ctx, debs, "apt-get", append([]string{"download", "-qq", "-o", "APT::Sandbox::User=root"}, pkgs...)...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if _, err := output(ctx, dir, "dpkg-deb", "-x", f, dir); err != nil {
			return err
		}
		if name, _, _ := strings.Cut(filepath.Base(f), "_"); own == "" || name != pkg {
			continue
		}
		if _, err := output(ctx, dir, "dpkg-deb", "-x", f, own); err != nil {
			return err
		}
	}
	return os.RemoveAll(debs)
}

// closure returns pkg and every library package that it needs, directly or not, nearest first. It
// follows zlib1g and names that start with "lib": the others (adduser, init-system-helpers) serve
// an installation, not a program. show returns the records of several packages. It is called once
// for each level, because each call reads all of apt's lists.
func closure(pkg string, show func(names []string) (string, error)) ([]string, error) {
	pkgs := []string{pkg}
	seen := map[string]bool{pkg: true}
	for done := 0; done < len(pkgs); {
		records, err := show(pkgs[done:])
		if err != nil {
			return nil, err
		}
		done = len(pkgs)
		for _, d := range depends(records) {
			if (strings.HasPrefix(d, "lib") || d == "zlib1g") && !seen[d] {
				seen[d] = true
				pkgs = append(pkgs, d)
			}
		}
	}
	return pkgs, nil
}

// depends reads the names out of the Depends and Pre-Depends of package records. Of alternatives it
// takes the first.
func depends(records string) []string {
	var names []string
	for line := range strings.Lines(records) {
		field, list, _ := strings.Cut(line, ":")
		if field != "Depends" && field != "Pre-Depends" {
			continue
		}
		for _, dep := range strings.Split(list, ",") {
			first, _, _ := strings.Cut(dep, "|")
			first, _, _ = strings.Cut(first, "(")
			first, _, _ = strings.Cut(first, ":") // an architecture, as in python3:any
			if name := strings.TrimSpace(first); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// output runs a program and returns what it printed. The error holds what it wrote to stderr.
func output(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}
