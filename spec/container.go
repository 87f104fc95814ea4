package spec

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// container reads one app, sidecar, init or ambassador block.
func (d *groupDecoder) container(role Role, block *hclsyntax.Block) Container {
	r := d.in(block)
	name, _ := label(block)
	c := Container{
		Name:         name,
		Role:         role,
		Image:        d.image(r),
		Command:      r.texts("command"),
		Args:         r.texts("args"),
		Env:          d.envFiles(name, r, r.textMap("env", d.checkEnvName)),
		WorkDir:      d.workDir(r),
		User:         d.user(r),
		Groups:       d.groups(r),
		Capabilities: d.capabilities(role, r),
		Init:         r.flag("init"),
		ReadOnly:     r.flag("read_only"),
		ShmSize:      d.shmSize(r),
		Sysctls:      d.containerSettings(role, r),
		Devices:      d.devices(block),
		CDI:          d.cdi(r),
		Resources:    d.resources(block),
		Ulimits:      d.ulimits(block),
		Restart:      d.restart(role, block),
		Stop:         d.stop(block),
		Probes:       d.probes(role, block),
		Output:       d.output(block),
	}
	c.Pull = d.pull(r, c.Image)
	c.SignedBy = d.signers(block)
	c.Timezone = d.timeZone(r, c.Env)
	c.OnFailure = d.onFailure(r, role, c.Restart)
	d.checkInit(c, block)
	taken := map[string]hcl.Range{}
	c.Mounts = d.mounts(block, taken)
	c.Tmpfs = d.tmpfs(block, taken)
	c.Files = d.files(block, &c, taken)
	c.Secrets = d.secretUses(block, &c, taken)
	if role == Sidecar {
		c.OutputOf = d.outputOf(block, taken)
	}
	d.checkFolders(&c, taken)
	d.checkProgram(r, &c)
	if role == Sidecar || role == App {
		c.After = d.after(name, role, r)
	}
	if role == Ambassador {
		d.placed = taken
		c.Door = d.door(block)
		c.takePingGroups()
	}
	return c
}

// checkProgram reports empty lists, which JSON would lose. Empty args beside a command are the same
// as none.
func (d *groupDecoder) checkProgram(r reader, c *Container) {
	if c.Command != nil && len(c.Command) == 0 {
		d.errorf(r.body.Attributes["command"].Expr.Range(), "Empty command", "An empty command starts nothing. Name a program, or leave the line out to start what the image names.")
	}
	if c.Args != nil && len(c.Args) == 0 {
		if !r.has("command") {
			d.errorf(r.body.Attributes["args"].Expr.Range(), "Empty args", "An empty list doesn't take the image's own arguments away. To start a program without any, name it: command = [\"...\"].")
		}
		c.Args = nil
	}
}

var envName = regexp.MustCompile(`^[A-Za-z_][-A-Za-z0-9_.]*$`)

func (d *groupDecoder) checkEnvName(name string, at hcl.Range) {
	if !envName.MatchString(name) {
		d.errorf(at, "Invalid environment variable", "%s can't name an environment variable: a name is a letter or _, then letters, digits and any of _-.", quote(name))
	}
}

func (d *groupDecoder) workDir(r reader) string {
	p, at, ok := r.text("workdir", optional)
	if !ok {
		return ""
	}
	p, _ = d.absolute("workdir", p, at)
	return p
}

// userName matches the numbers and names that images have in /etc/passwd and /etc/group.
var userName = regexp.MustCompile(`^([0-9]{1,10}|[A-Za-z_][-A-Za-z0-9_.]{0,31}\$?)$`)

func (d *groupDecoder) user(r reader) string {
	u, at, ok := r.text("user", optional)
	if !ok {
		return ""
	}
	if !isImageUser(u) {
		d.errorf(at, "Invalid user", "%s is no user. Write a number or a name from the image, with or without a group: \"1000\", \"1000:1000\", \"www-data\".", quote(u))
		return ""
	}
	return u
}

// isImageUser reports whether s is a user, with or without a group, as numbers or names.
func isImageUser(s string) bool {
	user, group, grouped := strings.Cut(s, ":")
	return validID(user) && (!grouped || validID(group))
}

