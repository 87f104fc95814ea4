package main

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/logs"
)

const (
	lastLines = 5
	lastWidth = 200 // characters of a line
	lastTime  = time.Second
)

// lastOutput returns the reader of the last lines that a container printed: what an operator wants to see of one that has failed. A
// program's output may hold anything: what would move a terminal's cursor is taken out. What can't be read is no words.
func lastOutput(l shim.Layout) func(group, container string) []string {
	return func(group, container string) []string {
		ctx, cancel := context.WithTimeout(context.Background(), lastTime)
		defer cancel()
		var lines []string
		file := logs.File{Container: container, Path: l.LogPath(group, container)}
		_ = logs.Copy(ctx, []logs.File{file}, logs.Options{Tail: lastLines}, func(_, line string) error {
			lines = append(lines, plainLine(line))
			return nil
		})
		return lines[max(0, len(lines)-lastLines):] // one that still prints may have printed more meanwhile
	}
}

// plainLine is a line as it can be printed anywhere, cut to a width.
func plainLine(line string) string {
	line = strings.ToValidUTF8(strings.TrimRight(line, "\r"), "?")
	runes := []rune(strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		default:
			return r
		}
	}, line))
	if len(runes) > lastWidth {
		return string(runes[:lastWidth]) + "..."
	}
	return string(runes)
}
