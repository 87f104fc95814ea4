package spec

import (
	"maps"
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

// foreignSimilar has the names of foreign, sorted, that are about as long as a name: by its length.
var foreignSimilar = similarNames(foreign)

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
	return nearest(name, foreignSimilar[len(name)])
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

// similarNames returns the names that are at most a letter longer or shorter, by length. There are
// at most maxCandidates for each.
func similarNames(hints map[string]string) map[int][]string {
	similar := map[int][]string{}
	for _, name := range slices.Sorted(maps.Keys(hints)) {
		for length := len(name) - 1; length <= len(name)+1; length++ {
			if len(similar[length]) < maxCandidates {
				similar[length] = append(similar[length], name)
			}
		}
	}
	return similar
}
