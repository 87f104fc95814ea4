package shim_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/shimtest"
)

// A wallClock is what a host's clock shows, which somebody may set.
type wallClock struct{ ahead atomic.Int64 }

func (c *wallClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// A host's clock that is set by an hour, either way, does nobody harm. A keeper's own waits go by one that nobody sets. So what can go
// wrong is with the times that others tell, containerd and the daemon before: they may be of the clock as it was.
func TestAClockThatIsSetByAnHour(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(d *desk)
		after  func(d *desk, over func()) // over ends what spans the moment: from then on all tell the same time again
	}{
		{"a healthy group", func(d *desk) { d.mustApply("shop.hcl", shop) }, func(d *desk, _ func()) {
			d.wait(10 * time.Minute)
			d.did()
			if st := d.status("shop"); st.State != shim.Running || st.Error != "" {
				d.t.Errorf("%s, error %q", st.State, st.Error)
			}
		}},
		{"one that ends after it", func(d *desk) { d.mustApply("shop.hcl", shop); d.wait(time.Minute) }, func(d *desk, _ func()) {
			d.exit("shop", "web", 1)
			d.wait(2 * time.Second)
			if c := d.status("shop").Containers[2]; c.Task != shim.TaskRunning || c.Restarts != 1 {
				d.t.Errorf("two seconds after its end: %+v", c)
			}
		}},
		{"one that has ended before it", func(d *desk) {
			d.mustApply("shop.hcl", shop)
			d.exit("shop", "web", 1)
		}, func(d *desk, _ func()) {
			d.wait(2 * time.Second)
			if c := d.status("shop").Containers[2]; c.Task != shim.TaskRunning {
				d.t.Errorf("two seconds after its end: %+v", c)
			}
		}},
		{"one in a crash loop", func(d *desk) {
			d.host.BreakImage("registry.example/web:1", 3)
			d.write("shop.hcl", shop)
			d.wait(10 * time.Minute)
			d.host.ForgetOperations()
		}, func(d *desk, over func()) {
			for len(d.host.Operations()) == 0 {
				d.wait(time.Second)
			}
			over()
			d.wait(10 * time.Minute)
			starts := strings.Count(strings.Join(d.host.Operations(), "\n"), "start web")
			if starts < 8 || starts > 16 { // one a minute; as many as that where it begins anew
				d.t.Errorf("in ten minutes it was started %d times", starts)
			}
		}},
		{"one on trial", func(d *desk) {
			d.mustApply("shop.hcl", careful)
			d.host.BreakImage("registry.example/web:2", 3)
			d.write("shop.hcl", careful2)
			d.wait(30 * time.Second)
		}, func(d *desk, _ func()) {
			d.wait(20 * time.Second)
			if st := d.status("shop"); st.Generation != 2 {
				d.t.Errorf("it was taken back before its time was over: generation %d, error %q", st.Generation, st.Error)
			}
			d.wait(time.Minute)
			if st := d.status("shop"); st.Generation != 3 || !strings.Contains(st.Error, "was taken back") {
				d.t.Errorf("after its time it is generation %d, error %q", st.Generation, st.Error)
			}
		}},
		{"a job that has ended", func(d *desk) {
			d.mustApply("job.hcl", job)
			d.exit("job", "once", 0)
			d.host.ForgetOperations()
		}, func(d *desk, _ func()) {
			d.wait(10 * time.Minute)
			d.did()
			if st := d.status("job"); st.State != shim.Completed {
				d.t.Errorf("it is %s", st.State)
			}
		}},
	} {
		for _, set := range []time.Duration{-time.Hour, time.Hour} {
			for _, restarted := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, by %s, another daemon %v", tt.name, set, restarted), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						clock := &wallClock{}
						d := newDesk(t)
						d.host = shimtest.New(clock.now)
						d.config = func(c *shim.Config) {
							ahead := time.Duration(clock.ahead.Load()) // as this keeper finds it
							c.Now = func() time.Time { return time.Now().Add(ahead) }
						}
						d.begin()
						tt.before(d)
						clock.ahead.Store(int64(set))
						if restarted {
							d.end()
							d.begin()
						}
						tt.after(d, func() {
							if !restarted {
								clock.ahead.Store(0)
							}
						})
						d.end()
						if v := d.host.Violations(); len(v) > 0 {
							t.Errorf("the promise was broken:\n%s", strings.Join(v, "\n"))
						}
					})
				})
			}
		}
	}
}
