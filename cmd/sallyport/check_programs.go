package main

import (
	"context"
	"os/exec"
	"strings"
)

func checkRunc(ctx context.Context) (string, error) {
	path, version, seccomp, err := findRunc(ctx)
	if err != nil {
		return "", err
	}
	if !seccomp {
		return "", unmet("install a runc that is built with libseccomp, for example your distribution's", "runc %s can't apply seccomp filters", version)
	}
	return version + " " + path, nil
}

// findRunc returns the runc on PATH, its version, and whether it has libseccomp.
func findRunc(ctx context.Context) (path, version string, seccomp bool, err error) {
	path, err = exec.LookPath("runc")
	if err != nil {
		return "", "", false, unmet("apt-get install runc containerd", "runc is not on PATH")
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", "", false, unmet("run it by hand to see why", "%s --version: %w", path, err)
	}
	version, seccomp = runcVersion(string(out))
	return path, version, seccomp, nil
}

// runcVersion reads the output of "runc --version": a line with the version, and one with
// libseccomp's version if runc has it.
func runcVersion(out string) (version string, seccomp bool) {
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "runc":
			version = strings.TrimPrefix(value, "version ")
		case "libseccomp:":
			seccomp = true
		}
	}
	return version, seccomp
}

func checkContainerdShim(context.Context) (string, error) {
	path, err := exec.LookPath("containerd-shim-runc-v2")
	if err != nil {
		return "", unmet("apt-get install containerd, or put the folder of containerd's programs on PATH", "containerd-shim-runc-v2 is not on PATH")
	}
	return path, nil
}
