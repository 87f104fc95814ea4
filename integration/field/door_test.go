package field

import (
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
)

// nowhere is the door of an ambassador whose list is empty.
const nowhere = "nowhere"

// checkDoor tries to leave the group from each member, and then from the ambassador, which is the
// control. The host's side of the link is the judge. door is an address and port that the
// ambassador's list has. It is empty if the ambassador has no list. If it is nowhere, the
// answers that the ambassador gave before are the control.
func (w *world) checkDoor(door string) {
	w.t.Helper()
	for _, problem := range w.tryDoor(w.containers(), door, w.shell) {
		w.t.Error(problem)
	}
}

// A container is one of the group.
type container struct {
	name       string
	pid        uint32 // 0: an init, which has ended
	ambassador bool
}

func (w *world) containers() (all []container) {
	for _, c := range w.Status(w.group).Containers {
		all = append(all, container{c.Name, c.PID, c.Role == "ambassador"})
	}
	return all
}

// A shell runs a line in a container, and returns what it printed.
type shell func(c container, line string) (string, error)

func (w *world) shell(c container, line string) (string, error) {
	return w.exec(c.name, "/bin/sh", "-c", line)
}

// tryDoor returns what is wrong with the door of a group with these containers.
func (w *world) tryDoor(containers []container, door string, in shell) (problems []string) {
	w.t.Helper()
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	const toTCP = "echo ping | nc -w 3 %s %s"
	victims := []string{machine.Victim4, machine.Victim6}
	toVictim := func(f machine.Frame) bool {
		return slices.ContainsFunc(victims, func(v string) bool { return machine.To(v)(f) })
	}
	answers := w.seen.Take(w.t, machine.AnyFrame)
	members := 0
	var ambassador *container
	for i, c := range containers {
		if c.ambassador {
			ambassador = &containers[i]
			continue
		}
		if c.pid == 0 {
			continue
		}
		members++
		for _, try := range []string{fmt.Sprintf(toTCP, machine.Victim4, "80"), fmt.Sprintf(toTCP, machine.Victim6, "80"), "nslookup out.example " + machine.Victim4} {
			out, err := in(c, try)
			if err == nil && strings.Contains(out, "ping") {
				problem("%s of %s reached the world: %s", c.name, w.group, try)
			}
			if machine.ExitStatus(err) > 125 {
				problem("%s of %s has no program to try it with: %v", c.name, w.group, err)
			}
		}
		if out := w.seen.Take(w.t, toVictim); len(out) > 0 {
			problem("%s of %s sent out %v", c.name, w.group, out)
		}
	}
	if members == 0 || ambassador == nil {
		problem("%s: %d members and the ambassador %v were tried", w.group, members, ambassador)
		return problems
	}
	to := [][2]string{{machine.Victim4, "80"}, {machine.Victim6, "80"}}
	if door != "" {
		to = nil
		for _, v := range victims {
			if out, err := in(*ambassador, fmt.Sprintf(toTCP, v, "80")); err == nil && strings.Contains(out, "ping") {
				problem("the ambassador of %s reached what its list lacks", w.group)
			}
		}
	}
	switch door {
	case "":
	case nowhere:
		if out := w.seen.Take(w.t, toVictim); len(out) > 0 {
			problem("the ambassador of %s calls nowhere, and sent out %v", w.group, out)
		}
		if len(answers) == 0 {
			problem("the control: no answer of the ambassador of %s was seen, so its denial proves nothing", w.group)
		}
	default:
		host, port, err := net.SplitHostPort(door)
		if err != nil {
			w.t.Fatal(err)
		}
		to = [][2]string{{host, port}}
	}
	for _, x := range to {
		if _, err := in(*ambassador, fmt.Sprintf(toTCP, x[0], x[1])); err != nil {
			problem("the control: the ambassador of %s does not reach %s: %v", w.group, x, err)
		}
		if out := w.seen.Take(w.t, machine.To(x[0])); len(out) == 0 {
			problem("the control: nothing of the ambassador of %s to %s was seen, so the members' denial proves nothing", w.group, x[0])
		}
	}
	return problems
}

// checkDoorCheck removes the rules of a group whose door holds, while the daemon is stopped. The
// check has to report every member then, by what it reached and by what was seen. Once the daemon
// goes on, the door holds again.
func (w *world) checkDoorCheck() {
	w.t.Helper()
	containers := w.containers()
	thaw := w.Freeze()
	machine.DropTables(w.t, w.Netns(w.group))
	problems := strings.Join(w.tryDoor(containers, "", w.enter), "\n")
	thaw()
	for _, c := range containers {
		if c.ambassador || c.pid == 0 {
			continue
		}
		if err := machine.Contains(problems, c.name+" of "+w.group+" reached the world", c.name+" of "+w.group+" sent out"); err != nil {
			w.t.Errorf("the check of a door without rules: %v", err)
		}
	}
	machine.Eventually(w.t, time.Minute, "the door holds again", func() error {
		if problems := w.tryDoor(containers, "", w.shell); len(problems) > 0 {
			return fmt.Errorf("%s", strings.Join(problems, "\n"))
		}
		return nil
	})
}

// enter is a [shell] that needs no daemon.
func (w *world) enter(c container, line string) (string, error) {
	out, err := exec.Command("nsenter", "--target", fmt.Sprint(c.pid), "--mount", "--net", "--pid", "--", "/bin/sh", "-c", line).Output()
	return string(out), err
}
