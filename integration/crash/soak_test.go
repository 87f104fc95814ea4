package crash

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// `make soak` raises these.
var (
	soakGroups  = flag.Int("groups", 4, "groups of TestLifeSoak")
	soakActions = flag.Int("actions", 6, "things done to each group of TestLifeSoak")
	soakKills   = flag.Int("kills", 4, "processes killed under TestLifeSoak")
	soakSeed    = flag.Uint64("seed", 0, "of TestLifeSoak; 0: another each time")
)

// soakText is a group whose member sends to the victim. %[3]d is its version, %[4]s the address
// that its ambassador sends to.
const soakText = `
group "%[2]s" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "loop", "198.51.100.66,2001:db8:51::66", "80", "20ms"]
    env     = { VERSION = "%[3]d" }
    stop    { signal = "SIGKILL" }
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "loop", "%[4]s", "80", "20ms"]
    stop    { signal = "SIGKILL" }
  }
}
`

// A soakGroup is one group of a soak, and what was requested of it last.
type soakGroup struct {
	n, version int
	name       string
	client     *api.Client
	want       string // "up", "stopped" or "gone"
}

// TestLifeSoak applies, updates, stops, starts, restarts and removes groups at random. Meanwhile it
// kills the daemon, containerd, the shims and the programs. In the end the last requests hold, all
// of them and nothing else. At no time does a packet of a member get out.
func TestLifeSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	m := machine.New(t, "")
	w := machine.NewWatch(t, m.Host)
	var groups []*soakGroup
	for n := range *soakGroups {
		groups = append(groups, &soakGroup{n: n, name: fmt.Sprintf("live%d", n), want: "gone", client: m.Client()})
	}
	var wait sync.WaitGroup
	refused := make([]int, len(groups))
	for i, g := range groups {
		wait.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for range *soakActions {
				if err := g.act(rnd); err != nil {
					refused[i]++
					time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond) // no daemon may run
				}
			}
		})
	}
	rnd := rand.New(rand.NewPCG(seed, uint64(len(groups))))
	for range *soakKills {
		time.Sleep(time.Duration(rnd.IntN(4000)) * time.Millisecond)
		killAtRandom(m, rnd)
	}
	wait.Wait()
	for i, g := range groups {
		if err := machine.Retry(2*time.Minute, func() error { return g.settle(m) }); err != nil {
			t.Errorf("%s, which was to be %s: %v", g.name, g.want, err)
		}
		t.Logf("%s is %s; %d of %d acts were refused", g.name, g.want, refused[i], *soakActions)
	}
	if doors, members, first := w.Verdict(); members > 0 || doors == 0 {
		t.Errorf("%d packets of members got out, and %d of ambassadors: %v", members, doors, first)
	}
	for _, g := range groups {
		m.Try("rm", g.name)
	}
	m.CheckNoGroup(t)
	if left := m.LeftInContainerd("live"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// act does one thing to the group. It sets what is wanted before it asks for it, because a request
// that is refused is made again in the end.
func (g *soakGroup) act(rnd *rand.Rand) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch rnd.IntN(6) {
	case 0, 1:
		g.version, g.want = g.version+1, "up"
	case 2:
		g.want = "gone"
	case 3:
		if g.want == "up" {
			g.want = "stopped"
		}
	case 4:
		if g.want == "stopped" {
			g.want = "up"
		}
	case 5:
		return g.client.Restart(ctx, g.name, []string{"app", "amb"}[rnd.IntN(2)], nil)
	}
	return g.ask(ctx)
}

// ask requests what is wanted of a group, in whatever state the group is.
func (g *soakGroup) ask(ctx context.Context) error {
	if g.want == "gone" {
		if err := g.client.Remove(ctx, g.name, nil); !errors.Is(err, group.ErrNoGroup) {
			return err
		}
		return nil
	}
	bundle := group.Bundle{Name: g.name + ".hcl", Path: "/nowhere/" + g.name + ".hcl", HCL: fmt.Appendf(nil, soakText, machine.AttackImage, g.name, g.version, machine.AmbassadorAddr(g.n))}
	if err := g.client.Apply(ctx, []group.Bundle{bundle}, nil); err != nil {
		return err
	}
	if g.want == "stopped" {
		return g.client.Stop(ctx, g.name, nil)
	}
	return g.client.Start(ctx, g.name, nil)
}

// settle requests what is wanted, and returns an error if the group is not so.
func (g *soakGroup) settle(m *machine.Machine) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := g.ask(ctx); err != nil {
		return err
	}
	all, err := g.client.Status(ctx, g.name)
	if g.want == "gone" {
		if !errors.Is(err, group.ErrNoGroup) {
			return fmt.Errorf("it is there: %v", err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	running := 0
	for _, c := range all[0].Containers {
		if c.Task == host.TaskRunning {
			running++
		}
	}
	if want := map[string]int{"up": 2, "stopped": 0}[g.want]; running != want {
		return fmt.Errorf("%d containers run, want %d", running, want)
	}
	if g.want == "up" {
		if out, err := m.Try("exec", g.name+".app", "--", "env"); err != nil {
			return err
		} else if err := machine.Contains(out, fmt.Sprintf("VERSION=%d\n", g.version)); err != nil {
			return err
		}
	}
	return nil
}

// killAtRandom kills the daemon, containerd, a shim or a program.
func killAtRandom(m *machine.Machine, rnd *rand.Rand) {
	m.T.Helper()
	switch rnd.IntN(6) {
	case 0, 1, 2:
		m.Kill()
		m.Start()
	case 3:
		m.KillContainerd()
	case 4:
		if pids := m.Shims(); len(pids) > 0 {
			unix.Kill(pids[rnd.IntN(len(pids))], unix.SIGKILL)
		}
	case 5:
		if found := m.ProcessesInCgroups(); len(found) > 0 {
			var pid int
			fmt.Sscanf(found[rnd.IntN(len(found))], "process %d", &pid)
			unix.Kill(pid, unix.SIGKILL)
		}
	}
}
