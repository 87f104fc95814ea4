package main

import (
	"strings"
	"testing"
	"time"
)

func TestParseMoment(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 3, 1, 12, 30, 0, 0, zone)
	for _, tt := range []struct{ text, want string }{
		{"10m", "2026-03-01T12:20:00+01:00"},
		{"2h30m", "2026-03-01T10:00:00+01:00"},
		{"0s", "2026-03-01T12:30:00+01:00"},
		{"3d", "2026-02-26T12:30:00+01:00"},
		{"1d12h", "2026-02-28T00:30:00+01:00"},
		{"12:30", "2026-03-01T12:30:00+01:00"},
		{"12:30:01", "2026-02-28T12:30:01+01:00"},
		{"2026-01-31", "2026-01-31T00:00:00+01:00"},
		{"2026-01-31 15:04", "2026-01-31T15:04:00+01:00"},
		{"2026-01-31T15:04:05", "2026-01-31T15:04:05+01:00"},
		{"2026-01-31T15:04:05.5Z", "2026-01-31T15:04:05.5Z"},
		{"2026-01-31T15:04:05-08:00", "2026-01-31T15:04:05-08:00"},
	} {
		if got, err := parseMoment(tt.text, now); err != nil || got.Format(time.RFC3339Nano) != tt.want {
			t.Errorf("%s: got %s, %v; want %s", tt.text, got.Format(time.RFC3339Nano), err, tt.want)
		}
	}
	for _, text := range []string{"", "10", "-10m", "1d-1h", "-1d", "d", "99999d", "yesterday", "25:00", "2026-02-30", "2026-01-31T15:04:05+0100"} {
		if got, err := parseMoment(text, now); err == nil || !strings.Contains(err.Error(), momentForms) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}
