package host_test

import (
	"testing"

	"github.com/sallyport/sallyport/shim/host"
)

func TestBound(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		name   string
		bound  host.Bound
		passed bool
		text   string
		end    string
	}{
		{"half full", host.Bound{Volume: "data", Size: 2 * mib, Used: mib, Files: 3, Hard: true}, false,
			"volume data: 1MiB of 2MiB (50 %), hard", "volume data holds 1MiB, and its bound is 2MiB"},
		{"exactly full", host.Bound{Container: "web", Size: 2 * mib, Used: 2 * mib, Soft: "its xfs is mounted without prjquota"}, false,
			"disk of web: 2MiB of 2MiB (100 %), soft: its xfs is mounted without prjquota", "web has written 2MiB outside of volumes, and its bound is 2MiB"},
		{"passed", host.Bound{Container: "web", Size: 2 * mib, Used: 3 * mib, Soft: "no", Partial: true}, true,
			"disk of web: at least 3MiB of 2MiB (150 %), soft: no", "web has written at least 3MiB outside of volumes, and its bound is 2MiB"},
		{"many empty files", host.Bound{Volume: "data", Size: mib, Used: 4096, Files: 1281, Soft: "no"}, true,
			"volume data: 4KiB in 1281 files (allowed are 1280) of 1MiB (100 %), soft: no",
			"volume data holds 4KiB in 1281 files (allowed are 1280), and its bound is 1MiB"},
	} {
		if got := tt.bound.Passed(); got != tt.passed {
			t.Errorf("%s: passed %v", tt.name, got)
		}
		if got := tt.bound.String(); got != tt.text {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.text)
		}
		if got := tt.bound.PassedText(); got != tt.end {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.end)
		}
	}
}
