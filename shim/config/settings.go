package config

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A Setting is one thing that an operator can set.
type Setting struct {
	Block   string // the block that it is in; "" if it is outside of blocks
	Name    string
	Flag    string // the daemon's flag, without dashes
	Default string // without --root; "" if it is not one fixed text, and About has it
	Example string // optional: shown where there is no Default
	Live    bool   // a reload applies it; a change of any other waits for a restart
	About   string // one line, for the file that packages install and for the documentation
	check   func(text string) (problem string)
	warn    func(text string) (warning string) // optional: what an operator should know of a valid text
}

// FullName returns the name with its block: "folders.state".
func (s Setting) FullName() string {
	if s.Block == "" {
		return s.Name
	}
	return s.Block + "." + s.Name
}

// Problem returns what is wrong with a value, and what to write instead, or "".
func (s Setting) Problem(text string) string { return s.check(text) }

// example returns a value that is valid.
func (s Setting) example() string {
	if s.Example != "" {
		return s.Example
	}
	return s.Default
}

// line returns a line of the file that sets the setting to its example.
func (s Setting) line() string {
	if s.Flag == signedByFlag {
		return signedByBlock
	}
	return fmt.Sprintf("%s = %q", s.Name, s.example())
}

// Settings lists every setting, block by block, in the order of the file that packages install.
var Settings = []Setting{
	{Name: "log_level", Flag: "log-level", Default: "info", Live: true,
		About: "Lowest level that the daemon logs: debug, info, warn or error.", check: oneOf("debug", "info", "warn", "error")},
	{Name: "cgroup", Flag: "cgroup-root", Default: "/sallyport",
		About: "Cgroup of the groups, from the root of the hierarchy.", check: isCgroup},
	{Name: signedBy, Flag: signedByFlag, Example: signedByText, Live: true,
		About: "Keys that images have to be signed with, by the beginning of their names. Default: none.", check: problemOf(SignedBy)},
	{Block: "access", Name: "operators", Flag: "operators", Example: "sallyport", Live: true,
		About: "Unix group whose users may do on the control socket all that root may. So they are root. Default: none.", check: isGroup},
	{Block: "access", Name: "readers", Flag: "readers", Example: "adm", Live: true,
		About: "Unix group whose users may see groups, events and denials there, and change nothing. Default: none.", check: isGroup},
	{Block: "folders", Name: "run", Flag: "run-dir", Default: "/run/sallyport",
		About: "Folder of the control socket and the namespaces. It is empty after a boot.", check: isPath("/srv/sallyport")},
	{Block: "folders", Name: "state", Flag: "state-dir", Default: "/var/lib/sallyport",
		About: "Folder of the daemon's state, of persistent volumes and of a private containerd.", check: isPath("/srv/sallyport")},
	{Block: "folders", Name: "logs", Flag: "log-dir", Default: "/var/log/sallyport",
		About: "Folder of the containers' output.", check: isPath("/srv/sallyport")},
	{Block: "folders", Name: "groups", Flag: "groups-dir", Default: "/etc/sallyport/groups.d",
		About: "Folder of the installed group files.", check: isPath("/srv/sallyport")},
	{Block: "output", Name: "size", Flag: "output-size", Default: "50MiB", Live: true,
		About: "How much is kept of what a container prints, the newest. A group file may have another size.", check: problemOf(OutputSize)},
	{Block: "output", Name: "total", Flag: "output-total", Example: "2GiB", Live: true,
		About: "How much all output may take, of removed groups too. Default: a tenth of the disk, 4GiB at most.", check: problemOf(OutputTotal)},
	{Block: "output", Name: "removed", Flag: "output-removed", Default: "24h", Live: true,
		About: "How long the output of a removed group is kept.", check: problemOf(OutputRemoved)},
	{Block: "images", Name: "unused", Flag: "images-unused", Default: "never", Live: true,
		About: "How long an image stays that no group uses, such as 30d. Or never: none is removed because of its age.", check: problemOf(ImagesUnused)},
	{Block: "images", Name: "total", Flag: "images-total", Default: "unlimited", Live: true,
		About: "How much all images may take, such as 10GiB, before unused ones are removed. Or unlimited.", check: problemOf(ImagesTotal)},
	{Block: "registries", Name: "docker_config", Flag: "registries-docker-config", Default: "/root/.docker/config.json", Live: true,
		About: "Docker's configuration, whose logins and credential helpers are used too, or none.", check: isPathOrNone("/root/.docker/config.json")},
	{Block: "registries", Name: "hosts", Flag: "registries-hosts", Default: "/etc/containerd/certs.d", Live: true,
		About: "Folder with the mirrors and certificates of each registry, in containerd's layout (hosts.toml), or none.", check: isPathOrNone("/etc/containerd/certs.d")},
	{Block: "registries", Name: "max_concurrent", Flag: "registries-max-concurrent", Default: "3", Live: true,
		About: "How many layers are pulled at the same time, of all images together.", check: problemOf(PullsAtOnce)},
	{Block: "registries", Name: "rate", Flag: "registries-rate", Default: "unlimited", Example: "1MiB", Live: true,
		About: "How much is pulled per second, of all images together, such as 1MiB. Or unlimited.", check: problemOf(PullRate)},
	{Block: "registries", Name: "window", Flag: "registries-window", Default: "always", Example: "22:00-06:00", Live: true,
		About: "When images are pulled, by the host's clock, such as 22:00-06:00. Or always.", check: problemOf(PullWindow)},
	{Block: "runs", Name: "at_once", Flag: "runs-at-once", Default: "8", Live: true,
		About: "How many runs go on at the same time. The others wait for their turn.", check: problemOf(RunsAtOnce)},
	{Block: "runs", Name: "queued", Flag: "runs-queued", Default: "1000", Live: true,
		About: "How many runs may wait. One more is refused.", check: problemOf(RunsQueued)},
	{Block: "runs", Name: "keep", Flag: "runs-keep", Default: "24h", Live: true,
		About: "How long a run is known after its end. Its output is bounded by the output block.", check: problemOf(RunsKeep)},
	{Block: "runs", Name: "records", Flag: "runs-records", Default: "1000", Live: true,
		About: "How many runs are known after their end, the latest.", check: problemOf(RunsRecords)},
	{Block: "containerd", Name: "socket", Flag: "containerd", Example: "private",
		About: "Socket of the containerd to use, or private. Default: the one used before, else the host's if it answers, else private.", check: isSocket},
	{Block: "containerd", Name: "program", Flag: "containerd-bin", Example: "/usr/bin/containerd",
		About: "Program to run as the private containerd. Default: the containerd on PATH.", check: isPath("/usr/bin/containerd")},
	{Block: "containerd", Name: "namespace", Flag: "containerd-namespace", Default: "sallyport",
		About: "Namespace of the containers in containerd.", check: isNamespace},
	{Block: "containerd", Name: "shim", Flag: "shim", Default: "group",
		About: "One runc shim for each group, or one for the whole host, which takes less memory: group or host.", check: oneOf("group", "host")},
	{Block: "containerd", Name: "runtime", Flag: "runtime", Default: "runc",
		About: "OCI runtime of new containers: runc, crun, or the absolute path of one of the two.", check: isRuntime},
	{Block: "metrics", Name: "listen", Flag: "metrics-listen", Default: "off", Example: "127.0.0.1:9469", Live: true,
		About: "Address and port, or path of a unix socket, where Prometheus reads metrics, or off. Default: off.",
		check: problemOf(MetricsListen), warn: metricsForOthers},
	{Block: "network", Name: "prefix4", Flag: "prefix4", Default: "10.209.0.0/16",
		About: "IPv4 addresses for the groups' links. A group takes two of them.", check: isPrefix(netip.Addr.Is4, 30, "10.209.0.0/16")},
	{Block: "network", Name: "prefix6", Flag: "prefix6", Default: "fd5a:11e0:9027::/64",
		About: "IPv6 addresses for the groups' links.", check: isPrefix(isIPv6, 126, "fd5a:11e0:9027::/64")},
	{Block: "network", Name: "table", Flag: "table", Default: "sallyport",
		About: "Name of the host's nftables table.", check: isTable},
}

