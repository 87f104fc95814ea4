package config

import (
	"fmt"
	"time"
)

// ImagesUnused returns the time of the setting images.unused. 0 means never. An empty problem means
// that it is valid.
func ImagesUnused(text string) (d time.Duration, problem string) {
	if text == "never" || text == "0" {
		return 0, ""
	}
	d, ok := ParseDuration(text)
	switch {
	case !ok:
		return 0, fmt.Sprintf("%q is not a time. Write a number and one of s, m, h, d, such as \"30d\", or \"never\".", shorten(text))
	case d < time.Hour || d > 10*366*24*time.Hour:
		return 0, fmt.Sprintf("%q is out of range. Write a time from 1h to 3660d, or \"never\".", shorten(text))
	}
	return d, ""
}

// ImagesTotal returns the bytes of images.total. 0 means that there is no limit.
func ImagesTotal(text string) (bytes int64, problem string) {
	if text == "unlimited" || text == "0" {
		return 0, ""
	}
	if bytes, problem = sizeWithin(text, "16MiB", "1024TiB"); problem != "" {
		problem += " Or write \"unlimited\"."
	}
	return bytes, problem
}
