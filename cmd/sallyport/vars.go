package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/spec"
)

// checkVars refuses a --var that no file declares, because it is a typing mistake. A variable of
// the environment that no file declares may be meant for other files.
func (a *groupArgs) checkVars(paths []string, contents map[string][]byte) error {
	var known []string
	for _, path := range paths {
		known = append(known, spec.Variables(contents[path])...)
	}
	slices.Sort(known)
	known = slices.Compact(known)
	for _, name := range slices.Sorted(maps.Keys(a.Var)) {
		if slices.Contains(known, name) {
			continue
		}
		hint := "no variable is declared; add: variable \"" + name + "\" { type = string }"
		if len(known) > 0 {
			hint = "declared here: " + strings.Join(known, ", ")
		}
		return usage(fmt.Errorf("--var %s: no variable of that name", name), hint)
	}
	return nil
}