// Sample returns the file that packages install: every setting as a comment, with its default.
func Sample() string {
	var text strings.Builder
	text.WriteString(sampleHead)
	for _, block := range append([]string{""}, blocks()...) {
		indent := ""
		if text.WriteByte('\n'); block != "" {
			fmt.Fprintf(&text, "# %s {\n", block)
			indent = "  "
		}
		for _, s := range Settings {
			if s.Block == block {
				fmt.Fprintf(&text, "#%s # %s\n# %s%s\n", indent, s.About, indent, s.line())
			}
		}
		if block != "" {
			text.WriteString("# }\n")
		}
	}
	return text.String()
}

const sampleHead = `# The configuration of the Sallyport daemon. Every line is a comment that shows a default, or an
# example where the description has the default. To change one, remove "# " from its line and from
# those of its block. Flags and the environment go before this file.
#
#   sallyport validate /etc/sallyport/sallyport.hcl   checks it
#   systemctl reload sallyport                        applies what can change while the daemon runs
#   sallyport doctor                                  shows what is in force, and what waits for a restart
`

// find returns the setting of that name in the block.
func find(block, name string) (Setting, bool) {
	i := slices.IndexFunc(Settings, func(s Setting) bool { return s.Block == block && s.Name == name })
	if i < 0 {
		return Setting{}, false
	}
	return Settings[i], true
}

