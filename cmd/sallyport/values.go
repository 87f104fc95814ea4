package main

import (
	"fmt"
	"log/slog"
	"strconv"
)

// A lineCount is a number of lines or events.
type lineCount int

// UnmarshalText reads a whole number from 0.
func (n *lineCount) UnmarshalText(text []byte) error {
	return wholeNumber(text, 0, (*int)(n))
}

// A generationNumber is the number of a group's generation. 0 is none.
type generationNumber int

// UnmarshalText reads a whole number from 1.
func (n *generationNumber) UnmarshalText(text []byte) error {
	return wholeNumber(text, 1, (*int)(n))
}

func wholeNumber(text []byte, least int, to *int) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < least {
		return fmt.Errorf("%q is no whole number from %d", text, least)
	}
	*to = n
	return nil
}

// A logLevel is a [slog.Level] whose mistakes can be read.
type logLevel slog.Level

// Level makes it a [slog.Leveler].
func (l logLevel) Level() slog.Level { return slog.Level(l) }

// UnmarshalText reads the name of a level, in upper or lower case.
func (l *logLevel) UnmarshalText(text []byte) error {
	if err := (*slog.Level)(l).UnmarshalText(text); err != nil {
		return fmt.Errorf("%q is none of debug, info, warn, error", text)
	}
	return nil
}
