package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/spec"
)

// A Kind is the kind of a step.
type Kind string

// The kinds of steps, in the order in which a group comes up and then goes down.
const (
	Hold       Kind = "hold"       // the values of secrets
	Seal       Kind = "seal"       // pin the namespace, deny everything
	Admit      Kind = "admit"      // put the wanted policy in force
	Limit      Kind = "limit"      // the limits of the whole group
	Connect    Kind = "connect"    // link, addresses, routes, the host's entries
	Mount      Kind = "mount"      // one volume
	Create     Kind = "create"     // all targets at once; all or none
	Reload     Kind = "reload"     // one target: other contents of its files, then their signals
	Start      Kind = "start"      // one target
	Stop       Kind = "stop"       // the targets of one stage at once
	Remove     Kind = "remove"     // all targets at once
	Unmount    Kind = "unmount"    // one volume
	Forget     Kind = "forget"     // the values of all secrets
	Disconnect Kind = "disconnect" // the link, the namespace, the cgroups: the whole network
)

// A Step is one thing to do to one group. Plan and log print its String.
type Step struct {
	Kind    Kind
	Group   string
	Want    *spec.Group // Admit, Connect, Mount, Limit, Create, Reload, Start
	Cgroup  string      // Admit: the cgroup that the rules name
	Volume  spec.Volume // Mount, Unmount
	Users   []uint32    // Mount: a process of each container that may have the volume
	Secrets []string    // Hold: those that are read
	Targets []Target    // Create, Reload, Start, Stop, Remove
}

// A Target is one container that a step acts on.
type Target struct {
	Name string
	Role spec.Role
	Stop spec.Stop // how a Stop step stops it
	// Reason is the failure of its probes that a Stop step stops the container for, or why it may
	// not go on. Empty means that there is neither.
	Reason string
	Files  []spec.File // those that a Reload step changes
	// Secrets are those whose signals a Reload step sends.
	Secrets []string
	// Signals are those of a Reload step, sorted.
	Signals []string
}

// String returns the target in an operator's words: "web (app)".
func (t Target) String() string {
	return spec.Container{Name: t.Name, Role: t.Role}.Title()
}

// String returns the step in an operator's words, on one line.
func (s Step) String() string {
	switch s.Kind {
	case Hold:
		if len(s.Secrets) == 0 {
			return "forget secrets that " + s.Group + " does not have any more"
		}
		return "read " + named("secret", s.Secrets)
	case Forget:
		return "forget the secrets of " + s.Group
	case Seal:
		return "pin namespace " + s.Group + ", deny everything in it"
	case Admit:
		return s.admitText()
	case Connect:
		return "connect " + s.Group + rateText(s.Want) + publishText(s.Want)
	case Limit:
		return limitText(s.Want)
	case Mount:
		return "mount volume " + s.Volume.String()
	case Unmount:
		return unmountText(s.Volume)
	case Reload:
		return "reload " + reloadText(s.Targets[0])
	case Stop:
		return "stop " + stopText(s.Targets)
	case Start:
		return "start " + targetsText(s.Targets) + waitText(s.Want.Container(s.Targets[0].Name)) + timeoutText(s)
	case Disconnect:
		return "disconnect " + s.Group + ", unpin its namespace"
	default:
		return string(s.Kind) + " " + targetsText(s.Targets)
	}
}

func (s Step) admitText() string {
	switch s.Want.Egress {
	case spec.EgressNone:
		return "admit no container of " + s.Group + " to the world"
	case spec.EgressDirect:
		return fmt.Sprintf("admit every container of %s to the world: cgroup %s", s.Group, s.Cgroup)
	}
	a := s.Want.Ambassador()
	if a == nil {
		return "admit no container of " + s.Group + " to the world"
	}
	where := "the world"
	if a.Allow != nil {
		where = allowText(a.Allow)
	}
	return fmt.Sprintf("admit %s to %s%s: cgroup %s", a.Title(), where, doorText(a), s.Cgroup)
}

