package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/spec"
)

// harmlessVerbs only look, and fmt changes nothing but white space. A verb that is not in this list
// is taken for one that changes something.
var harmlessVerbs = []string{
	"help", "validate", "fmt", "plan", "version", "history", "diff", "wait", "ps", "status", "df", "images", "logs", "events", "denials", "doctor",
}

func isHarmless(verb string) bool { return slices.Contains(harmlessVerbs, verb) }

// slips is how many edits away from a harmless word no verb is suggested that changes something.
const slips = 2

// suggestVerb returns a question about the verb that was most likely meant, or "". A verb that
// changes something is never suggested for what may be a slip of a harmless word: not every user
// reads a question before answering it.
func suggestVerb(word string, verbs []string) string {
	harmless := slices.DeleteFunc(slices.Clone(verbs), func(verb string) bool { return !isHarmless(verb) })
	for _, known := range [][]string{harmless, verbs} {
		begun := slices.DeleteFunc(slices.Clone(known), func(verb string) bool { return !strings.HasPrefix(verb, word) })
		if len(begun) == 1 {
			return "did you mean " + strconv.Quote(begun[0]) + "?"
		}
		if meant := spec.DidYouMean(word, known); meant != "" {
			return strings.ToLower(strings.TrimSpace(meant))
		}
		if len(begun) > 1 || slices.ContainsFunc(harmlessWords(), func(w string) bool { return edits(word, w) <= slips }) {
			break
		}
	}
	return ""
}

// harmlessWords are the verbs that only look, and the words of other tools for them.
func harmlessWords() []string {
	words := slices.Clone(harmlessVerbs)
	for word, same := range wordsElsewhere {
		if verb, _, _ := strings.Cut(same, " "); isHarmless(verb) {
			words = append(words, word)
		}
	}
	return words
}

// edits returns how many letters have to be inserted, deleted, replaced, or exchanged with their
// neighbour to make b of a: the optimal string alignment distance.
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			switch {
			case i == 0 || j == 0:
				rows[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				rows[i][j] = rows[i-1][j-1]
			default:
				rows[i][j] = 1 + min(rows[i-1][j-1], rows[i-1][j], rows[i][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// helpHint is for "sallyport VERB help", where help may be the name of a group or a file.
const helpHint = "\"sallyport help COMMAND\" shows the help of a command"
