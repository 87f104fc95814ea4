package cron

import (
	"strings"
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := Zone(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestNext(t *testing.T) {
	for _, tt := range []struct {
		name, cron, zone, after string
		want                    []string
	}{
		{"every five minutes", "*/5 * * * *", "UTC", "2026-03-01T10:02:03Z", []string{"2026-03-01T10:05:00Z", "2026-03-01T10:10:00Z"}},
		{"strictly after", "5 * * * *", "UTC", "2026-03-01T10:05:00Z", []string{"2026-03-01T11:05:00Z"}},
		{"a fraction of a second", "5 * * * *", "UTC", "2026-03-01T10:04:59.999Z", []string{"2026-03-01T10:05:00Z"}},
		{"in a zone", "0 2 * * *", "Asia/Kolkata", "2026-03-01T00:00:00Z", []string{"2026-03-02T02:00:00+05:30"}},
		{"names", "0 8 * MAR Mon-Fri", "UTC", "2026-03-06T09:00:00Z", []string{"2026-03-09T08:00:00Z"}},
		{"day of the month or of the week", "0 0 13 * fri", "UTC", "2026-03-01T00:00:00Z", []string{"2026-03-06T00:00:00Z", "2026-03-13T00:00:00Z", "2026-03-20T00:00:00Z"}},
		{"Sunday is 7", "0 0 * * 7", "UTC", "2026-03-02T00:00:00Z", []string{"2026-03-08T00:00:00Z", "2026-03-15T00:00:00Z"}},
		{"until Sunday", "0 0 * * 6-7", "UTC", "2026-03-02T00:00:00Z", []string{"2026-03-07T00:00:00Z", "2026-03-08T00:00:00Z", "2026-03-14T00:00:00Z"}},
		{"every other day until Sunday", "0 0 * * mon-7/3", "UTC", "2026-03-02T00:00:00Z", []string{"2026-03-05T00:00:00Z", "2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z"}},
		{"the 31st", "0 0 31 * *", "UTC", "2026-02-01T00:00:00Z", []string{"2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"}},
		{"a leap day", "0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		{"a leap day in a zone", "30 12 29 2 *", "Europe/Berlin", "2024-02-29T12:00:00Z", []string{"2028-02-29T12:30:00+01:00"}},
		{"the new year", "59 23 31 12 *", "UTC", "2026-12-31T23:58:00Z", []string{"2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z"}},
		{"weekly", "@weekly", "UTC", "2026-03-02T00:00:00Z", []string{"2026-03-08T00:00:00Z"}},
		{"yearly", "@yearly", "UTC", "2026-03-02T00:00:00Z", []string{"2027-01-01T00:00:00Z"}},

		// Berlin's clocks go from 02:00 to 03:00 on 2026-03-29, and back on 2026-10-25.
		{"a time that does not exist", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"several that do not exist run once", "*/10 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"}},
		{"the moment of the change", "0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T03:00:00+02:00", "2026-03-30T03:00:00+02:00"}},
		{"one that does not exist and the moment of the change", "0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"}},
		{"a time that comes twice", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"asked within the second hour", "30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", []string{"2026-10-26T02:30:00+01:00"}},
		{"the end of the second hour", "0 3 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", []string{"2026-10-25T03:00:00+01:00"}},
		{"every hour in spring", "30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", []string{"2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"}},
		{"every hour in autumn", "30 * * * *", "Europe/Berlin", "2026-10-24T23:50:00Z", []string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"}},
		{"every two hours in spring", "0 */2 * * *", "Europe/Berlin", "2026-03-28T22:00:00Z", []string{"2026-03-29T00:00:00+01:00", "2026-03-29T04:00:00+02:00"}},
		{"midnight does not exist", "0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", []string{"2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"}},
		{"half an hour", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", []string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"}},
		{"a day that does not exist", "30 2 * * *", "Pacific/Apia", "2011-12-29T13:00:00Z", []string{"2011-12-31T00:00:00+14:00", "2011-12-31T02:30:00+14:00"}},
		{"the last day of a leap year", "0 12 * * *", "Europe/Berlin", "2040-12-30T23:30:00Z", []string{"2040-12-31T12:00:00+01:00", "2041-01-01T12:00:00+01:00"}},
		{"over the change", "0 12 * * *", "America/New_York", "2026-03-07T18:00:00Z", []string{"2026-03-08T12:00:00-04:00"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			times, err := Parse(tt.cron)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, tt.after)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if at = times.Next(at, zone(t, tt.zone)); at.Format(time.RFC3339) != want {
					t.Fatalf("next is %s, want %s", at.Format(time.RFC3339), want)
				}
			}
		})
	}
}

