package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/shim/ctrd/apparmor"
)

// checkModules shows which security modules confine programs on this host besides, and the profile
// that containers have of one. What the promise rests on is the same on every host. So the result
// is never a failure.
func checkModules(ctx context.Context) (string, error) {
	return modulesOf(ctx, "/sys", apparmor.New())
}

// modulesOf is checkModules with sysfs at another place.
func modulesOf(ctx context.Context, sys string, h apparmor.Host) (string, error) {
	var on []string
	advice := ""
	if h.On() {
		text, err := profileText(ctx, h)
		if err != nil {
			if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
				return "", err
			}
			text = "AppArmor is on, and containers are created without a profile: " + err.Error()
			advice = cmp.Or(hintOf(err), "correct that; the profile is tried again, a minute later at the soonest, whenever a container is created")
		}
		on = append(on, text)
	}
	if mode, err := os.ReadFile(filepath.Join(sys, "fs/selinux/enforce")); err == nil {
		how := "permissive"
		if bytes.HasPrefix(mode, []byte("1")) {
			how = "enforcing"
		}
		on = append(on, "SELinux is "+how+", and containers get no label of their own")
	}
	switch {
	case len(on) == 0:
		return "neither AppArmor nor SELinux is on; containers need neither", nil
	case advice != "":
		return "", &note{text: strings.Join(on, "; "), hint: advice}
	}
	return strings.Join(on, "; "), nil
}

// profileText describes the profile of containers. An error is why they have none.
func profileText(ctx context.Context, h apparmor.Host) (string, error) {
	mode, err := h.Mode()
	switch {
	case err != nil:
		return "", err
	case mode == "enforce":
		return "AppArmor is on, and containers are created with the profile " + apparmor.Profile, nil
	case mode != "":
		return "AppArmor is on, and containers are created with the profile " + apparmor.Profile + ", whose mode is " + mode, nil
	}
	if err := h.Try(ctx); err != nil {
		return "", err
	}
	return "AppArmor is on; the profile " + apparmor.Profile + " is loaded before the next container is created", nil
}
