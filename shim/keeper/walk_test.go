package keeper_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/keeper"
)

// walks is the number of random walks.
const walks = 30

// tills are definitions of one group. Each differs from the next in something that a keeper has to
// act on.
var tills = []string{
	till,
	edited(till, "web:1", "web:2"),
	edited(till, "haproxy:2", "haproxy:3"),
	edited(till, "migrate:1", "migrate:2", "store:3", "store:4"),
	edited(till, `web:1"`, `web:1"`+"\n    restart { policy = \"never\" }"),
	edited(till, `store:3"`, `store:3"`+"\n    on_failure = \"stop-group\""),
	edited(till, `store:3"`, `store:3"`+"\n    on_failure = \"ignore\"\n    restart { policy = \"never\" }"),
	edited(till, `ambassador "proxy"`, `sidecar "proxy"`, `group "till" {`, "group \"till\" {\n  egress = \"none\""),
}

// reloadedTills differ in files that are reloaded, and in one image.
var reloadedTills = []string{
	reloadedTill("one", "one"), reloadedTill("two", "one"), reloadedTill("one", "two"), reloadedTill("two", "two"),
	edited(reloadedTill("one", "one"), "web:1", "web:2"), edited(till, `web:1"`, `web:1"`+reloadedFile("/etc/a", "one")), till,
}

func reloadedTill(web, proxy string) string {
	return edited(till, `web:1"`, `web:1"`+reloadedFile("/etc/a", web), `haproxy:2"`, `haproxy:2"`+reloadedFile("/etc/b", proxy))
}

// reloadedFile returns a file block with a reload, for a line of its own.
func reloadedFile(path, content string) string {
	return fmt.Sprintf("\n    file %q {\n      content = %q\n      reload  = \"HUP\"\n    }", path, content)
}

// A walker does things to a keeper and its host that happen in a year.
type walker struct {
	*harness
	journal *journal.Journal
	rand    *rand.Rand
	tills   []string // the definitions that are applied
	faults  []string // the operations that fail
	trail   []string
	shows   []func()
}

// soon limits a call that may wait for something that never comes.
func (w *walker) soon(call func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(w.rand.IntN(40))*time.Second)
	defer cancel()
	if err := call(ctx); err != nil {
		w.trail = append(w.trail, "  "+err.Error())
	}
}

func (w *walker) someone() string { return hosttest.Containers[w.rand.IntN(len(hosttest.Containers))] }

// step does one thing, and records it.
func (w *walker) step() {
	note := func(format string, args ...any) { w.trail = append(w.trail, fmt.Sprintf(format, args...)) }
	switch w.rand.IntN(18) {
	case 0, 1:
		i := w.rand.IntN(len(w.tills))
		note("apply %d", i)
		w.soon(func(ctx context.Context) error { return w.keeper.Apply(ctx, bundles("till.hcl", w.tills[i]), nil) })
	case 2:
		note("stop")
		w.soon(func(ctx context.Context) error { return w.keeper.Stop(ctx, "till", nil) })
	case 3:
		note("start")
		w.soon(func(ctx context.Context) error { return w.keeper.Start(ctx, "till", nil) })
	case 4:
		name := []string{"", "proxy", "web", "fetch"}[w.rand.IntN(4)]
		note("restart %s", name)
		w.soon(func(ctx context.Context) error { return w.keeper.Restart(ctx, "till", name, nil) })
	case 5:
		note("rm")
		w.soon(func(ctx context.Context) error { return w.keeper.Remove(ctx, "till", nil) })
	case 6, 7:
		name, status := w.someone(), uint32(w.rand.IntN(2))
		note("end of %s, status %d", name, status)
		w.host.Exit("till", name, status)
	case 8, 9:
		name, kind := w.someone(), []string{"ready", "live"}[w.rand.IntN(2)]
		err := []error{nil, errRefusing}[w.rand.IntN(2)]
		note("%s probe of %s: %v", kind, name, err)
		w.host.Answer("till", name, kind, err)
	case 10:
		note("flush")
		w.host.Flush("till")
	case 11:
		name := w.someone()
		note("unknown state of %s", name)
		w.shows = append(w.shows, w.host.Hide("till", name))
	case 12:
		what := w.faults[w.rand.IntN(len(w.faults))]
		note("fault of %s", what)
		w.host.FailNext(what, errBoom)
	case 13:
		note("a boot")
		w.end()
		w.host.Reboot()
		w.begin()
	case 14:
		note("a new keeper, in the middle of what goes on")
		old := w.keeper
		go func() { _ = old.Restart(context.Background(), "till", "", nil) }()
		w.end()
		w.begin()
	case 15:
		note("a restart of containerd that loses ended tasks")
		w.host.LoseEnded()
	case 16:
		d := time.Duration(w.rand.IntN(100)) * time.Second
		note("%s", d)
		time.Sleep(d)
	case 17:
		ref := "registry.example/" + []string{"web:1", "haproxy:2", "migrate:1", "store:3"}[w.rand.IntN(4)]
		note("another image is called %s", ref)
		w.host.SetImage(ref, fmt.Sprintf("sha256:%s/%d", ref, w.rand.Int()))
	}
	synctest.Wait()
}

