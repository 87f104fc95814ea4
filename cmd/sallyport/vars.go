package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// checkVars refuses a -var that no file declares: it is a slip of the pen. A variable in the environment may be for others.
func (a *groupArgs) checkVars(paths []string, contents map[string][]byte) error {
	var known []string
	for _, path := range paths {
		known = append(known, declared(path, contents[path])...)
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
		return usage(fmt.Errorf("-var %s: no variable of that name", name), hint)
	}
	return nil
}

// declared lists the variables of a file, as far as it can be read; what is wrong with it is for spec to say.
func declared(path string, src []byte) []string {
	file, _ := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	if file == nil || file.Body == nil {
		return nil
	}
	content, _, _ := file.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "variable", LabelNames: []string{"name"}}}})
	var names []string
	for _, block := range content.Blocks {
		names = append(names, block.Labels[0])
	}
	return names
}
