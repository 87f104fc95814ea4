package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/config"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/spec"
)

// defaultConfiguration is the configuration file of the host's own instance.
const defaultConfiguration = "/etc/sallyport/" + config.FileName

// A configuration is the daemon's configuration file as one command line reads it. A file that is
// not there is an empty one, unless the command line names it.
type configuration struct {
	path  string // absolute
	there bool
	src   []byte
	file  config.File
	diags hcl.Diagnostics // the mistakes in the file
	err   error           // why it can't be read
}

// readConfiguration reads the file that --config names, or else the instance's.
func readConfiguration(ctx context.Context, named, root string) *configuration {
	c := &configuration{path: defaultConfiguration}
	switch {
	case named != "":
		c.path = named
	case root != "":
		c.path = filepath.Join(root, config.FileName)
	}
	if c.path, c.err = filepath.Abs(c.path); c.err != nil {
		return c
	}
	c.src, c.err = hostfile.Read(ctx, filepath.Dir(c.path), c.path, config.MaxFile)
	if errors.Is(c.err, fs.ErrNotExist) && named == "" {
		c.err = nil
		return c
	}
	if c.there = true; c.err != nil {
		c.err = fmt.Errorf("read the configuration: %w", c.err)
		return c
	}
	c.file, c.diags = config.Parse(c.path, c.src)
	return c
}

// problem returns why the file can't be used, on one line, or nil.
func (c *configuration) problem() error {
	if c.err != nil {
		return usage(c.err, "")
	}
	if !c.diags.HasErrors() {
		return nil
	}
	return usage(errors.New(spec.OneLine(c.diags)), "sallyport validate "+c.path)
}

// mustHold prints every mistake in the file and returns an error if there is one.
func (c *configuration) mustHold(ui *ui) error {
	if c.err != nil {
		return usage(c.err, "")
	}
	if err := ui.diagnose(map[string][]byte{c.path: c.src}, c.diags, c.diags); err != nil {
		return err
	}
	if c.diags.HasErrors() {
		return exitStatus(statusUsage)
	}
	return nil
}

// BeforeResolve reads the configuration, once the flags and the environment have named it. Kong
// calls it.
func (in *instance) BeforeResolve(ctx context.Context, command *kong.Context) error {
	named, _ := flagValue(command, "config").(string)
	root, _ := flagValue(command, "root").(string)
	in.conf = readConfiguration(ctx, named, root)
	return nil
}

// resolve is a [kong.ResolverFunc]: a flag that neither the command line nor the environment sets
// has the value of the configuration file. Kong asks only for flags that are not on the command
// line.
func (in *instance) resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	value, ok := in.conf.file[flag.Name]
	if !ok || inEnviron(flag) != "" {
		return nil, nil
	}
	return value.Text, nil
}

// inEnviron returns the variable of the environment that sets a flag, or "". An empty variable sets
// nothing.
func inEnviron(flag *kong.Flag) string {
	for _, name := range flag.Envs {
		if os.Getenv(name) != "" {
			return name
		}
	}
	return ""
}

func flagNamed(ctx *kong.Context, name string) *kong.Flag {
	for _, flag := range ctx.Flags() {
		if flag.Name == name {
			return flag
		}
	}
	return nil
}

func flagValue(ctx *kong.Context, name string) any {
	if flag := flagNamed(ctx, name); flag != nil {
		return ctx.FlagValue(flag)
	}
	return nil
}

// The settings of a daemon are those of a command line, an environment and a configuration file.
type settings struct {
	file      string // the configuration's path
	flags     *daemonFlags
	set       []api.Setting     // what something sets, in the order of the documentation
	effective map[string]string // every setting, with the defaults, by full name
}

func (s settings) find(name string) int {
	return slices.IndexFunc(s.set, func(x api.Setting) bool { return x.Name == name })
}

// source returns what sets a setting, or "" if it has its default.
func (s settings) source(name string) string {
	if i := s.find(name); i >= 0 {
		return s.set[i].Source
	}
	return ""
}