// validID reports whether s is a name, or a number below 2^32-1. The kernel reserves that one for
// "no change".
func validID(s string) bool {
	if !userName.MatchString(s) {
		return false
	}
	const noChange = "4294967295"
	numeric := s[0] >= '0' && s[0] <= '9'
	return !numeric || len(s) < len(noChange) || s < noChange
}

// absolute returns a path in a container, cleaned. It reports one that is not absolute.
func (d *groupDecoder) absolute(what, p string, at hcl.Range) (string, bool) {
	if !path.IsAbs(p) {
		whose := quote(what)
		if block, ok := kinds[what]; ok {
			whose = "The label of " + block.title
		}
		d.errorf(at, "Relative path", "%s is an absolute path in the container, and %s does not begin with a slash.", whose, quote(p))
		return "", false
	}
	p = path.Clean(p)
	if strings.ContainsRune(p, 0) { // a label may have one
		d.errorf(at, "Invalid path", "%s contains a NUL character, which no path can have.", quote(p))
		return "", false
	}
	if len(p) > maxPath || slices.ContainsFunc(strings.Split(p, "/"), func(name string) bool { return len(name) > maxFileName }) {
		d.errorf(at, "Path too long", "%q has at most %d bytes, and at most %d between two slashes. %s has more.", what, maxPath, maxFileName, quote(p))
		return "", false
	}
	return p, true
}

// The kernel's limits, in bytes: PATH_MAX without the NUL at its end, and NAME_MAX.
const (
	maxPath     = 4095
	maxFileName = 255
)

// target checks a path at which a mount or a file is placed. Nothing else may be there, and it may
// not cover a file system of the kernel.
func (d *groupDecoder) target(what, p string, at hcl.Range, taken map[string]hcl.Range) (string, bool) {
	p, ok := d.absolute(what, p, at)
	if !ok {
		return "", false
	}
	if p == "/" {
		d.errorf(at, "Can't be covered", "Nothing can be placed over the whole of the container's file system. Choose a path below /.")
		return "", false
	}
	for _, kernel := range []string{"/proc", "/sys", "/dev"} {
		if within(p, kernel) {
			if p == SharedMemory && what == "tmpfs" {
				d.errorf(at, "Can't be covered", "Each container has a tmpfs at %s already. For another size, write in the container's block: shm_size = \"64MiB\"", SharedMemory)
				return "", false
			}
			d.errorf(at, "Can't be covered", "%s is the kernel's. What is hidden there from a container keeps it inside its group, so nothing is placed over it. Choose another path.", quote(p))
			return "", false
		}
	}
	return d.place(p, at, taken)
}

// place notes that something is placed at p. Nothing else may be there.
func (d *groupDecoder) place(p string, at hcl.Range, taken map[string]hcl.Range) (string, bool) {
	if first, ok := taken[p]; ok {
		d.errorf(at, "Path used twice", "Something is placed at %s already, on line %d. Choose another path.", quote(p), first.Start.Line)
		return "", false
	}
	taken[p] = at
	return p, true
}

// single returns the block's one inner block of a kind, or nil.
func single(block *hclsyntax.Block, kind string) *hclsyntax.Block {
	if found := blocksOf(block.Body, kind); len(found) > 0 {
		return found[0]
	}
	return nil
}

// oneOf reads a text that must be one of the words.
func (r reader) oneOf(name string, words []string) (string, hcl.Range, bool) {
	s, at, ok := r.text(name, optional)
	if ok && !slices.Contains(words, s) {
		r.errorf(at, "Invalid "+name, "%s is none of %s.%s", quote(s), list(words), DidYouMean(s, words))
		return "", at, false
	}
	return s, at, ok
}

// initPIDs is how many processes and threads a container with an init can have at least. Its first
// process has some threads of its own.
const initPIDs = 16

func (d *groupDecoder) checkInit(c Container, block *hclsyntax.Block) {
	if attr := block.Body.Attributes["init"]; attr != nil && c.Init && c.Resources.PIDs < initPIDs {
		d.errorf(attr.Expr.Range(), "Too few processes", "A container with init = true has at least %d processes and threads, because its first process has some of its own, and this one has %d. Write: resources { pids = %[1]d }", initPIDs, c.Resources.PIDs)
	}
}
