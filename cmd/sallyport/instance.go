package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/layout"
)

// An instance selects one of the Sallyports on this host. Every verb takes its flags, before or
// after the verb.
type instance struct {
	Root   string `placeholder:"DIR" env:"SALLYPORT_ROOT" group:"instance" help:"Keep everything of a second, isolated instance under DIR."`
	Config string `placeholder:"FILE" env:"SALLYPORT_CONFIG" group:"instance" help:"Configuration of the daemon (default /etc/sallyport/sallyport.hcl, or DIR/sallyport.hcl with --root)."`
	RunDir string `placeholder:"DIR" env:"SALLYPORT_RUN_DIR" group:"instance" help:"Folder of the control socket (default /run/sallyport, or DIR/run with --root)."`

	conf *configuration // the file; nil until the command line is read
}

// paths are the daemon's folders and names on the host. The socket's folder is in instance, since
// every verb needs it. Empty fields take the defaults.
type paths struct {
	StateDir   string `placeholder:"DIR" env:"SALLYPORT_STATE_DIR" help:"Folder of the daemon's state and of a private containerd (default /var/lib/sallyport, or DIR/state with --root)."`
	LogDir     string `placeholder:"DIR" env:"SALLYPORT_LOG_DIR" help:"Folder of the containers' output (default /var/log/sallyport, or DIR/log with --root)."`
	GroupsDir  string `placeholder:"DIR" env:"SALLYPORT_GROUPS_DIR" help:"Folder of the installed group files (default /etc/sallyport/groups.d, or DIR/groups.d with --root)."`
	CgroupRoot string `placeholder:"PATH" env:"SALLYPORT_CGROUP_ROOT" help:"Cgroup of the groups, from the root of the hierarchy (default /sallyport; with --root, one made from DIR)."`
	Table      string `placeholder:"NAME" env:"SALLYPORT_TABLE" help:"Name of the host's nftables table (default sallyport; with --root, one made from DIR)."`
	Prefix4    string `name:"prefix4" placeholder:"CIDR" env:"SALLYPORT_PREFIX4" help:"IPv4 addresses for the groups' links (default 10.209.0.0/16; with --root, a /20 chosen by DIR)."`
	Prefix6    string `name:"prefix6" placeholder:"CIDR" env:"SALLYPORT_PREFIX6" help:"IPv6 addresses for the groups' links (default fd5a:11e0:9027::/64; with --root, another one chosen by DIR)."`
	Namespace  string `name:"containerd-namespace" placeholder:"NAME" env:"SALLYPORT_CONTAINERD_NAMESPACE" help:"Namespace of the containers in containerd (default sallyport; with --root, one made from DIR)."`
}

// daemonFlags configure the daemon. Each is also a setting of the configuration file.
type daemonFlags struct {
	paths
	runtimeFlags
	Shim string `enum:"group,host" default:"group" placeholder:"group|host" env:"SALLYPORT_SHIM" help:"One runc shim per group, or one for the whole host, which takes less memory (default group)."`
	accessFlags
	outputFlags
	imageFlags
	registryFlags
	runFlags
	metricsFlags
	LogLevel logLevel `default:"info" placeholder:"LEVEL" env:"SALLYPORT_LOG_LEVEL" help:"Lowest level that is logged: debug, info, warn or error (default info)."`
}

// layout applies the flags and the defaults. An instance with a root gets its own cgroup, table,
// addresses and containerd namespace, since a host has one of each. They come from a hash of the
// root's path, so instances under different roots don't collide.
func (in *instance) layout(p paths) (layout.Layout, error) {
	l := layout.Layout{
		RunDir: "/run/sallyport", StateDir: "/var/lib/sallyport", LogDir: "/var/log/sallyport", GroupsDir: "/etc/sallyport/groups.d",
		CgroupRoot: "/sallyport", Table: "sallyport", Namespace: "sallyport",
		Prefix4: "10.209.0.0/16", Prefix6: "fd5a:11e0:9027::/64",
	}
	if in.Root != "" {
		root, err := filepath.Abs(in.Root)
		if err != nil {
			return layout.Layout{}, err
		}
		sum := sha256.Sum256([]byte(root))
		name := "sallyport-" + hex.EncodeToString(sum[:4])
		l = layout.Layout{
			RunDir: filepath.Join(root, "run"), StateDir: filepath.Join(root, "state"), LogDir: filepath.Join(root, "log"),
			GroupsDir: filepath.Join(root, "groups.d"), CgroupRoot: "/" + name, Table: name, Namespace: name,
			// One of 128 blocks beside the default's, and a /64 of its own. A /20 has room for
			// 2,048 groups.
			Prefix4: fmt.Sprintf("10.%d.%d.0/20", 210+sum[0]%8, sum[1]&0xf0),
			Prefix6: fmt.Sprintf("fd5a:11e0:9027:%02x%02x::/64", sum[2]|1, sum[3]),
		}
	}
	l.CgroupRoot = cmp.Or(p.CgroupRoot, l.CgroupRoot)
	l.Table = cmp.Or(p.Table, l.Table)
	l.Namespace = cmp.Or(p.Namespace, l.Namespace)
	l.Prefix4 = cmp.Or(p.Prefix4, l.Prefix4)
	l.Prefix6 = cmp.Or(p.Prefix6, l.Prefix6)
	for _, dir := range []struct {
		field *string
		flag  string
	}{{&l.RunDir, in.RunDir}, {&l.StateDir, p.StateDir}, {&l.LogDir, p.LogDir}, {&l.GroupsDir, p.GroupsDir}} {
		abs, err := filepath.Abs(cmp.Or(dir.flag, *dir.field))
		if err != nil {
			return layout.Layout{}, err
		}
		*dir.field = abs
	}
	return l, nil
}

// patience is how long a verb waits for a single answer. The tests shorten it.
var patience = api.Patience

// client returns a client of the instance's daemon. It asks the daemon for something small, so a
// daemon that hangs is an error soon, even for a verb that then waits for long.
func (in *instance) client(ctx context.Context) (*api.Client, error) {
	l, err := in.layout(paths{})
	if err != nil {
		return nil, err
	}
	client := api.NewClient(l.Socket()).WithPatience(patience)
	if _, err := client.Problems(ctx); err != nil {
		return nil, interrupted(ctx, in.explainAddress(err), "")
	}
	return client, nil
}

// explainAddress adds to the error of an unreachable daemon that the configuration, which may name
// another run folder, can't be used. A verb that reaches the daemon needs nothing else of the file.
func (in *instance) explainAddress(err error) error {
	err = in.explainNoDaemon(err)
	if in.conf == nil || in.RunDir != "" {
		return err
	}
	switch problem := in.conf.problem(); {
	case problem == nil:
	case errors.Is(problem, fs.ErrPermission) && !errors.Is(err, api.ErrNoDaemon):
		// Root can read it, and the error's own hint is sudo.
	case errors.Is(problem, fs.ErrPermission):
		return &hint.Error{Err: fmt.Errorf("%w; its run folder is unknown: %w", err, problem), Hint: "run it again with sudo"}
	default:
		return &hint.Error{Err: fmt.Errorf("%w; its run folder is unknown: %w", err, problem), Hint: "mend the configuration, or name the folder with --run-dir"}
	}
	return err
}

// explainNoDaemon replaces the hint of [api.ErrNoDaemon] where the instance has a root. The host's
// service keeps another instance.
func (in *instance) explainNoDaemon(err error) error {
	if in.Root != "" && errors.Is(err, api.ErrNoDaemon) {
		return &hint.Error{Err: err, Hint: `start it: "sallyport daemon" as root`}
	}
	return err
}
