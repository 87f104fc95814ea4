package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// OutputSize returns the bytes of the setting output.size. An empty problem means that it is valid.
func OutputSize(text string) (bytes int64, problem string) {
	return sizeWithin(text, "1MiB", "1TiB")
}

// OutputTotal returns the bytes of output.total.
func OutputTotal(text string) (bytes int64, problem string) {
	return sizeWithin(text, "16MiB", "1024TiB")
}

func sizeWithin(text, least, most string) (bytes int64, problem string) {
	bytes, problem = spec.ParseSize(text)
	if problem != "" {
		return 0, fmt.Sprintf("%q %s.", shorten(text), problem)
	}
	low, _ := spec.ParseSize(least)
	high, _ := spec.ParseSize(most)
	if bytes < low || bytes > high {
		return 0, fmt.Sprintf("%q is out of range. Write a size from %s to %s.", shorten(text), least, most)
	}
	return bytes, ""
}

// OutputRemoved returns the time of output.removed.
func OutputRemoved(text string) (d time.Duration, problem string) {
	d, ok := ParseDuration(text)
	switch {
	case !ok:
		return 0, fmt.Sprintf("%q is not a time. Write a number and one of s, m, h, d: \"24h\".", shorten(text))
	case d < time.Minute || d > 366*24*time.Hour:
		return 0, fmt.Sprintf("%q is out of range. Write a time from 1m to 366d.", shorten(text))
	}
	return d, ""
}

// ParseDuration reads a duration of zero or more, which may begin with days: "90s", "2h30m", "3d".
func ParseDuration(text string) (d time.Duration, ok bool) {
	if days, rest, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, false
		}
		if d, text = time.Duration(n)*24*time.Hour, rest; text == "" {
			return d, true
		}
	}
	rest, err := time.ParseDuration(text)
	return d + rest, err == nil && rest >= 0
}

// problemOf makes a check of a function that reads a setting.
func problemOf[T any](read func(string) (T, string)) func(string) string {
	return func(text string) string {
		_, problem := read(text)
		return problem
	}
}
