package spec

import (
	"slices"
	"strings"
)

// A translation is the hint for names of other systems' files: those of compose, Kubernetes,
// podman's units (quadlet) and Nomad.
type translation struct {
	names   string // separated by spaces, in the spelling of group files: see canonical
	instead string // a sentence or more
}

// foreign are the hints by name, for every place in a group. Those of foreignIn, by the block in
// which the name stands, go before them.
var (
	foreign   = byName(foreignWords)
	foreignIn = byPlace(foreignPlaces)
)

// foreignNames are the names of foreign, sorted.
var foreignNames = sortedNames(foreign)

// elsewhere returns the hint for a name of other systems' files in a block, or "".
func elsewhere(parent, name string) string {
	name = canonical(name)
	if instead := elsewhereIn(parent, name); instead != "" || parent == fileKind {
		return instead
	}
	return foreign[name]
}

// elsewhereIn returns the hint that a name has in this block alone, or "". The name is canonical.
func elsewhereIn(parent, name string) string {
	if instead := foreignIn[parent][name]; instead != "" || !slices.Contains(containerKinds, parent) {
		return instead
	}
	return foreignIn[anyContainer][name]
}

// slipOfForeign returns the name of foreign that the author of an unknown name may have meant, or
// "". It compares with those of about the same length alone, because a file can be full of names.
func slipOfForeign(name string) string {
	name = canonical(name)
	var similar []string
	for _, known := range foreignNames {
		if d := len(known) - len(name); -1 <= d && d <= 1 && len(similar) < maxCandidates {
			similar = append(similar, known)
		}
	}
	return nearest(name, similar)
}

func byName(rows []translation) map[string]string {
	all := map[string]string{}
	for _, row := range rows {
		for name := range strings.FieldsSeq(row.names) {
			all[name] = row.instead
		}
	}
	return all
}

func byPlace(places map[string][]translation) map[string]map[string]string {
	all := map[string]map[string]string{}
	for place, rows := range places {
		all[place] = byName(rows)
	}
	return all
}

func sortedNames(hints map[string]string) []string {
	var names []string
	for name := range hints {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
