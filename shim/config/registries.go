package config

import (
	"fmt"
	"strings"
	"time"
)

// none is the value of a path that is not used.
const none = "none"

// PathOrNone returns the path of a setting that may be "none". It is empty for that.
func PathOrNone(text string) string {
	if text == none {
		return ""
	}
	return text
}

func isPathOrNone(example string) func(string) string {
	return func(text string) string {
		if text == none {
			return ""
		}
		if isPath(example)(text) != "" {
			return fmt.Sprintf("%q is neither an absolute path, such as %q, nor %q.", shorten(text), example, none)
		}
		return ""
	}
}

// PullsAtOnce returns the number of registries.max_concurrent.
func PullsAtOnce(text string) (n int, problem string) { return numberWithin(text, 1, 100) }

// PullRate returns the bytes per second of registries.rate. 0 means that there is no limit.
func PullRate(text string) (bytes int64, problem string) {
	if text == "unlimited" {
		return 0, ""
	}
	if bytes, problem = sizeWithin(text, "1KiB", "1TiB"); problem != "" {
		problem += " Or write \"unlimited\"."
	}
	return bytes, problem
}

// A Daily is a part of each day: when it begins and ends, from midnight. It goes over midnight if
// it ends before it begins. Both are 0 if it is always.
type Daily struct{ From, To time.Duration }

// PullWindow returns the part of the day of registries.window.
func PullWindow(text string) (w Daily, problem string) {
	if text == "always" {
		return Daily{}, ""
	}
	from, to, found := strings.Cut(text, "-")
	begin, err := time.Parse("15:04", from)
	end, err2 := time.Parse("15:04", to)
	switch {
	case !found || err != nil || err2 != nil || len(from) != 5 || len(to) != 5:
		return Daily{}, fmt.Sprintf("%q is no part of a day. Write when it begins and ends, such as \"22:00-06:00\", or \"always\".", shorten(text))
	case begin.Equal(end):
		return Daily{}, fmt.Sprintf("%q has no length. Write \"always\", or another end.", text)
	}
	midnight := begin.Truncate(24 * time.Hour)
	return Daily{begin.Sub(midnight), end.Sub(midnight)}, ""
}