// drawn has the changes of a group's state in the diagram at [group.State], and those of a boot. A
// group that has nothing on the host yet may skip stopping on its way to gone or stopped. A group
// that is wanted again may skip gone.
var drawn = map[group.State][]group.State{
	"":              {group.Pending, group.Starting},
	group.Pending:   {group.Starting, group.Stopping, group.Stopped, group.Gone},
	group.Starting:  {group.Pending, group.Running, group.Degraded, group.Stopping, group.Stopped, group.Gone},
	group.Running:   {group.Degraded, group.Stopping, group.Starting},
	group.Degraded:  {group.Running, group.Stopping, group.Starting},
	group.Stopping:  {group.Gone, group.Stopped, group.Completed, group.Pending, group.Starting, group.Degraded},
	group.Stopped:   {group.Starting, group.Pending, group.Stopping, group.Gone},
	group.Completed: {group.Starting, group.Pending, group.Stopping, group.Stopped, group.Gone},
	group.Gone:      {group.Pending, group.Starting},
}

// strayStates returns the changes of state that are not in the diagram.
func (w *walker) strayStates() (strays []string) {
	var at group.State
	err := w.journal.Events(context.Background(), group.EventQuery{}, func(e group.Event) error {
		if e.Kind == group.EventState {
			if !slices.Contains(drawn[at], e.State) {
				strays = append(strays, fmt.Sprintf("%q to %q", at, e.State))
			}
			at = e.State
		}
		return nil
	})
	if err != nil {
		w.t.Error(err)
	}
	return strays
}

// settle ends all faults and waits until the group has settled.
func (w *walker) settle() {
	w.host.ForgetFaults()
	for _, show := range w.shows {
		show()
	}
	for _, name := range hosttest.Containers {
		w.host.Answer("till", name, "ready", nil)
		w.host.Answer("till", name, "live", nil)
	}
	for _, name := range []string{"fetch", "migrate"} {
		w.host.Exit("till", name, 0)
	}
	w.wait(time.Hour)
}

// problems returns what is wrong at the end. It is empty if nothing is.
func (w *walker) problems() string {
	if v := w.host.Violations(); len(v) > 0 {
		return "broken: " + strings.Join(v, "\n")
	}
	if strays := w.strayStates(); len(strays) > 0 {
		return "state changed from " + strings.Join(strays, ", ")
	}
	if all, err := w.keeper.Status(""); err != nil || len(all) == 0 {
		if w.host.String() != "" {
			return fmt.Sprintf("there is no group, error %v, and there is still:\n%s", err, w.host)
		}
		return ""
	}
	st := w.status("till")
	switch st.State {
	case group.Running:
		least := 4
		if strings.Contains(w.text("till.hcl"), `on_failure = "ignore"`) {
			least = 3 // store has ended for good
		}
		if w.host.Running("till") < least {
			return fmt.Sprintf("it is running with too few containers:\n%s", w.host)
		}
	case group.Stopped, group.Completed:
		if w.host.String() != "" {
			return fmt.Sprintf("it is %s, and there is still:\n%s", st.State, w.host)
		}
	default:
		return fmt.Sprintf("it is %s, waiting %q, error %q:\n%s", st.State, st.Waiting, st.Error, w.host)
	}
	return ""
}

func TestRandomWalkOfAKeeper(t *testing.T) {
	walk(t, tills, hosttest.Operations())
}

// With files that are reloaded all that holds without them holds too. In the end each program has
// the contents that are wanted: a plan that has nothing to do compares them.
func TestRandomWalkWithReloads(t *testing.T) {
	faults := hosttest.Operations()
	for range 5 {
		faults = append(faults, "reload web", "reload proxy")
	}
	reloads := 0
	for _, e := range walk(t, reloadedTills, faults) {
		if e.Kind == group.EventReloaded {
			reloads++
		}
	}
	if t.Logf("%d reloads", reloads); reloads == 0 {
		t.Error("no walk came to a reload")
	}
}

// walk returns the events of all walks.
func walk(t *testing.T, tills, faults []string) (events []group.Event) {
	for seed := range uint64(walks) {
		synctest.Test(t, func(t *testing.T) {
			w := &walker{harness: newHarness(t), rand: rand.New(rand.NewPCG(seed, 0)), tills: tills, faults: faults}
			journal, err := journal.Open(journal.Config{Layout: w.layout})
			if err != nil {
				t.Fatal(err)
			}
			defer journal.Close()
			w.journal = journal
			w.config = func(c *keeper.Config) { c.Prober, c.Journal = w.host.Prober(), journal }
			for _, name := range []string{"fetch", "migrate"} {
				w.host.ExitAtOnce("till", name, 0)
			}
			w.begin()
			for range 40 {
				w.step()
			}
			w.settle()
			if wrong := w.problems(); wrong != "" {
				t.Errorf("walk %d: %s\nthe trail:\n%s", seed, wrong, strings.Join(w.trail, "\n"))
			}
			w.end()
			err = journal.Events(t.Context(), group.EventQuery{}, func(e group.Event) error {
				events = append(events, e)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	return events
}
