// Package spec turns group files into validated, normalised, host-independent values. It is pure:
// the same bytes give the same value on every machine, with no root and no daemon. It reports every
// mistake of a file at once, each with its place, its source line and what to do.
//
// Relative paths in a group file are relative to [Source.Dir], never to the working directory.
package spec

import (
	"github.com/hashicorp/hcl/v2"
)

// A Source is one group file with everything that is needed to read it.
type Source struct {
	Name  string // required: shown in diagnostics, usually the path as the operator typed it
	Dir   string // required: absolute; relative paths in the file are relative to it
	Bytes []byte // the contents of the file
	// Vars are values for the file's variables. The caller merges them: those of the command line
	// go before SALLYPORT_VAR_x. A name that the file does not declare is an error.
	Vars map[string]string
	// ReadFile reads a file that the group file names (`file { source = ... }`, or a function), by
	// absolute path. A missing file is an [fs.ErrNotExist]. ReadFile reads at most [MaxPlacedFile]
	// bytes, and returns an error for more. A path that ends in a slash is a pattern, for the
	// function fileset: its content is the names of the files that match, sorted, one on each line.
	// If ReadFile is nil, naming a file is an error; os.ReadFile is not used.
	ReadFile func(path string) ([]byte, error)
	// Stop is asked often while the file is evaluated, and before each call of a function. An error
	// ends the evaluation, and is a mistake of the file. A nil Stop means that only the limits that
	// count end it.
	Stop func() error
}

// Parse reads one group file. It returns the groups whose own block has no error. diags holds every
// mistake of the file, in the file's order. It can also hold warnings: branch on diags.HasErrors,
// not on its length.
func Parse(src Source) (groups []Group, diags hcl.Diagnostics) {
	return parse(src, unsupported)
}

// parse is Parse with another list of refused features.
func parse(src Source, refusals []refusal) ([]Group, hcl.Diagnostics) {
	file, m := &report{}, newMeter(src.Stop)
	m.reads(src)
	body, damage, left := readSyntax(src.Name, src.Bytes, file)
	if body == nil {
		return nil, file.sorted()
	}
	checkFile(body, refusals, m, file)

	known, from := names{}, &origins{}
	known.declareVariables(body, src.Vars, from, damage, m, file)
	known.validate(body, from, damage, m, file)
	known.declareLocals(body, from, damage, m, file)

	var groups []Group
	seen := map[string]hcl.Range{}
	for _, block := range blocksOf(body, "group") {
		own := &report{}
		g, ok := decodeGroup(block, src, known, from, damage, m, own)
		checkGroup(block, refusals, m, own)
		if name, labelled := label(block); labelled {
			own.unique(seen, "group", name, block.LabelRanges[0])
		}
		if ok && !own.hasErrors() && !left.within(block.Range()) {
			groups = append(groups, g)
		}
		file.append(own)
	}
	m.report(file)
	// An empty or half-written file must not count as one that removes its groups.
	if !damage && len(blocksOf(body, "group")) == 0 {
		file.errorf(startOf(src.Name), "No group in this file", "A group file holds at least one group. To remove a group that runs, remove the file, or use: sallyport rm NAME.")
	}
	return groups, left.withoutFollowUps(body, file.sorted())
}