// doorText returns what the rules do besides letting the ambassador out.
func doorText(a *spec.Container) string {
	text := ""
	if a.Quota != 0 {
		text += "; it may exchange " + spec.FormatSize(a.Quota)
	}
	if a.Intercept != 0 {
		text += "; " + a.InterceptText()
	}
	if a.PingGroups != "" {
		text += "; " + a.PingText()
	}
	return text
}

// rateText returns the rate limits of the link.
func rateText(g *spec.Group) string {
	rate := g.Door().Rate
	if rate == (spec.Rate{}) {
		return ""
	}
	return ", at most " + rate.String()
}

func allowText(allow spec.AllowList) string {
	if allow.Nowhere() {
		return "nothing but its callers"
	}
	parts := make([]string, len(allow))
	for i, a := range allow {
		parts[i] = a.String()
	}
	return strings.Join(parts, ", ")
}

func publishText(g *spec.Group) string {
	publish := g.Door().Publish
	if len(publish) == 0 {
		return ""
	}
	parts := make([]string, len(publish))
	for i, p := range publish {
		parts[i] = fmt.Sprintf("%s to port %s", p.HostPort(), p.PortText())
	}
	return ", publish " + strings.Join(parts, ", ")
}

func targetsText(targets []Target) string {
	parts := make([]string, len(targets))
	for i, t := range targets {
		parts[i] = t.String()
	}
	return strings.Join(parts, ", ")
}

// stopText lists the targets. Neighbours with the same grace share one mention of it.
func stopText(targets []Target) string {
	var b strings.Builder
	for i, t := range targets {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(t.String())
		if last := i == len(targets)-1; last || targets[i+1].Stop.Timeout != t.Stop.Timeout {
			fmt.Fprintf(&b, ", grace %s", t.Stop.Timeout)
		}
		if t.Reason != "" {
			b.WriteString(": " + t.Reason)
		}
	}
	return b.String()
}

// reloadText returns who gets which signals, and why: "proxy (ambassador) by SIGHUP: file
// /etc/proxy.cfg changed".
func reloadText(t Target) string { return t.String() + " by " + t.ReloadText() }

// ReloadText returns the signals of a reload and what has changed.
func (t Target) ReloadText() string {
	var what []string
	if len(t.Files) > 0 {
		paths := make([]string, len(t.Files))
		for i, f := range t.Files {
			paths[i] = f.Path
		}
		what = append(what, named("file", paths))
	}
	if len(t.Secrets) > 0 {
		what = append(what, named("secret", t.Secrets))
	}
	return strings.Join(t.Signals, ", ") + ": " + strings.Join(what, ", ") + " changed"
}

// named returns things of one kind with their names: "file a", "files a, b".
func named(kind string, names []string) string {
	if len(names) != 1 {
		kind += "s"
	}
	return kind + " " + strings.Join(names, ", ")
}

// unmountText mentions the content of a persistent volume, which is kept.
func unmountText(v spec.Volume) string {
	if v.Persistent {
		return "unmount volume " + v.Name + ", keep what is in it"
	}
	return "unmount volume " + v.Name
}

func target(c *spec.Container) Target { return Target{Name: c.Name, Role: c.Role, Stop: c.Stop} }

// Texts returns the lines of the steps. It is never nil.
func Texts(steps []Step) []string {
	out := make([]string, len(steps))
	for i, s := range steps {
		out[i] = s.String()
	}
	return out
}

// Builds reports whether the step creates or starts something. If such a step fails, the definition
// can't run on this host.
func (s Step) Builds() bool {
	switch s.Kind {
	case Hold, Seal, Admit, Connect, Mount, Limit, Create, Reload, Start:
		return true
	default:
		return false
	}
}

// Replacement returns the step that creates the replacement for what the first step stops or
// removes. It is nil if there is none. It is also nil if the first step must not wait for one: the
// containers of a lost namespace are removed in any case.
func Replacement(steps []Step) *Step {
	if k := steps[0].Kind; k != Stop && k != Remove {
		return nil
	}
	if slices.ContainsFunc(steps, func(s Step) bool { return s.Kind == Seal }) {
		return nil
	}
	i := slices.IndexFunc(steps, func(s Step) bool { return s.Kind == Create })
	if i < 0 {
		return nil
	}
	return &steps[i]
}
