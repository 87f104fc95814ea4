package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxCandidates limits how many names are compared for each mistake. Otherwise a file full of
// mistakes could take minutes.
const maxCandidates = 128

// nearest returns the candidate that the author of the given name most likely meant, or "".
func nearest(given string, candidates []string) string {
	const longest = 64 // a longer name is no slip
	if len(given) > longest || len(candidates) > maxCandidates {
		return ""
	}
	best, bestDistance := "", 1+max(1, min(2, len(given)/3))
	given = strings.ToLower(given)
	for _, c := range candidates {
		lower := strings.ToLower(c)
		if otherLetters(given, lower) >= 2*bestDistance { // a slip changes two of them at most
			continue
		}
		if d := distance(given, lower); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// otherLetters returns how many letters of two names have no partner in the other one. It allocates
// nothing, and most names have too many to be a slip of each other.
func otherLetters(a, b string) (n int) {
	var more [256]int16 // in a
	for i := range len(a) {
		more[a[i]]++
	}
	for i := range len(b) {
		more[b[i]]--
	}
	for _, d := range more {
		n += max(int(d), -int(d))
	}
	return n
}

// meant reports whether an unknown name in a block is most likely a slip for the given one. What
// lacks that name is then no mistake of its own.
func meant(block *hclsyntax.Block, name string) bool {
	k := kinds[block.Type]
	known := slices.Concat(k.attrs, k.blocks)
	slip := func(given string) bool { return !slices.Contains(known, given) && nearest(given, known) == name }
	for given := range block.Body.Attributes {
		if slip(given) {
			return true
		}
	}
	return slices.ContainsFunc(block.Body.Blocks, func(b *hclsyntax.Block) bool { return slip(b.Type) })
}

// distance returns the number of slips between two names. Two neighbours that changed places are
// one slip.
func distance(given, meant string) int {
	d := levenshtein.Distance(given, meant, nil)
	if d != 2 || len(given) != len(meant) {
		return d
	}
	for i := 1; i < len(given); i++ {
		if given[:i-1]+given[i:i+1]+given[i-1:i]+given[i+1:] == meant {
			return 1
		}
	}
	return d
}

// DidYouMean returns a sentence with a leading space, or "".
func DidYouMean(given string, candidates []string) string {
	if best := nearest(given, candidates); best != "" {
		return fmt.Sprintf(" Did you mean %q?", best)
	}
	return ""
}

// list returns the names for a sentence, sorted, and at most 24 of them.
func list(names []string) string {
	const most = 24
	names = slices.Clone(names)
	slices.Sort(names)
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("and %d more", len(names)-most))
	}
	return strings.Join(names, ", ")
}