// blocks returns the names of the blocks in order.
func blocks() (all []string) {
	for _, s := range Settings {
		if s.Block != "" && !slices.Contains(all, s.Block) {
			all = append(all, s.Block)
		}
	}
	return all
}

// blocksWith describes where a setting of that name belongs.
func blocksWith(name string) (in []string) {
	for _, s := range Settings {
		if s.Name == name {
			in = append(in, place(s.Block))
		}
	}
	return in
}

// names returns what may be in a block. Outside of blocks these are settings and blocks.
func names(block string) (all []string) {
	for _, s := range Settings {
		if s.Block == block {
			all = append(all, s.Name)
		}
	}
	if block == "" {
		all = append(all, blocks()...)
	}
	return all
}

func oneOf(values ...string) func(string) string {
	return func(text string) string {
		if slices.Contains(values, text) {
			return ""
		}
		return fmt.Sprintf("%q is none of %s. Choose one of these.", shorten(text), strings.Join(values, ", "))
	}
}

// groupName matches what groupadd(8) accepts, and a number.
var groupName = regexp.MustCompile(`^(?:[A-Za-z_][A-Za-z0-9_.-]*[$]?|[0-9]+)$`)

func isGroup(text string) string {
	if len(text) > 64 || !groupName.MatchString(text) {
		return fmt.Sprintf("%q is no name of a unix group. Write a name of /etc/group, or a number.", shorten(text))
	}
	return ""
}

func isPath(example string) func(string) string {
	return func(text string) string {
		switch {
		case !path.IsAbs(text):
			return fmt.Sprintf("%q is not an absolute path. Write it from the root: %q.", shorten(text), example)
		case strings.ContainsRune(text, 0):
			return "No path contains a NUL character. Take it out."
		}
		return ""
	}
}

// isCgroup refuses the root of the hierarchy, which has the host's own cgroups.
func isCgroup(text string) string {
	if problem := isPath("/sallyport")(text); problem != "" {
		return problem
	}
	if path.Clean(text) == "/" {
		return fmt.Sprintf("%q is no cgroup below the root of the hierarchy. Write one like this: \"/sallyport\".", shorten(text))
	}
	return ""
}

func isSocket(text string) string {
	if text == "private" {
		return ""
	}
	if isPath("")(text) != "" {
		return fmt.Sprintf("%q is neither the absolute path of a socket, such as \"/run/containerd/containerd.sock\", nor \"private\".", shorten(text))
	}
	return ""
}

func isRuntime(text string) string {
	if text == "runc" || text == "crun" || path.IsAbs(text) && isPath("")(text) == "" {
		return ""
	}
	return fmt.Sprintf("%q is neither \"runc\" nor \"crun\", nor the absolute path of one, such as \"/usr/local/bin/crun\".", shorten(text))
}

// namespace matches the names that containerd accepts (its package identifiers, which also limits
// them to 76 bytes).
var namespace = regexp.MustCompile(`^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$`)

func isNamespace(text string) string {
	if len(text) > 76 || !namespace.MatchString(text) {
		return fmt.Sprintf("%q is no name of a namespace: use at most 76 letters and digits, with single \".\", \"_\" and \"-\" between them.", shorten(text))
	}
	return ""
}

// table is a name that the tool nft reads as one word (nft(8), LEXICAL CONVENTIONS).
var table = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9/\\_.-]*$`)

func isTable(text string) string {
	if len(text) > 128 || !table.MatchString(text) {
		return fmt.Sprintf("%q is no name of a table: use a letter, and then at most 127 letters, digits, \"_\", \".\" and \"-\".", shorten(text))
	}
	return ""
}

func isIPv6(a netip.Addr) bool { return a.Is6() && !a.Is4In6() }

// isPrefix checks a prefix as the daemon does: at most so many bits, so that it holds two links.
func isPrefix(family func(netip.Addr) bool, most int, example string) func(string) string {
	return func(text string) string {
		p, err := netip.ParsePrefix(text)
		switch {
		case err != nil || !family(p.Addr()):
			return fmt.Sprintf("%q is no prefix of this family. Write it as %q.", shorten(text), example)
		case p != p.Masked():
			return fmt.Sprintf("%q has bits set behind its length. It would be %q.", text, p.Masked())
		case p.Bits() > most:
			return fmt.Sprintf("%q holds less than two links. Use a length of at most /%d.", text, most)
		}
		return ""
	}
}
