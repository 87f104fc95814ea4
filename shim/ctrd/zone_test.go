package ctrd

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// A zone that is written and read again shows the same times.
func TestZoneFile(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca", "America/Sao_Paulo"} {
		f, ok, err := zoneOf(spec.Container{Name: "web", Timezone: name})
		if err != nil || !ok || f.Path != "/usr/share/zoneinfo/"+name {
			t.Fatalf("%s: %+v, %v, %v", name, f.Path, ok, err)
		}
		got, err := time.LoadLocationFromTZData(name, f.Content)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := time.Date(1901, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2100; at = at.Add(50 * time.Hour) {
			if g, w := at.In(got), at.In(want); g.Format(time.RFC1123Z+time.RFC1123) != w.Format(time.RFC1123Z+time.RFC1123) || g.IsDST() != w.IsDST() {
				t.Fatalf("%s: %v, want %v", name, g, w)
			}
		}
	}
	if _, ok, err := zoneOf(spec.Container{}); ok || err != nil {
		t.Errorf("a container without a zone has a file: %v, %v", ok, err)
	}
}
