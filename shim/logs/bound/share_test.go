package bound

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/layout"
)

// The files grow at full speed between any two looks, and stay within 1.1 of a limit: of one
// file's, of the total, and of what the disk has left.
func TestHoldsAtFullSpeed(t *testing.T) {
	for _, tt := range []struct {
		name     string
		settings Settings
		free     int64 // with what the output takes
		want     int64 // of all files together
	}{
		{"the limit of each", Settings{Size: 8 * mib, Total: 1 << 40}, 1 << 50, 3 * 8 * mib},
		{"the total", Settings{Size: 50 * mib, Total: 16 * mib}, 1 << 50, 16 * mib},
		{"the disk", Settings{Size: 50 * mib, Total: 1 << 40}, 40 * mib, 20 * mib},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			var paths []string
			for i := range 3 { // of a group each
				paths = append(paths, filepath.Join(dir, fmt.Sprint("shop", i), "web.log"))
				write(t, paths[i], 1)
			}
			d := newDesk(t, dir, tt.settings)
			all := func() (sum int64) {
				for _, path := range paths {
					sum += allocated(path)
				}
				return sum
			}
			d.disk = func(string) (disk, error) { return disk{size: 1 << 50, free: tt.free - all()}, nil }
			next := d.step(true)
			for written := 0; written < 100*mib; {
				if next.IsZero() { // it rests, and the first write wakes it
					next = d.clock.Add(time.Millisecond)
				}
				grown := int(next.Sub(d.clock).Seconds() * fullSpeed)
				for _, path := range paths {
					write(t, path, grown/len(paths))
				}
				written += grown
				if got := all(); got > tt.want+tt.want/10 {
					t.Fatalf("%.2f of the limit", float64(got)/float64(tt.want))
				}
				d.clock = next
				next = d.step(false)
			}
			if got := all(); got < tt.want*9/10 {
				t.Errorf("only %d bytes are kept", got)
			}
		})
	}
}

func TestTotal(t *testing.T) {
	dir := t.TempDir()
	for i, size := range []int{mib / 2, 3 * mib, 8 * mib} {
		write(t, filepath.Join(dir, "shop", fmt.Sprintf("app%d.log", i)), size)
	}
	old, newer := filepath.Join(dir, layout.RemovedOutput, "shop@1799999000"), filepath.Join(dir, layout.RemovedOutput, "shop@1799999100")
	write(t, filepath.Join(old, "app.log"), 2*mib)
	write(t, filepath.Join(newer, "app.log"), 2*mib)
	there := func(path string) bool { _, err := os.Stat(path); return err == nil }

	d := newDesk(t, dir, Settings{Size: 50 * mib, Total: 14 * mib, Removed: time.Hour})
	d.step(true)
	d.settle()
	if there(old) || !there(newer) {
		t.Error("the oldest of the removed output does not go first")
	}
	if got := d.used(); got > 14*mib || got < 13*mib {
		t.Errorf("all output takes %d bytes", got)
	}
	must(t, WriteSettings(dir, Settings{Size: 50 * mib, Total: 4 * mib, Removed: time.Hour}))
	d.settle()
	if there(newer) {
		t.Error("removed output stays, and the total is reached")
	}
	if got := d.used(); got > 4*mib+4*mib/10 || got < 3*mib {
		t.Errorf("all output takes %d bytes", got)
	}
	if got := allocated(filepath.Join(dir, "shop", "app0.log")); got < mib/2 {
		t.Errorf("the smallest was trimmed to %d bytes", got)
	}
	if n := strings.Count(d.log.String(), "all output together is at its limit"); n != 1 {
		t.Errorf("reported %d times", n)
	}
}

// Output never takes more of the disk than it leaves free.
func TestLittleRoom(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "shop", "web.log")
	must(t, os.Mkdir(filepath.Dir(path), 0o750))
	d := newDesk(t, dir, Settings{Size: 50 * mib, Removed: time.Hour})
	d.disk = func(string) (disk, error) { return disk{size: 1 << 40, free: 10*mib - d.used()}, nil }
	d.step(true)
	for range 50 {
		write(t, path, mib/4)
		d.settle()
		if got := allocated(path); got > 5*mib+5*mib/10 {
			t.Fatalf("it takes %d bytes of 10 MiB", got)
		}
	}
	if got := allocated(path); got < 4*mib {
		t.Errorf("it keeps %d bytes", got)
	}
}
