package crash

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
)

// `make soak` raises these.
var (
	orderCount  = flag.Int("orders", 4, "orders of TestRandomOrders")
	orderFirst  = flag.Int("first-order", 0, "the first order of TestRandomOrders")
	orderDamage = flag.Bool("damage", true, "TestRandomOrders also damages files of the state")
)

// ordersOnOneMachine is how many orders follow each other on one machine. After one that went wrong
// there is another machine.
const ordersOnOneMachine = 10

// TestRandomOrders does things to a daemon in random orders: it fills the disk, damages a file of
// the state, kills the daemon, stops, starts, restarts, applies and removes groups, and frees the
// disk. In the end, with a free disk and another daemon, the world equals the files, which are
// those of the commands that were accepted. Each command that was refused did nothing. An order is
// repeated with the same seed, from the environment, and its number.
func TestRandomOrders(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("SALLYPORT_ORDERS_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SALLYPORT_ORDERS_SEED=%d", seed)
	end := *orderFirst + *orderCount
	for n := *orderFirst; n < end; {
		t.Run(fmt.Sprintf("from %d", n), func(t *testing.T) {
			o := newOrders(t)
			for last := min(n+ordersOnOneMachine, end); n < last && !t.Failed(); {
				n++ // before the order, which may end the test
				o.order(n-1, rand.New(rand.NewPCG(seed, uint64(n-1))))
			}
		})
	}
}

// orderFiles are the group files of an order, and the groups in each.
var orderFiles = map[string][]string{"near": {"near"}, "far": {"far"}, "both": {"left", "right"}}

// orderText is a group file's text for a group. %[2]s is its name, and %[3]s who may leave it. The
// text never changes: a version is in the value of the variable, which only the daemon keeps.
const orderText = `
group "%[2]s" {
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    env     = { VERSION = var.version }
    stop    { signal = "SIGKILL" }
  }
  %[3]s
}
`

func orderFile(file string) string {
	text := "variable \"version\" {\n  type    = string\n  default = \"of no apply\"\n}\n"
	for _, group := range orderFiles[file] {
		egress := "egress = \"none\""
		if file == "far" {
			egress = fmt.Sprintf("ambassador \"amb\" {\n    image = %q\n    command = [\"/bin/sleep\", \"1000\"]\n    stop { signal = \"SIGKILL\" }\n  }", machine.AttackImage)
		}
		text += fmt.Sprintf(orderText, machine.AttackImage, group, egress)
	}
	return text
}

// A wish has what an operator was promised of a group file and its groups.
type wish struct {
	version int
	stopped map[string]bool // by group
}

// orders is a machine with a small disk, and the wishes of its operator.
type orders struct {
	*machine.Machine
	wishes  map[string]*wish // by file
	version int
	damaged []string // what was damaged in this order
	steps   []string // of this order, with their outcomes
}

// newOrders mounts a small disk for the state and the group files.
func newOrders(t *testing.T) *orders {
	t.Helper()
	m := machine.NewIdle(t, "")
	state := filepath.Join(m.Root, "state")
	files := filepath.Join(state, "groups.d")
	var mounted []string
	mount := func(source, target, kind string, flags uintptr, options string) {
		if err := errors.Join(os.MkdirAll(target, 0o700), unix.Mount(source, target, kind, flags, options)); err != nil {
			t.Fatal(err)
		}
		mounted = append(mounted, target)
	}
	m.Unmount = func() {
		for _, target := range slices.Backward(mounted) {
			if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		}
	}
	mount("disk", state, "tmpfs", 0, "size=96m,nr_inodes=8k,mode=700")
	if err := os.Mkdir(files, 0o700); err != nil {
		t.Fatal(err)
	}
	mount(files, m.Groups, "", unix.MS_BIND, "")
	o := &orders{Machine: m, wishes: map[string]*wish{}}
	t.Cleanup(func() { // before the machine checks that nothing is left
		o.free()
		for file := range orderFiles {
			m.Try("rm", file+".hcl")
		}
		o.removeSetAside()
	})
	m.Start()
	return o
}

// order does one order. It begins and ends without a group.
func (o *orders) order(n int, rnd *rand.Rand) {
	o.T.Helper()
	o.steps, o.damaged = nil, nil
	defer func() {
		if o.T.Failed() {
			o.T.Logf("order %d, which -first-order %d -orders 1 repeats:\n%s", n, n, strings.Join(o.steps, "\n"))
		}
	}()
	o.apply("near", "far", "both")
	for range 6 + rnd.IntN(8) {
		if o.step(rnd); o.T.Failed() {
			return
		}
	}
	o.free()
	o.kill()
	if o.check(); o.T.Failed() {
		return
	}
	for file := range o.wishes {
		o.remove(file)
	}
	o.removeSetAside()
	o.CheckNoGroup(o.T)
}

