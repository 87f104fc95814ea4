package config

import (
	"testing"
	"time"
)

func TestImageLimits(t *testing.T) {
	for text, want := range map[string]time.Duration{"never": 0, "0": 0, "1h": time.Hour, "168h": 168 * time.Hour, "7d": 168 * time.Hour, "3660d": 87840 * time.Hour} {
		if got, problem := ImagesUnused(text); got != want || problem != "" {
			t.Errorf("unused %q is %s, problem %q", text, got, problem)
		}
	}
	for text, want := range map[string]int64{"unlimited": 0, "0": 0, "16MiB": 16 << 20, "10GiB": 10 << 30} {
		if got, problem := ImagesTotal(text); got != want || problem != "" {
			t.Errorf("total %q is %d, problem %q", text, got, problem)
		}
	}
	for _, text := range []string{"", "0h", "-1h", "59m", "90000h", "unlimited", "7 days"} {
		if got, problem := ImagesUnused(text); got != 0 || problem == "" {
			t.Errorf("unused %q is accepted as %s", text, got)
		}
	}
	for _, text := range []string{"", "-1", "never", "1GB", "15MiB", "2000TiB"} {
		if got, problem := ImagesTotal(text); got != 0 || problem == "" {
			t.Errorf("total %q is accepted as %d", text, got)
		}
	}
}