// Each moment is after the one before, in all zones with their changes, and is one of those that
// the wall clock shows, unless it is that of a change.
func TestNextGoesOn(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Gaza"} {
		z := zone(t, name)
		for _, expression := range []string{"*/7 * * * *", "*/20 1-3 * * *", "0 0 * * *", "30 2 29,30,31 * *", "0 0 29 2 *"} {
			times, err := Parse(expression)
			if err != nil {
				t.Fatal(err)
			}
			at := time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)
			for range 2000 {
				next := times.Next(at, z)
				if next.IsZero() && expression == "0 0 29 2 *" { // the year 2100 has none
					break
				}
				start, _ := next.ZoneBounds()
				shown := wall(next)
				if !next.After(at) || !next.Equal(start) && !times.rules.Next(shown.Add(-1)).Equal(shown) {
					t.Fatalf("%s in %s: after %s comes %s", expression, name, at, next)
				}
				at = next
			}
		}
	}
}

func TestShortest(t *testing.T) {
	for cron, want := range map[string]time.Duration{
		"* * * * *": time.Minute, "0 2,4 * * *": 2 * time.Hour, "@daily": 24 * time.Hour, "0 0 1 * *": 28 * 24 * time.Hour,
		"59,0 * * * *": time.Minute,
	} {
		times, err := Parse(cron)
		if err != nil {
			t.Fatal(err)
		}
		if got := times.Shortest(); got != want {
			t.Errorf("%s: %s, want %s", cron, got, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for cron, want := range map[string]string{
		"":                    "it has 0 fields",
		"* * * *":             "it has 4 fields",
		"0 */5 * * * *":       "it has 6 fields: the finest time is a minute",
		"60 * * * *":          `minute "60": end of range (60) above maximum (59)`,
		"* 24 * * *":          `hour "24": end of range (24) above maximum (23)`,
		"* * 0 * *":           `day of the month "0": beginning of range (0) below minimum (1)`,
		"* * * 13 *":          `month "13"`,
		"* * * * 8":           `day of the week "8"`,
		"* * * * 8-7":         `day of the week "8-7"`,
		"* * * * 0-7/0":       `day of the week "0-7/0": end of range (7) above maximum (6)`,
		"*/0 * * * *":         `minute "*/0": step of range should be a positive number`,
		"5-1 * * * *":         "beginning of range (5) beyond end of range (1)",
		"1,,2 * * * *":        `minute "1,,2": "" is no number, range or list`,
		", * * * *":           `minute ",": "" is no number`,
		"? * * * *":           `minute "?": "?" is no number`,
		"5/10 * * * *":        `minute "5/10": "5/10" has a step and no range: write such as 5-59/10`,
		"mon * * * *":         `minute "mon": "mon" is no number and no name`,
		"* * * * monday":      `day of the week "monday": "monday" is no number and no name`,
		"99999999999 * * * *": `minute "99999999999"`,
		"-1 * * * *":          `minute "-1"`,
		"0 0 30 2 *":          "no such day ever comes",
		"0 0 31 4,6,9,11 *":   "no such day ever comes",
		"@every 5m":           `"@every" counts from no time of the clock`,
		"@reboot":             `"@reboot" is no time`,
		"@noon":               `"@noon" is unknown`,
		"TZ=UTC * * * * *":    "it has 6 fields",
		"TZ=":                 "it has 1 fields",
		"CRON_TZ=x 0 0 * *":   `minute "cron_tz=x"`,
	} {
		_, err := Parse(cron)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", cron, err, want)
		}
	}
}

func TestZoneErrors(t *testing.T) {
	for _, name := range []string{"", "Local", "local", "Europe/Atlantis", "../etc/passwd", "/etc/localtime", "\x00"} {
		if z, err := Zone(name); err == nil {
			t.Errorf("%q is %s", name, z)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("*/5 2 1-7 jan mon,7")
	f.Add("@daily")
	f.Fuzz(func(t *testing.T, text string) {
		times, err := Parse(text)
		if err != nil {
			return
		}
		after := time.Date(2026, time.October, 25, 0, 30, 0, 0, time.UTC)
		if next := times.Next(after, time.UTC); !next.After(after) && !next.IsZero() {
			t.Errorf("%q: after %s comes %s", text, after, next)
		}
	})
}
