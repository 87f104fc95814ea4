package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
)

// checkModules shows which security modules confine programs on this host besides. Containers get
// no AppArmor profile and no SELinux label of their own: what confines them is the same on every
// host. So the result is never a failure.
func checkModules(context.Context) (string, error) { return modulesBelow("/sys") }

// modulesBelow is checkModules with sysfs at another place.
func modulesBelow(sys string) (string, error) {
	var on []string
	if enabled, err := os.ReadFile(filepath.Join(sys, "module/apparmor/parameters/enabled")); err == nil && bytes.HasPrefix(enabled, []byte("Y")) {
		on = append(on, "AppArmor is on, and containers get no profile of it")
	}
	if mode, err := os.ReadFile(filepath.Join(sys, "fs/selinux/enforce")); err == nil {
		how := "permissive"
		if bytes.HasPrefix(mode, []byte("1")) {
			how = "enforcing"
		}
		on = append(on, "SELinux is "+how+", and containers get no label of their own")
	}
	if len(on) == 0 {
		return "neither AppArmor nor SELinux is on; containers need neither", nil
	}
	return strings.Join(on, "; "), nil
}
