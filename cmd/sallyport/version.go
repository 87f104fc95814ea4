package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the Makefile; without it, the module's own version is shown.
var version string

type versionVerb struct{}

func (v *versionVerb) Run(ui *ui) error {
	number, revision := buildVersion()
	fmt.Fprintf(ui.out, "sallyport %s", number)
	if revision != "" {
		fmt.Fprintf(ui.out, " (%s)", revision)
	}
	fmt.Fprintf(ui.out, " %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// buildVersion is what the toolchain wrote into the binary; revision is empty outside a repository.
func buildVersion() (number, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(version, "devel"), ""
	}
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			revision = setting.Value[:min(12, len(setting.Value))]
		case setting.Key == "vcs.modified" && setting.Value == "true":
			revision += "+changes"
		}
	}
	return cmp.Or(version, info.Main.Version, "devel"), revision
}
