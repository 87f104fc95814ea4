package config

import (
	"fmt"
	"strconv"
	"time"
)

// RunsAtOnce returns the number of runs.at_once.
func RunsAtOnce(text string) (n int, problem string) { return numberWithin(text, 1, 1000) }

// RunsQueued returns the number of runs.queued.
func RunsQueued(text string) (n int, problem string) { return numberWithin(text, 0, 100_000) }

// RunsRecords returns the number of runs.records.
func RunsRecords(text string) (n int, problem string) { return numberWithin(text, 0, 100_000) }

// RunsKeep returns the time of runs.keep.
func RunsKeep(text string) (d time.Duration, problem string) {
	d, ok := ParseDuration(text)
	switch {
	case !ok:
		return 0, fmt.Sprintf("%q is not a time. Write a number and one of s, m, h, d, such as \"24h\".", shorten(text))
	case d < time.Minute || d > 366*24*time.Hour:
		return 0, fmt.Sprintf("%q is out of range. Write a time from 1m to 366d.", shorten(text))
	}
	return d, ""
}

func numberWithin(text string, least, most int) (n int, problem string) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Sprintf("%q is no number from %d to %d.", shorten(text), least, most)
	}
	return n, ""
}