// step does one thing. All that is chosen comes from rnd, whatever the outcomes so far.
func (o *orders) step(rnd *rand.Rand) {
	files := slices.Sorted(maps.Keys(orderFiles))
	one, two, kind, nth := files[rnd.IntN(len(files))], files[rnd.IntN(len(files))], rnd.IntN(len(damageNames)), rnd.IntN(1000)
	group := orderFiles[one][nth%len(orderFiles[one])]
	switch rnd.IntN(17) {
	case 0:
		o.fillBytes()
	case 1:
		o.fillInodes()
	case 2:
		o.free()
	case 3, 4:
		if *orderDamage {
			o.damage(damageNames[kind], nth)
		}
	case 5, 6:
		o.kill()
	case 7, 8, 9:
		o.apply(one)
	case 10:
		if one != two {
			o.apply(one, two)
		} else {
			o.apply(one)
		}
	case 11, 12:
		o.stop(group)
	case 13:
		o.start(group)
	case 14:
		o.accepted("restart", group)
	default:
		o.remove(one)
	}
}

// fileOf returns the file of a group.
func fileOf(group string) string {
	for file, groups := range orderFiles {
		if slices.Contains(groups, group) {
			return file
		}
	}
	panic("no file has group " + group)
}

func (o *orders) apply(files ...string) {
	o.T.Helper()
	o.version++
	args := []string{"apply", "--var", "version=" + strconv.Itoa(o.version)}
	for _, file := range files {
		args = append(args, o.Write(file+".hcl", orderFile(file)))
	}
	back, ok := o.try(args...)
	if !ok {
		return
	}
	for _, file := range files {
		if slices.Contains(back, file) {
			continue
		}
		if o.wishes[file] == nil {
			o.wishes[file] = &wish{stopped: map[string]bool{}}
		}
		o.wishes[file].version = o.version
	}
}

func (o *orders) stop(group string) {
	o.T.Helper()
	if o.accepted("stop", group) {
		o.wishes[fileOf(group)].stopped[group] = true
	}
}

func (o *orders) start(group string) {
	o.T.Helper()
	if o.accepted("start", group) {
		delete(o.wishes[fileOf(group)].stopped, group)
	}
}

func (o *orders) remove(file string) {
	o.T.Helper()
	if o.accepted("rm", file+".hcl") {
		delete(o.wishes, file)
	}
}

// accepted runs a command, and reports whether it said yes. If it said no, it must have changed
// nothing.
func (o *orders) accepted(args ...string) bool {
	o.T.Helper()
	_, ok := o.try(args...)
	return ok
}

// try is accepted for a command about several files. back are those that it took back, because a
// group of theirs can't be built. The others count.
func (o *orders) try(args ...string) (back []string, ok bool) {
	o.T.Helper()
	before := o.look()
	began := time.Now()
	_, err := o.Try(args...)
	o.note("%s, which took %v: %s", strings.Join(args, " "), time.Since(began).Round(time.Millisecond), outcome(err))
	switch known := o.wishes[fileOfArgs(args)] != nil; {
	case err == nil && args[0] != "apply" && !known:
		o.T.Errorf("%q was accepted, and there is no such group", args)
		return nil, false
	case err == nil:
		return nil, true
	case counts.MatchString(err.Error()):
		return nil, true
	case takenBack.MatchString(err.Error()):
		for _, found := range takenBack.FindAllStringSubmatch(err.Error(), -1) {
			back = append(back, found[1])
		}
		return back, true
	case strings.Contains(err.Error(), "signal: killed"):
		o.T.Errorf("%q did not end within a minute", args)
	}
	after := o.look()
	o.passOverRetries(before, after)
	if !maps.Equal(before, after) {
		o.T.Errorf("%q was refused, and changed something:\n%v\n%s", args, err, gocmp.Diff(before, after))
	}
	return nil, false
}

// counts matches the error of a command that counts, and is not done yet or did not do well.
var counts = regexp.MustCompile(` started and is | stays (started|stopped|removed): | goes on restarting: `)

// takenBack matches the lines of an apply about the files that it takes back.
var takenBack = regexp.MustCompile(`(\w+)\.hcl: (?:removed again|put back)`)

// fileOfArgs returns the file that a command other than apply is about.
func fileOfArgs(args []string) string {
	last := args[len(args)-1]
	switch args[0] {
	case "rm":
		return strings.TrimSuffix(last, ".hcl")
	case "stop", "start", "restart":
		return fileOf(last)
	}
	return ""
}

func outcome(err error) string {
	if err == nil {
		return "yes"
	}
	_, said, _ := strings.Cut(err.Error(), "\n")
	return "no: " + cmp.Or(said, err.Error())
}

func (o *orders) note(format string, args ...any) {
	o.steps = append(o.steps, strings.ReplaceAll(strings.TrimSpace(fmt.Sprintf(format, args...)), "\n", "\n      "))
}

// kill ends the daemon as a crash does, and starts another one.
func (o *orders) kill() {
	o.T.Helper()
	o.note("kill the daemon, and start another")
	o.Kill()
	o.Start()
}
