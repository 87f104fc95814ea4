package ctrd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	containerd "github.com/containerd/containerd/v2/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// All wait as long as it takes, start in order, and never more than execsAtOnce at once.
func TestExecTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turns{atOnce: execsAtOnce}
		var mu sync.Mutex
		var order []int
		now, most := 0, 0
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				release, err := turns.take(t.Context(), "g")
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i/execsAtOnce) // those of one release come in any order
				now++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(10 * time.Second) // a busy host; this is synctest's time
				mu.Lock()
				now--
				mu.Unlock()
				release()
				release() // a second call does nothing
			})
			synctest.Wait()
		}
		other, err := turns.take(t.Context(), "another")
		if err != nil {
			t.Fatalf("another group waits too: %v", err)
		}
		other()
		all.Wait()
		if most != execsAtOnce || len(order) != 60 || !slices.IsSorted(order) {
			t.Errorf("%d at once, in the order %v", most, order)
		}
		if len(turns.queues) > 0 {
			t.Errorf("%d queues are left", len(turns.queues))
		}
	})
}

func TestExecTurnThatDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turns{atOnce: execsAtOnce}
		var releases []func()
		for range execsAtOnce {
			release, err := turns.take(t.Context(), "g")
			if err != nil {
				t.Fatal(err)
			}
			releases = append(releases, release)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := turns.take(ctx, "g")
		want := fmt.Sprintf("while it waited for %d others of the same shim: context deadline exceeded", execsAtOnce)
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		releases[0]()
		if releases[0], err = turns.take(t.Context(), "g"); err != nil {
			t.Error(err)
		}
		for _, release := range releases {
			release()
		}
		if len(turns.queues) > 0 {
			t.Errorf("%d queues are left", len(turns.queues))
		}
	})
}

// Each start may take no longer than it does on a host that starts only a few.
func TestRootExecManyAtOnce(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("app", spec.App, "sleep 1000"))
		r.run()
		// A host may slow down between the measurement and its use. Without turns no try succeeds.
		for try := 1; ; try++ {
			began := time.Now()
			for range execsAtOnce {
				if out, status := r.exec("app", "echo ran"); out != "ran\n" || status != 0 {
					t.Fatalf("%q, status %d", out, status)
				}
			}
			c.execStarts = max(6*time.Since(began), 3*time.Second) // without turns it would be 15 times as long
			var all sync.WaitGroup
			var late atomic.Int64
			for i := range 60 {
				all.Go(func() {
					var out safeBuffer
					status, err := c.Exec(t.Context(), host.ExecRequest{Group: "g", Container: "app", Args: []string{"/bin/echo", "ran"}, Stdout: &out})
					switch {
					case errors.Is(err, errStartEnded) && try < 5:
						late.Add(1)
					case err != nil || status != 0 || out.String() != "ran\n":
						t.Errorf("%d: %q, status %d, %v", i, out.String(), status, err)
					}
				})
			}
			all.Wait()
			r.noExecs()
			if late.Load() == 0 {
				break
			}
			t.Logf("try %d: %d took longer than %v", try, late.Load(), c.execStarts)
		}
	})
}

// loseExecStarts lets each answer to the start of an exec'd process be lost. If do is false, the
// start itself is lost.
func loseExecStarts(t *testing.T, c *Client, do bool, code codes.Code) {
	t.Helper()
	lose := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		start, ok := req.(*tasks.StartRequest)
		if !ok || start.ExecID == "" || path.Base(method) != "Start" {
			return invoke(ctx, method, req, reply, cc, opts...)
		}
		if do {
			if err := invoke(ctx, method, req, reply, cc, opts...); err != nil {
				return err
			}
		}
		return status.Error(code, "lost")
	}
	client, err := containerd.New(c.cfg.Address, containerd.WithExtraDialOpts([]grpc.DialOption{grpc.WithUnaryInterceptor(lose)}))
	if err != nil {
		t.Fatal(err)
	}
	right := c.client
	c.client = client
	t.Cleanup(func() {
		c.leaving.Wait()
		c.client = right
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A command that has run has not failed, although the answer to its start never came.
func TestRootExecWhoseStartIsNotAnswered(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("app", spec.App, "sleep 1000"))
		r.run()
		for _, tt := range []struct {
			name string
			do   bool
			code codes.Code
		}{
			{"too late, and it ran", true, codes.DeadlineExceeded},
			{"containerd was restarted, and it ran", true, codes.Unavailable},
			{"too late, and it did not run", false, codes.DeadlineExceeded},
		} {
			t.Run(tt.name, func(t *testing.T) {
				loseExecStarts(t, c, tt.do, tt.code)
				var out bytes.Buffer
				starts := 0
				status, err := c.Exec(t.Context(), host.ExecRequest{
					Group: "g", Container: "app", Args: []string{"/bin/sh", "-c", "cat; echo ran; exit 3"}, Started: func() { starts++ },
					Stdin: strings.NewReader("in\n"), Stdout: &out,
				})
				if tt.do {
					if err != nil || status != 3 || out.String() != "in\nran\n" || starts != 1 {
						t.Errorf("%q, status %d, %d starts, %v", out.String(), status, starts, err)
					}
					return
				}
				var p *hint.Error
				if !errors.As(err, &p) || !strings.HasSuffix(err.Error(), ", while containerd started the process") || out.Len() > 0 || starts != 0 {
					t.Errorf("%q, status %d, %d starts, %v", out.String(), status, starts, err)
				}
			})
		}
		r.noExecs()
	})
}
