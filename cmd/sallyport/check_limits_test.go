package main

import (
	"strings"
	"testing"
)

func TestLimitsFound(t *testing.T) {
	for _, tt := range []struct {
		most     uint64
		raisable bool
		found    string
		note     string
	}{
		{20_000, false, "", "20000 open files at most, instead of 524288"},
		{20_000, true, "524288 open files", ""},
		{1 << 30, false, "524288 open files", ""},
	} {
		found, err := limitsFound(tt.most, tt.raisable)
		if !strings.Contains(found, tt.found) || (err == nil) != (tt.note == "") || err != nil && !strings.Contains(err.Error(), tt.note) {
			t.Errorf("%d, raisable %v: %q and %v", tt.most, tt.raisable, found, err)
		}
	}
}
