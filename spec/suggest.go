package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// nearest returns the candidate that the given name is most likely a slip of, or "".
func nearest(given string, candidates []string) string {
	const longest = 64 // a longer name is no slip, and the distance is quadratic
	if len(given) > longest {
		return ""
	}
	best, bestDistance := "", 1+max(1, min(2, len(given)/2))
	for _, c := range candidates {
		if d := levenshtein.Distance(strings.ToLower(given), strings.ToLower(c), nil); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// didYouMean is a sentence with a leading space, or "".
func didYouMean(given string, candidates []string) string {
	if best := nearest(given, candidates); best != "" {
		return fmt.Sprintf(" Did you mean %q?", best)
	}
	return ""
}

// list renders names for a sentence, sorted, and not more of them than one reads.
func list(names []string) string {
	const most = 24
	names = slices.Clone(names)
	slices.Sort(names)
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("and %d more", len(names)-most))
	}
	return strings.Join(names, ", ")
}
