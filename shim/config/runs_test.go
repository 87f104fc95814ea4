package config

import (
	"testing"
	"time"
)

func TestRunLimits(t *testing.T) {
	for text, want := range map[string]int{"1": 1, "8": 8, "1000": 1000} {
		if n, problem := RunsAtOnce(text); n != want || problem != "" {
			t.Errorf("at_once %q is %d, problem %q", text, n, problem)
		}
	}
	for _, text := range []string{"", "0", "-1", "1001", "8.5", "many"} {
		if n, problem := RunsAtOnce(text); n != 0 || problem == "" {
			t.Errorf("at_once %q is accepted as %d", text, n)
		}
	}
	for _, read := range []func(string) (int, string){RunsQueued, RunsRecords} {
		if n, problem := read("0"); n != 0 || problem != "" {
			t.Errorf("0 is %d, problem %q", n, problem)
		}
		if n, problem := read("100001"); n != 0 || problem == "" {
			t.Errorf("100001 is accepted as %d", n)
		}
	}
	for text, want := range map[string]time.Duration{"1m": time.Minute, "24h": 24 * time.Hour, "7d": 168 * time.Hour} {
		if d, problem := RunsKeep(text); d != want || problem != "" {
			t.Errorf("keep %q is %s, problem %q", text, d, problem)
		}
	}
	for _, text := range []string{"", "0", "59s", "367d", "a day"} {
		if d, problem := RunsKeep(text); d != 0 || problem == "" {
			t.Errorf("keep %q is accepted as %s", text, d)
		}
	}
}
