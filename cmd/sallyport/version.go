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

type versionVerb struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// versions are printed by version with --json.
type versions struct {
	Command commandVersion   `json:"command"`
	Daemon  *api.VersionInfo `json:"daemon,omitempty"`       // none: it can't be asked
	Error   string           `json:"daemon_error,omitempty"` // why not
}

// A commandVersion is the version of the command, with what it is built for.
type commandVersion struct {
	api.VersionInfo
	OS   string `json:"os"`
	Arch string `json:"arch"`
}

// Run prints the version of the command, and on a line of its own that of the daemon. A daemon that
// can't be asked is no error.
func (v *versionVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	all := versions{Command: commandVersion{versionInfo(), runtime.GOOS, runtime.GOARCH}}
	daemon, err := askVersion(ctx, in)
	if err == nil {
		all.Daemon = &daemon
	} else {
		all.Error = err.Error()
	}
	if v.JSON {
		return ui.json(all)
	}
	ui.sayf("sallyport %s %s/%s", versionText(all.Command.VersionInfo), runtime.GOOS, runtime.GOARCH)
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

func askVersion(ctx context.Context, in *instance) (api.VersionInfo, error) {
	client, err := in.client(ctx)
	if err != nil {
		return api.VersionInfo{}, err
	}
	return client.Version(ctx)
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