// settings returns the settings of a daemon with these flags, which are those of the verb that
// command runs. What a flag or the environment sets holds to the same rules as in the file, but for
// programs, which may be on PATH.
func (in *instance) settings(command *kong.Context, flags *daemonFlags) (settings, error) {
	l, err := in.layout(flags.paths)
	if err != nil {
		return settings{}, err
	}
	s := settings{file: in.conf.path, flags: flags, effective: map[string]string{
		"folders.run": l.RunDir, "folders.state": l.StateDir, "folders.logs": l.LogDir, "folders.groups": l.GroupsDir,
		"cgroup": l.CgroupRoot, "network.table": l.Table, "network.prefix4": l.Prefix4, "network.prefix6": l.Prefix6,
		"containerd.namespace": l.Namespace, "containerd.socket": flags.Containerd, "containerd.program": flags.ContainerdBin,
		"access.operators": flags.Operators, "access.readers": flags.Readers, "containerd.shim": flags.Shim, "containerd.runtime": flags.Runtime,
		"output.size": flags.OutputSize, "output.total": flags.OutputTotal, "output.removed": flags.OutputRemoved,
		"signed_by": flags.SignedBy, "images.unused": flags.ImagesUnused, "images.total": flags.ImagesTotal,
		"registries.docker_config": flags.RegistriesDockerConfig, "registries.hosts": flags.RegistriesHosts,
		"registries.max_concurrent": flags.RegistriesMaxConcurrent, "registries.rate": flags.RegistriesRate, "registries.window": flags.RegistriesWindow,
		"runs.at_once": flags.RunsAtOnce, "runs.queued": flags.RunsQueued, "runs.keep": flags.RunsKeep, "runs.records": flags.RunsRecords,
		"metrics.listen": flags.MetricsListen,
		"log_level":      strings.ToLower(flags.LogLevel.Level().String()),
	}}
	for _, x := range config.Settings {
		flag := flagNamed(command, x.Flag)
		source := inEnviron(flag)
		for _, p := range command.Path {
			switch {
			case p.Flag != flag:
			case p.Resolved:
				source = fmt.Sprintf("%s:%d", in.conf.path, in.conf.file[x.Flag].At.Start.Line)
			default:
				source = "--" + x.Flag
			}
		}
		value := s.effective[x.FullName()]
		unset := value == "" && x.Default == "" // an empty flag takes back what the file has
		if problem := x.Problem(value); source != "" && problem != "" && !unset && x.Flag != "containerd-bin" {
			return settings{}, usage(fmt.Errorf("%s: %s", source, problem), "run \"sallyport daemon --help\"")
		}
		if source != "" {
			s.set = append(s.set, api.Setting{Name: x.FullName(), Value: value, Source: source})
		}
	}
	return s, nil
}

// readAgain returns a function that reads the command line and the environment of command again,
// and the configuration as it is then. A file that others than root may write is refused.
func readAgain(command *kong.Context, look func(path string) (inode, error)) func() (settings, error) {
	return func() (settings, error) {
		var c cli
		next, err := c.parse(context.Background(), command.Args, &ui{})
		if err != nil {
			return settings{}, err
		}
		in := &c.Instance
		if err := in.conf.problem(); err != nil {
			return settings{}, err
		}
		if err := checkOwned("configuration", in.conf.path, look); err != nil {
			return settings{}, err
		}
		return in.settings(next, &c.Daemon.daemonFlags)
	}
}

// configurationResults has lines for the configuration in force. It asks the daemon. If none
// answers, the lines have what a daemon with doctor's own flags and environment would use.
func configurationResults(ctx context.Context, in *instance, own settings) (all []result) {
	add := func(r result) {
		r.Name = "configuration"
		all = append(all, r)
	}
	if err := in.conf.problem(); err != nil {
		add(result{Error: err.Error(), Hint: hintOf(err)})
	}
	conf, running := askConfiguration(ctx, in)
	if !running {
		conf = api.Configuration{File: own.file, Settings: own.set}
	}
	found := "every setting has its default"
	if len(conf.Settings) > 0 {
		var texts []string
		for _, s := range conf.Settings {
			texts = append(texts, fmt.Sprintf("%s = %q (%s)", s.Name, s.Value, s.Source))
		}
		found = strings.Join(texts, ", ")
	}
	if !running {
		found = "no daemon answers; one that starts now: " + found
	}
	add(result{OK: true, Found: found + "; file " + conf.File})
	for _, s := range conf.Restart {
		add(result{OK: true, Note: true, Found: fmt.Sprintf("%s = %q (%s) waits for a restart of the daemon", s.Name, s.Value, cmp.Or(s.Source, "default")),
			Hint: "restart the daemon; the groups run on"})
	}
	if conf.Metrics != "" {
		add(result{OK: true, Note: true, Found: "the metrics are not served: " + conf.Metrics, Hint: "free the address, or choose another one: metrics.listen in sallyport.hcl; the daemon tries again every few seconds"})
	}
	if conf.Problem != "" {
		add(result{OK: true, Note: true, Found: "the last reload changed nothing: " + conf.Problem, Hint: "mend the file and reload again: systemctl reload sallyport, or SIGHUP"})
	}
	return all
}

// askConfiguration returns the configuration of the running daemon.
func askConfiguration(ctx context.Context, in *instance) (conf api.Configuration, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, daemonTimeout)
	defer cancel()
	client, err := in.client(ctx)
	if err == nil {
		conf, err = client.Configuration(ctx)
	}
	return conf, err == nil
}
