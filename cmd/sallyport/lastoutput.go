package main

import (
	"context"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/logs"
)

const (
	lastLines = 5
	lastTime  = time.Second
)

// lastOutput returns a function that reads the last lines of a container's output, which show why
// it failed. The output may hold any bytes, so characters that would move a terminal's cursor are
// removed. Output that can't be read counts as none. Lines that were written within a second before
// since may be among them.
func lastOutput(l layout.Layout) func(group, container string, since time.Time) []string {
	return func(group, container string, since time.Time) []string {
		ctx, cancel := context.WithTimeout(context.Background(), lastTime)
		defer cancel()
		var lines []string
		files, err := logs.Find(filepath.Dir(l.LogPath(group, container)), []string{container})
		if err != nil {
			return nil
		}
		opt := logs.Options{Tail: lastLines, Since: since, Times: len(files) > 1} // times order the two streams
		_ = logs.Copy(ctx, files, opt, func(line logs.Line) error {
			if line.Missed == 0 {
				lines = append(lines, plainLine(line.Text))
			}
			return nil
		})
		return lines[max(0, len(lines)-lastLines):] // a running container may have printed more in the meantime
	}
}

// plainLine returns a line without control characters. A long one keeps the part that says what
// failed.
func plainLine(line string) string {
	line = strings.ToValidUTF8(strings.TrimRight(line, "\r"), "?")
	return hint.Shorten(strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		default:
			return r
		}
	}, line), hint.Long)
}
