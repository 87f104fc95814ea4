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
	"help", "validate", "fmt", "schema", "plan", "lock", "version", "history", "diff", "wait", "ps", "status", "df", "images", "logs", "events", "denials",
	"doctor",
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
// neighbour to make b of a: the Damerau-Levenshtein distance. Letters may be exchanged that have
// become neighbours by a deletion: "outp" is two edits away from "top".
func edits(a, b string) int {
	// rows[i+1][j+1] is the distance of a[:i] and b[:j]. The first row and column are too far.
	far := len(a) + len(b)
	rows := make([][]int, len(a)+2)
	for i := range rows {
		rows[i] = make([]int, len(b)+2)
		rows[i][0] = far
		if i > 0 {
			rows[i][1] = i - 1
		}
	}
	for j := range len(b) + 1 {
		rows[0][j+1], rows[1][j+1] = far, j
	}
	var lastInA [256]int // by letter: where it stood last, from 1
	for i := 1; i <= len(a); i++ {
		lastInB := 0 // where a[i-1] stood last
		for j := 1; j <= len(b); j++ {
			k, l := lastInA[b[j-1]], lastInB
			replaced := rows[i][j] + 1
			if a[i-1] == b[j-1] {
				replaced, lastInB = rows[i][j], j
			}
			exchanged := rows[k][l] + (i - k - 1) + 1 + (j - l - 1)
			rows[i+1][j+1] = min(replaced, rows[i+1][j]+1, rows[i][j+1]+1, exchanged)
		}
		lastInA[a[i-1]] = i
	}
	return rows[len(a)+1][len(b)+1]
}

// helpHint is for "sallyport VERB help", where help may be the name of a group or a file.
const helpHint = "\"sallyport help COMMAND\" shows the help of a command"
