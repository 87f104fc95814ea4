package store_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/store"
)

func TestSchedule(t *testing.T) {
	l := layout.Layout{GroupsDir: t.TempDir(), StateDir: t.TempDir(), RunDir: t.TempDir()}
	s := store.New(l)
	if x, err := s.Schedule("nightly"); x != nil || err != nil {
		t.Fatalf("of no group: %+v, %v", x, err)
	}
	want := &store.Schedule{
		Cron: "@daily", Timezone: "UTC", Seed: "seed", Handled: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Suspended: true,
		Last: &group.Run{ID: "nightly-1", State: group.RunEnded},
	}
	if err := s.SetSchedule("nightly", want); err != nil {
		t.Fatal(err)
	}
	got, err := store.New(l).Schedule("nightly")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := os.WriteFile(filepath.Join(l.StateDir, "schedules", "nightly.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if x, err := s.Schedule("nightly"); x != nil || err == nil {
		t.Errorf("damaged: %+v, %v", x, err)
	}
	for range 2 {
		if err := s.SetSchedule("nightly", nil); err != nil {
			t.Fatal(err)
		}
	}
	if x, err := s.Schedule("nightly"); x != nil || err != nil {
		t.Errorf("forgotten: %+v, %v", x, err)
	}
}
