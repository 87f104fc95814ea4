package main

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
)

// A verb that waits for long names what it waits for, less often each time.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said syncBuilder
		p := (&ui{err: &said}).wait("for its turn")
		time.Sleep(quiet + 2*quiet + time.Second)
		p.line("web: stop app")
		time.Sleep(quiet + time.Second)
		p.end()
		time.Sleep(10 * quiet)
		want := `sallyport: still waiting for its turn, for 15s; Ctrl-C ends the waiting, not the work
sallyport: still waiting for its turn, for 45s; Ctrl-C ends the waiting, not the work
sallyport: web: stop app
sallyport: still at "web: stop app", for 15s; Ctrl-C ends the waiting, not the work
`
		if diff := cmp.Diff(want, said.String()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// In a pipe a long transfer has a line now and then, and one when it has ended. A result that the
// verb prints itself is printed only where it fails.
func TestProgressOfTransfers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name string
			err  error
			want string
		}{
			{"done", nil, ""},
			{"failed", errors.New("cart: no"), "sallyport: shop: running\n"},
		} {
			var said syncBuilder
			p := (&ui{err: &said}).wait("for its turn")
			ctx := p.watch(t.Context())
			report := host.Transfers(ctx)
			pull := host.Transfer{Image: "busybox:1.37", Stage: host.Pulling, Total: 400 << 20}
			for ; pull.Done < pull.Total; pull.Done += 1 << 20 {
				report(pull)
				time.Sleep(redraw)
			}
			report(host.Transfer{Image: "oci-archive:/a.tar", Stage: host.Importing, Done: 512, Total: 512, Milliseconds: 12, Ended: true})
			report(host.Transfer{Image: "oci-archive:/b.tar", Ended: true})
			pull.Stage = host.Unpacking
			report(pull)
			time.Sleep(20 * time.Second) // it is the same, so nothing is reported
			pull.Stage, pull.Milliseconds, pull.Ended = host.Pulling, 112_345, true
			report(pull)
			p.line("shop: running")
			if err := p.after(tt.err); err != tt.err {
				t.Errorf("%s: error %v", tt.name, err)
			}
			want := `sallyport: pull busybox:1.37: 20/400 MiB 4 MiB/s
sallyport: pull busybox:1.37: 60/400 MiB 4 MiB/s
sallyport: pull busybox:1.37: 140/400 MiB 4 MiB/s
sallyport: pull busybox:1.37: 300/400 MiB 4 MiB/s
sallyport: imported /a.tar: 512 B in 0s
sallyport: unpack busybox:1.37
sallyport: still at "unpack busybox:1.37", for 15s; Ctrl-C ends the waiting, not the work
sallyport: pulled busybox:1.37: 400 MiB in 1m52.3s
` + tt.want
			if diff := cmp.Diff(want, said.String()); diff != "" {
				t.Errorf("%s (-want +got)\n%s", tt.name, diff)
			}
		}
	})
}

func TestSizeText(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 102_359: "100 KiB", 42_048_716: "40.1 MiB", 900 << 20: "900 MiB", 3 << 29: "1.5 GiB"} {
		if got := sizeText(bytes); got != want {
			t.Errorf("%d: %q, want %q", bytes, got, want)
		}
	}
}

// A syncBuilder is a strings.Builder for several goroutines.
type syncBuilder struct {
	mu sync.Mutex
	strings.Builder
}

func (b *syncBuilder) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.Write(p)
}
