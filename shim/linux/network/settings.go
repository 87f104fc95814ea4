package network

import (
	"errors"
	"os"
	"strings"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// settingsOf returns the settings of a group's namespace, by their paths below /proc/sys/net. They
// are checked once more, because others would be a way around the rules.
func settingsOf(want *spec.Group) map[string]string {
	settings := map[string]string{}
	for _, name := range spec.GroupSysctls() {
		if value, ok := want.Network.Sysctls[name]; ok {
			settings[strings.ReplaceAll(strings.TrimPrefix(name, "net."), ".", "/")] = value
		}
	}
	return settings
}

func setSettings(ns *os.File, want *spec.Group) error {
	if err := netns.SetSysctls(ns, settingsOf(want)); err != nil {
		return explainSettings(err)
	}
	return nil
}

// explainSettings adds a hint to the error of a setting that the kernel does not take.
func explainSettings(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return &hint.Error{Err: err, Hint: "this kernel has no such setting: take it out of the group's sysctls"}
	}
	return &hint.Error{Err: err, Hint: "the kernel does not take this value: correct it in the group's sysctls"}
}
