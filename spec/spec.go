// Package spec turns group files into validated, normalised, host-independent values. It is pure:
// the same bytes give the same value on every machine, with no root and no daemon. It reports every
// mistake of a file at once, each with its place, its source line and what to do.
//
// Relative paths in a group file are relative to [Source.Dir], never to the working directory.
package spec

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
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
	file, m := &report{}, newMeter(src.Stop)
	m.reads(src)
	body, damage, left := readSyntax(src.Name, src.Bytes, file)
	if body == nil {
		return nil, file.sorted()
	}
	defer func() { diags = placedInJSON(src.Name, src.Bytes, diags) }()
	checkFile(body, m, file)

	known, from := names{}, &origins{}
	known.declareVariables(body, src.Vars, from, damage, m, file)
	known.validate(body, from, damage, m, file)
	known.declareLocals(body, from, damage, m, file)

	read := groupsReader{src, known, from, &copies{keys: map[*hclsyntax.Block]string{}}, damage, m, map[string]hcl.Range{}}
	for _, block := range blocksOf(body, "group") {
		own := &report{}
		if all := read.groups(block, own); !left.within(block.Range()) {
			groups = append(groups, all...)
		}
		file.append(own)
	}
	m.report(file)
	// An empty or half-written file must not count as one that removes its groups.
	switch blocks := blocksOf(body, "group"); {
	case damage:
	case len(blocks) == 0:
		file.errorf(startOf(src.Name), "No group in this file", "A group file holds at least one group. To remove a group that runs, remove the file, or use: sallyport rm NAME.")
	case len(groups) == 0 && !file.hasErrors():
		file.errorf(blocks[0].Body.Attributes[forEach].Expr.Range(), "No group in this file", "%q is empty here, and the file has no other group. To remove a group that runs, remove the file, or use: sallyport rm NAME.", forEach)
	}
	return groups, left.withoutFollowUps(body, file.sorted())
}

// A groupsReader reads the group blocks of one file.
type groupsReader struct {
	src     Source
	known   names
	from    *origins
	copies  *copies
	damaged bool
	meter   *meter
	seen    map[string]hcl.Range // by name of a group
}

// groups returns the groups of one block: one, or one for each key of its for_each. It returns none
// after a mistake.
func (r groupsReader) groups(block *hclsyntax.Block, own *report) (all []Group) {
	s := &scope{report: own, meter: r.meter, names: r.known, origins: r.from, copies: r.copies, damaged: r.damaged}
	good := true
	for b := range s.keyed(s.expanded(block)) {
		b, named := s.groupName(b, block)
		g, ok := decodeGroup(b, r.src, r.known, r.from, r.copies, r.damaged, r.meter, own)
		if name, labelled := label(b); labelled && named {
			own.unique(r.seen, "group", name, b.LabelRanges[0])
		}
		good = good && ok && named
		all = append(all, g)
	}
	checkGroup(block, r.meter, own)
	if !good || s.unresolved || own.hasErrors() {
		return nil
	}
	return all
}

// groupName returns the block with the name of its attribute as its label. written is the block in
// the file. ok is false if the name has no value.
func (s *scope) groupName(b, written *hclsyntax.Block) (named *hclsyntax.Block, ok bool) {
	attr := b.Body.Attributes["name"]
	if attr == nil {
		return b, true
	}
	c := *b
	c.Labels, c.LabelRanges = []string{"name"}, []hcl.Range{attr.Expr.Range()}
	name, at, ok := s.in(b).text("name", required)
	if !ok {
		return &c, false
	}
	if given, _ := label(written); given != "" {
		s.errorf(attr.NameRange, "Two names for one group", "The label %s is a name too. Remove the label, or this line.", quote(given))
	}
	c.Labels, c.LabelRanges = []string{name}, []hcl.Range{at}
	return &c, true
}
