package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

type statusVerb struct {
	Group string `arg:"" help:"The group."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

func (v *statusVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	groups, err := client.Status(ctx, v.Group)
	if err != nil {
		return err
	}
	if len(groups) != 1 {
		return fmt.Errorf("the daemon answered with %s instead of %q", plural(len(groups), "group"), v.Group)
	}
	g := groups[0]
	if v.JSON {
		return ui.json(g)
	}
	ui.retype(groups)
	if err := writeGroup(ui.out, groups[0], ui.now()); err != nil {
		return err
	}
	warnOfDisks(ctx, ui, client)
	return nil
}

func writeGroup(w io.Writer, g group.Status, now time.Time) error {
	out := newPage(w)
	fmt.Fprintf(out, "%s is ", g.Name)
	out.paint(stateStyle(string(g.State)), string(g.State))
	if d := age(now, g.Since); d != "" {
		fmt.Fprintf(out, ", for %s", d)
	}
	fmt.Fprintln(out)
	fact := func(name, format string, args ...any) {
		name = fmt.Sprintf("  %-11s ", name)
		out.paint(factStyles[strings.TrimSpace(name)], name)
		out.end(len(name), fmt.Sprintf(format, args...))
	}
	for _, line := range problem(g) {
		name, text, _ := strings.Cut(line, ": ")
		fact(name, "%s", text)
	}
	if g.File != "" {
		fact("file", "%s", g.File)
	}
	fact("generation", "%d, %s", g.Generation, orDash(spec.ShortDigest(g.Digest)))
	if !g.TrialEnds.IsZero() {
		fact("trial", "has to be ready within %s", max(0, g.TrialEnds.Sub(now)).Round(time.Second))
	}
	if !g.RunEnds.IsZero() {
		fact("timeout", "ends in %s", max(0, g.RunEnds.Sub(now)).Round(time.Second))
	}
	fact("egress", "%s", egressText(g))
	for _, addr := range g.Addrs {
		fact("address", "%s", addr)
	}
	for _, p := range g.Publish {
		fact("publish", "%s -> %s/%s (%s)", net.JoinHostPort(publishAddress(p), p.HostText()), p.PortText(), p.Protocol, p.Name)
	}
	for _, note := range g.Notes {
		fact("note", "%s", note)
	}
	for _, b := range g.Bounds {
		fact("bound", "%s", b)
	}
	for _, line := range doorLines(g) {
		name, text, _ := strings.Cut(line, ": ")
		fact(name, "%s", text)
	}
	for _, name := range slices.Sorted(maps.Keys(g.Labels)) {
		fact("label", "%s=%s", name, g.Labels[name])
	}
	for _, line := range counterLines(g.Egress, g.Counters) {
		fact("packets", "%s", line)
	}
	fmt.Fprintln(out)
	t := containerTable(g, now)
	if err := t.writeTo(out); err != nil {
		return err
	}
	return out.print()
}

// factStyles are those of the facts that an operator has to notice.
var factStyles = map[string]style{"error": red, "unsafe": yellow}

func containerTable(g group.Status, now time.Time) table {
	t := table{
		indent: "  ",
		header: []string{"CONTAINER", "ROLE", "TASK", "READY", "PID", "UP", "RESTARTS", "LAST EXIT", "IMAGE"},
		least:  []string{"PID", "IMAGE", "ROLE", "UP", "RESTARTS", "READY"},
		cut:    map[string]cutter{"IMAGE": cutHead},
		styles: map[string]func(string) style{"TASK": taskStyle, "READY": readyStyle},
	}
	for _, c := range g.Containers {
		var ready, pid, up, exit string
		if c.PID != 0 {
			pid = strconv.Itoa(int(c.PID))
		}
		if c.Task == host.TaskRunning {
			ready, up = "no", age(now, c.StartedAt)
		}
		if c.Ready {
			ready = "yes"
		}
		if c.ExitStatus != nil {
			exit = strings.TrimSuffix(strconv.Itoa(int(*c.ExitStatus))+"/"+c.Signal, "/")
		}
		r := t.add(c.Name, string(c.Role), string(c.Task), ready, pid, up, strconv.Itoa(c.Restarts), exit, c.Image)
		r.notes = containerNotes(c, cmp.Or(g.Error, g.Waiting), now)
	}
	return t
}

func taskStyle(state string) style {
	switch host.TaskState(state) {
	case host.TaskRunning:
		return green
	case host.TaskUnknown:
		return yellow
	}
	return plain
}

func readyStyle(ready string) style {
	if ready == "no" {
		return yellow
	}
	return plain
}

// containerNotes returns the lines below a container's row: what it waits for, and how it fails. If
// the lines about the group already have the reason of the wait, it is left out.
func containerNotes(c group.ContainerStatus, above string, now time.Time) (notes []string) {
	if c.Waiting != "" {
		what, why, _ := strings.Cut(c.Waiting, ": ")
		if strings.Contains(above, why) {
			notes = append(notes, what)
		} else {
			notes = append(notes, c.Waiting)
		}
	}
	if !c.ReloadedAt.IsZero() {
		notes = append(notes, "its files were reloaded "+age(now, c.ReloadedAt)+" ago")
	}
	for _, line := range c.Lowered {
		notes = append(notes, line+": containerd may set no higher limit on this host")
	}
	notes = append(notes, c.Devices...)
	for _, key := range c.SignedBy {
		notes = append(notes, "its image is signed with the key "+key)
	}
	if c.Unproved != "" {
		notes = append(notes, "no container is created of its image: "+c.Unproved+"; apply the file again, which looks for the signature")
	}
	if c.OOMKilled {
		notes = append(notes, "ran out of memory: raise its memory limit, or make it use less")
	}
	if c.EndsInARow > 1 {
		notes = append(notes, fmt.Sprintf("has ended %d times in a row", c.EndsInARow))
	}
	if wait := c.NextStart.Sub(now); !c.NextStart.IsZero() && wait > 0 {
		notes = append(notes, "starts again in "+wait.Round(time.Second).String())
	}
	if c.StaysDown != "" {
		notes = append(notes, c.StaysDown)
	}
	if why := group.ExplainOutput(c.LastOutput); why != "" {
		notes = append(notes, why)
	}
	for _, line := range c.LastOutput {
		notes = append(notes, strings.TrimRight("| "+line, " "))
	}
	return notes
}

// counterLines returns lines with the numbers of packets, the refused ones first. It returns nil if
// the counters are unknown.
func counterLines(e spec.Egress, c *host.Counters) []string {
	if c == nil {
		return nil
	}
	var lines []string
	if e == spec.EgressDirect {
		lines = append(lines, fmt.Sprintf("members: %d out", c.MembersOut.Packets))
	} else {
		lines = append(lines, fmt.Sprintf("members: %d refused on their way out (%d tcp), %d dropped on their way in",
			c.MembersTCP.Packets+c.MembersOther.Packets, c.MembersTCP.Packets, c.MembersIn.Packets))
	}
	if e == spec.EgressAmbassador {
		if n := c.MembersIntercepted.Packets; n > 0 {
			lines = append(lines, fmt.Sprintf("members: %d led to the ambassador", n))
		}
		lines = append(lines, fmt.Sprintf("ambassador: %d out, %d in, %d refused by allow",
			c.AmbassadorOut.Packets, c.AmbassadorIn.Packets, c.AmbassadorDenied.Packets))
		if n := c.Quota.Packets; n > 0 {
			lines = append(lines, fmt.Sprintf("ambassador: %d refused because the quota is spent", n))
		}
		if n := c.FlowsFull.Packets; n > 0 {
			lines = append(lines, fmt.Sprintf("ambassador: %d refused because it had too many UDP flows open", n))
		}
	}
	if n := c.UnknownOut.Packets + c.UnknownIn.Packets; n > 0 {
		lines = append(lines, fmt.Sprintf("unknown: %d dropped, neither from nor to a process of the group", n))
	}
	return lines
}

// doorLines returns the settings of the ambassador's door: where members' traffic goes, its limits
// and what is unsafe. Each line is "name: text".
func doorLines(g group.Status) []string {
	door := "the ambassador"
	for _, c := range g.Containers {
		if c.Role == spec.Ambassador {
			door = c.Name
		}
	}
	var lines []string
	if g.DNS == spec.DNSAmbassador {
		lines = append(lines, "dns: members' questions for names go to "+door)
	}
	if g.Intercept != 0 {
		lines = append(lines, fmt.Sprintf("intercept: members' TCP is led to port %d of %s", g.Intercept, door))
	}
	if g.Rate != (spec.Rate{}) {
		lines = append(lines, "rate: at most "+g.Rate.String())
	}
	if g.Quota != 0 {
		text := fmt.Sprintf("quota: %s both ways together", spec.FormatSize(int64(g.Quota)))
		switch {
		case g.QuotaUsed >= uint64(g.Quota):
			text += ", spent: nothing passes; apply a larger quota to let traffic pass again"
		case g.Counters != nil:
			text += fmt.Sprintf(", %s of it spent", spec.FormatSize(int64(g.QuotaUsed)))
		}
		lines = append(lines, text)
	}
	for _, text := range g.Unsafe {
		lines = append(lines, "unsafe: "+text)
	}
	return lines
}

// egressText describes a group's egress. The capitals make sure that an operator notices direct.
func egressText(g group.Status) string {
	switch g.Egress {
	case spec.EgressAmbassador:
		if g.CallsNowhere {
			return "ambassador: only the ambassador is reached, and it calls nowhere"
		}
		return "ambassador: only the ambassador reaches the world"
	case spec.EgressNone:
		return "none: no container reaches the world"
	case spec.EgressDirect:
		return "direct: EVERY container reaches the world"
	}
	return string(g.Egress)
}

func publishAddress(p spec.Publish) string {
	if p.Address == "" {
		return "*"
	}
	return p.Address
}
