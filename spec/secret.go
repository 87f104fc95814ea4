package spec

import (
	"cmp"
	"maps"
	"path"
	"regexp"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// A Secret is a group's `secret` block: where a value comes from that no definition has. Exactly
// one of File, Credential and Command is set.
type Secret struct {
	Name       string        `json:"name"`
	File       string        `json:"file,omitempty"`       // absolute and clean, on the host
	Credential string        `json:"credential,omitempty"` // the name of a systemd credential
	Command    []string      `json:"command,omitempty"`    // prints the value; the first is an absolute path
	Timeout    time.Duration `json:"timeout,omitempty"`    // of the Command; the decoder fills in the default
}

// A SecretUse is a container's `secret` block: the container has the value at SecretsPath/NAME.
type SecretUse struct {
	Name string `json:"name"`
	// Owner is "user" or "user:group", in numbers or by names from the image. Empty means the user
	// that the container runs as.
	Owner string `json:"owner,omitempty"`
	Mode  uint32 `json:"mode,omitempty"` // permission bits; 0 means 0400
	// Reload is the signal that a running program gets when there is another value: "SIGHUP".
	// Without it another value replaces the container.
	Reload string `json:"reload,omitempty"`
	// OnChange is empty, or OnChangeNone: the program finds the other value when it reads it again.
	OnChange string `json:"on_change,omitempty"`
}

// OnChangeNone means that a container goes on as it is when a secret has another value.
const OnChangeNone = "none"

const (
	// SecretsPath is where a container has its secrets.
	SecretsPath = "/run/secrets"
	// MaxSecret limits the value of one secret, in bytes.
	MaxSecret = 1 << 20

	// DefaultSecretMode is the mode of what has a secret in it.
	DefaultSecretMode = 0o400
	// maxSecrets limits the secrets of a group.
	maxSecrets = 64

	defaultCommandTime = 30 * time.Second
)

// secretName matches what can be a file's name and a systemd credential's.
var secretName = regexp.MustCompile(`^[A-Za-z0-9_][-A-Za-z0-9_.]{0,63}$`)

// readSecrets reads the group's secrets, sorted by name.
func (d *groupDecoder) readSecrets(group *hclsyntax.Block) []Secret {
	var all []Secret
	blocks := blocksOf(group.Body, "secret")
	for i, b := range blocks {
		s := d.secret(b)
		if name, ok := label(b); ok {
			if !secretName.MatchString(name) {
				d.errorf(b.LabelRanges[0], "Invalid secret name", "%s can't name a secret: a name is made of letters, digits and any of _-. behind the first, at most 64 of them.", quote(name))
			}
			d.unique(d.secrets, "secret", name, b.LabelRanges[0])
			s.Name = name
		}
		if i == maxSecrets {
			d.errorf(b.DefRange(), "Too many secrets", "A group has at most %d secrets. Put several values into one file.", maxSecrets)
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Secret) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// secret reads where the value of a secret comes from.
func (d *groupDecoder) secret(block *hclsyntax.Block) (s Secret) {
	r := d.in(block)
	for _, name := range []string{"owner", "mode", "reload", "on_change"} {
		if r.has(name) {
			d.errorf(r.nameOf(name), "In the container's block", "In a group, a secret block has where the value comes from. %q belongs to the block of the container that is given it: secret %s { %s = ... }", name, labelText(block), name)
		}
	}
	var given []string
	for _, name := range []string{"file", "credential", "command"} {
		if r.has(name) {
			given = append(given, name)
		}
	}
	switch {
	case len(given) == 0:
		d.errorf(r.at, "A secret without a source", "Write where its value comes from: file = \"/etc/keys/db\", credential = \"NAME\" or command = [\"/usr/bin/program\", \"argument\"].")
	case len(given) > 1:
		d.errorf(r.nameOf(given[1]), "Two sources for one secret", "The value of a secret comes from one place, and this one has %s. Keep one of them.", list(given))
	}
	if f, at, ok := r.text("file", optional); ok {
		s.File = d.secretFile(f, at)
	}
	if c, at, ok := r.text("credential", optional); ok {
		if !secretName.MatchString(c) {
			d.errorf(at, "Invalid credential", "%s names no credential. A name has letters, digits and any of _-. behind the first, and no path: for a file, write file = \"/path\".", quote(c))
		}
		s.Credential = c
	}
	s.Command = r.texts("command")
	if attr := block.Body.Attributes["command"]; attr != nil && s.Command != nil && (len(s.Command) == 0 || !path.IsAbs(s.Command[0])) {
		d.errorf(attr.Expr.Range(), "No program", "A command begins with the absolute path of a program of the host, because it is run without a shell. Write: command = [\"/usr/bin/program\", \"argument\"]")
	}
	if r.has("timeout") && !r.has("command") && len(given) > 0 {
		d.errorf(r.nameOf("timeout"), "Nothing to time", "A timeout is how long a command may take, and this secret has none. Remove the line.")
	}
	if r.has("command") {
		s.Timeout = defaultCommandTime
		if t, ok := r.duration("timeout", time.Second, 10*time.Minute); ok {
			s.Timeout = t
		}
	}
	return s
}

// secretFile checks the path of a secret's file. The daemon reads it, and no group file does, so it
// need not be there yet.
func (d *groupDecoder) secretFile(f string, at hcl.Range) string {
	switch clean := path.Clean(f); {
	case !path.IsAbs(f):
		d.errorf(at, "Relative path", "The file of a secret is an absolute path on the host, because it is read when the group is applied and whenever it changes. Write: file = \"/etc/keys/db\"")
	case within(clean, "/proc") || within(clean, "/sys") || within(clean, "/dev"):
		d.errorf(at, "Not a plain file", "A file below /proc, /sys or /dev changes with every reading, or has no end. Name a plain file.")
	case len(clean) > maxPath:
		d.errorf(at, "Path too long", "%q has at most %d bytes.", "file", maxPath)
	default:
		return clean
	}
	return ""
}

// secretUses reads the secrets that a container is given, sorted by name. c is the container so
// far.
func (d *groupDecoder) secretUses(container *hclsyntax.Block, c *Container, taken map[string]hcl.Range) []SecretUse {
	var all []SecretUse
	seen := map[string]hcl.Range{}
	for i, b := range blocksOf(container.Body, "secret") {
		r := d.in(b)
		for _, name := range []string{"file", "credential", "command", "timeout"} {
			if r.has(name) {
				d.errorf(r.nameOf(name), "In the group's block", "In a container, a secret block names what the container is given. Where the value comes from stands in the group block: secret %s { %s = ... }", labelText(b), name)
			}
		}
		u := SecretUse{Owner: d.imageOwner(r)}
		if u.Mode = d.octal(r, 0o777, "0400"); u.Mode == DefaultSecretMode {
			u.Mode = 0
		}
		if name, ok := label(b); ok {
			u.Name = name
			d.checkSecret(name, b.LabelRanges[0])
			d.unique(seen, "secret", name, b.LabelRanges[0])
			u.Reload = d.reload(r, c, "")
		}
		change, _, ok := r.oneOf("on_change", []string{"restart", OnChangeNone})
		if ok && r.has("reload") {
			d.errorf(r.nameOf("on_change"), "Two answers to a change", "With a reload the program is sent a signal when there is another value. Keep one of the two lines.")
		}
		if change == OnChangeNone {
			u.OnChange = change
		}
		if i == 0 {
			d.secretsFolder(container, c, taken, b.DefRange())
		}
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b SecretUse) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// secretsFolder notes that the secrets are placed at SecretsPath, and that nothing else can be.
func (d *groupDecoder) secretsFolder(container *hclsyntax.Block, c *Container, taken map[string]hcl.Range, at hcl.Range) {
	for _, p := range slices.Sorted(maps.Keys(taken)) {
		if within(p, SecretsPath) {
			d.errorf(taken[p], "In the folder of the secrets", "This container has its secrets in %s, which nothing else can be in. Choose a path outside of it.", SecretsPath)
		}
	}
	if above := mountAbove(c.Mounts, SecretsPath); above != nil && above.ReadOnly && above.Path != SecretsPath {
		d.errorf(at, "In a volume that is read-only", "The volume %s is read_only at %s, so no folder can be made there for the secrets in %s. Mount it elsewhere, or without read_only.", quote(above.Volume), quote(above.Path), SecretsPath)
	}
	if _, ok := taken[SecretsPath]; !ok {
		taken[SecretsPath] = at
	}
}

// checkSecret reports a secret that the group doesn't have.
func (d *groupDecoder) checkSecret(name string, at hcl.Range) {
	if _, ok := d.secrets[name]; ok {
		return
	}
	known := slices.Sorted(maps.Keys(d.secrets))
	if suggestion := DidYouMean(name, known); suggestion != "" {
		d.errorf(at, "Unknown secret", "The group has no secret %s.%s", quote(name), suggestion)
		return
	}
	d.errorf(at, "Unknown secret", "The group has no secret %s. Declare it in the group block: secret %s { file = \"/etc/keys/db\" }", quote(name), quote(name))
}

// imageOwner reads the user who owns what is placed into a container. Names are those of the image.
func (d *groupDecoder) imageOwner(r reader) string {
	s, at, ok := r.text("owner", optional)
	if !ok {
		return ""
	}
	if !isImageUser(s) {
		d.errorf(at, "Invalid owner", "%s is no owner. Write a number or a name from the image, with or without a group: \"1000\", \"1000:1000\", \"www-data\".", quote(s))
		return ""
	}
	return s
}

// FindSecret returns the secret of that name, or nil.
func FindSecret(secrets []Secret, name string) *Secret {
	i := slices.IndexFunc(secrets, func(s Secret) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &secrets[i]
}

// Same reports whether both values come from one place.
func (s Secret) Same(other Secret) bool {
	return s.File == other.File && s.Credential == other.Credential && slices.Equal(s.Command, other.Command)
}

// String returns where the value comes from, in an operator's words: "/etc/keys/db", "credential
// db", "/usr/bin/pass". The arguments of a command are left out.
func (s Secret) String() string {
	switch {
	case s.File != "":
		return s.File
	case s.Credential != "":
		return "credential " + s.Credential
	case len(s.Command) > 0:
		return "command " + s.Command[0]
	}
	return ""
}

// A SecretChange names the need of a container when one of its secrets has another value.
type SecretChange string

// The strongest comes last.
const (
	SecretKept     SecretChange = ""         // nothing: what it reads has the other value already
	SecretReloads  SecretChange = "reload"   // other contents of files, and signals
	SecretReplaces SecretChange = "replaces" // another container
)

// OnSecrets returns what the container needs when the secrets of these names have other values.
func (c *Container) OnSecrets(names []string) (change SecretChange) {
	for _, u := range c.Secrets {
		switch {
		case !slices.Contains(names, u.Name) || u.OnChange == OnChangeNone:
		case u.Reload == "":
			return SecretReplaces
		default:
			change = SecretReloads
		}
	}
	for _, f := range c.Files {
		switch {
		case !f.hasSecret(names):
		case f.Reload == "":
			return SecretReplaces
		default:
			change = SecretReloads
		}
	}
	return change
}

// SecretSignals returns the signals for the secrets of these names, sorted, each once.
func (c *Container) SecretSignals(names []string) (signals []string) {
	for _, u := range c.Secrets {
		if slices.Contains(names, u.Name) && u.Reload != "" {
			signals = append(signals, u.Reload)
		}
	}
	signals = append(signals, ReloadSignals(c.FilesWith(names))...)
	slices.Sort(signals)
	return slices.Compact(signals)
}

// FilesWith returns the files with a Reload that have one of the secrets in them.
func (c *Container) FilesWith(names []string) (files []File) {
	for _, f := range c.Files {
		if f.Reload != "" && f.hasSecret(names) {
			files = append(files, f)
		}
	}
	return files
}

// SecretNames returns the secrets that a container has in any way, sorted.
func (c *Container) SecretNames() (names []string) {
	for _, u := range c.Secrets {
		names = append(names, u.Name)
	}
	for _, f := range c.Files {
		names = append(names, f.Secrets...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (f File) hasSecret(names []string) bool {
	return slices.ContainsFunc(f.Secrets, func(s string) bool { return slices.Contains(names, s) })
}

// fixedUses returns the secrets as they are in the digest of a container: a running one takes
// another answer to a change.
func fixedUses(uses []SecretUse) []SecretUse {
	fixed := slices.Clone(uses)
	for i := range fixed {
		fixed[i].Reload, fixed[i].OnChange = "", ""
	}
	return fixed
}

// FindUse returns the use of the secret of that name, or nil.
func FindUse(uses []SecretUse, name string) *SecretUse {
	i := slices.IndexFunc(uses, func(u SecretUse) bool { return u.Name == name })
	if i < 0 {
		return nil
	}
	return &uses[i]
}
