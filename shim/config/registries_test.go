package config

import (
	"testing"
	"time"
)

func TestRegistryLimits(t *testing.T) {
	for text, want := range map[string]Daily{"always": {}, "22:00-06:30": {22 * time.Hour, 6*time.Hour + 30*time.Minute}, "00:00-05:00": {0, 5 * time.Hour}, "05:00-00:00": {5 * time.Hour, 0}} {
		if got, problem := PullWindow(text); got != want || problem != "" {
			t.Errorf("window %q is %v, problem %q", text, got, problem)
		}
	}
	for text, want := range map[string]int64{"unlimited": 0, "1KiB": 1 << 10, "1.5MiB": 3 << 19} {
		if got, problem := PullRate(text); got != want || problem != "" {
			t.Errorf("rate %q is %d, problem %q", text, got, problem)
		}
	}
	for _, text := range []string{"", "22:00", "22:00-24:00", "6-7", "06:00-06:00", "22:00-6:00", "22:00 - 06:00", "never"} {
		if got, problem := PullWindow(text); got != (Daily{}) || problem == "" {
			t.Errorf("window %q is accepted as %v", text, got)
		}
	}
	for _, text := range []string{"", "0", "1", "1MB", "1B", "never"} {
		if got, problem := PullRate(text); got != 0 || problem == "" {
			t.Errorf("rate %q is accepted as %d", text, got)
		}
	}
	for _, text := range []string{"", "0", "101", "all"} {
		if n, problem := PullsAtOnce(text); n != 0 || problem == "" {
			t.Errorf("max_concurrent %q is accepted as %d", text, n)
		}
	}
}
