package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/sallyport/sallyport/shim/api"
)

// version is set by the Makefile. If it is empty, the module's version counts.
var version string

type versionVerb struct{}

func (v *versionVerb) Run(ui *ui) error {
	info := versionInfo()
	fmt.Fprintf(ui.out, "sallyport %s", info.Version)
	if info.Revision != "" {
		fmt.Fprintf(ui.out, " (%s)", info.Revision)
	}
	fmt.Fprintf(ui.out, " %s %s/%s\n", info.Go, runtime.GOOS, runtime.GOARCH)
	return nil
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
