package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// oneEdit returns every word that one slip makes of a word: a letter too many, a letter too few,
// another letter, or two neighbours that changed places.
func oneEdit(word string) (words []string) {
	const letters = "abcdefghijklmnopqrstuvwxyz-"
	for i := range len(word) + 1 {
		for _, l := range letters {
			words = append(words, word[:i]+string(l)+word[i:])
			if i < len(word) {
				words = append(words, word[:i]+string(l)+word[i+1:])
			}
		}
		if i < len(word) {
			words = append(words, word[:i]+word[i+1:])
		}
		if i > 0 && i < len(word) {
			words = append(words, word[:i-1]+word[i:i+1]+word[i-1:i]+word[i+1:])
		}
	}
	return words
}

var suggested = regexp.MustCompile(`did you mean "(\S+)"\?`)

// A slip of a word that only looks never leads to a verb that changes something, nor does the
// beginning of one. All words of one edit are asked for, those of two edits of the shortest words,
// and some of the others.
func TestHarmlessWordsStayHarmless(t *testing.T) {
	model := newParser(&cli{}).Model
	answers := map[string]int{}
	ask := func(t rapid.TB, word, of string) {
		if word == "" || strings.HasPrefix(word, "-") || wordsElsewhere[word] != "" || isVerb(model, word) {
			return // no slip: another word was meant
		}
		if m := suggested.FindStringSubmatch(hintOf(checkVerb(model, []string{word}))); m != nil {
			if !isHarmless(m[1]) {
				t.Fatalf("%q, which may be a slip of %q, is answered with %q", word, of, m[1])
			}
			answers[m[1]]++
		}
	}
	words := slices.Sorted(slices.Values(harmlessWords()))
	for _, word := range words {
		for i := range len(word) {
			ask(t, word[:i], word)
		}
		for _, one := range oneEdit(word) {
			ask(t, one, word)
			if len(word) > 2 {
				continue
			}
			for _, two := range oneEdit(one) {
				ask(t, two, word)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom(words).Draw(t, "word")
		one := rapid.SampledFrom(oneEdit(word)).Draw(t, "with one edit")
		for _, two := range oneEdit(one) {
			ask(t, two, word)
		}
	})
	for _, verb := range []string{"ps", "status", "logs", "events", "denials"} { // the suggestions are still there
		if answers[verb] == 0 {
			t.Errorf("no slip is answered with %q", verb)
		}
	}
}

func TestEdits(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ps", 2}, {"top", "top", 0}, {"top", "otp", 1}, {"outp", "top", 2}, {"status", "statsu", 1}, {"logs", "goals", 3}, {"kitten", "sitting", 3}} {
		if got, back := edits(tt.a, tt.b), edits(tt.b, tt.a); got != tt.want || back != tt.want {
			t.Errorf("%q and %q: %d and %d, want %d", tt.a, tt.b, got, back, tt.want)
		}
	}
}

func TestSuggestedVerbs(t *testing.T) {
	model := newParser(&cli{}).Model
	for word, want := range map[string]string{
		"pss": "ps", "valid": "validate", "statsu": "status", "s": "ps", "st": "status", "sta": "status", "r": "", "d": "df",
		"stpo": "", "restartt": "restart", "restar": "restart", "rollbcak": "rollback", "roll": "rollback", "aply": "apply", "frobnicate": "",
	} {
		got := ""
		if m := suggested.FindStringSubmatch(hintOf(checkVerb(model, []string{word}))); m != nil {
			got = m[1]
		}
		if got != want {
			t.Errorf("%q is answered with %q, want %q", word, got, want)
		}
	}
	for _, verb := range harmlessVerbs {
		if !isVerb(model, verb) && verb != "help" {
			t.Errorf("there is no verb %q", verb)
		}
	}
}
