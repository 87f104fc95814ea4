package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/sallyport/sallyport/shim/api"
)

// version is set by the Makefile. If it is empty, the module's version counts.
var version string

type versionVerb struct{}

// Run prints the version of the command, and on a line of its own that of the daemon. A daemon that
// can't be asked is no error.
func (v *versionVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	ui.sayf("sallyport %s %s/%s", versionText(versionInfo()), runtime.GOOS, runtime.GOARCH)
	client, err := in.client(ctx)
	if err != nil {
		ui.sayf("daemon: %v", err)
		return nil
	}
	daemon, err := client.Version(ctx)
	if err != nil {
		ui.sayf("daemon: %v", err)
		return nil
	}
	text := "daemon " + versionText(daemon)
	if daemon.Runtime != "" {
		text += ", " + daemon.Runtime
	}
	if daemon.PID != 0 {
		text += fmt.Sprintf(", process %d", daemon.PID)
	}
	ui.sayf("%s", text)
	return nil
}

// versionText returns a version, the commit if it is known, and Go's version.
func versionText(v api.VersionInfo) string {
	text := v.Version
	if v.Revision != "" {
		text += " (" + v.Revision + ")"
	}
	return strings.TrimSpace(text + " " + v.Go)
}

// versionInfo returns what the toolchain wrote into the binary. A build outside a repository has no
// revision.
func versionInfo() api.VersionInfo {
	v := api.VersionInfo{Version: version, Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.Version = cmp.Or(v.Version, strings.Trim(info.Main.Version, "()"))
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				v.Revision = setting.Value[:min(12, len(setting.Value))]
			}
		}
	}
	v.Version = cmp.Or(v.Version, "devel")
	return v
}
