package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/config"
	"github.com/sallyport/sallyport/shim/ctrd/registry"
)

// withRegistries adds the daemon's environment to the configuration that it shows.
func withRegistries(show func() api.Configuration) func() api.Configuration {
	env := registry.Environment() // net/http reads it once, too
	return func() api.Configuration {
		conf := show()
		conf.Registries = &env
		return conf
	}
}

// registryResults has lines of doctor for what the daemon reads before it asks a registry: by the
// settings and the environment of the running daemon, or else by doctor's own. No registry is
// asked.
func registryResults(ctx context.Context, in *instance, own settings, logins string) (all []result) {
	env := registry.Environment()
	s := registry.Settings{DockerConfig: own.effective["registries.docker_config"], Hosts: own.effective["registries.hosts"]}
	if conf, running := askConfiguration(ctx, in); running {
		s = registry.Settings{DockerConfig: inForce(conf, "registries.docker_config"), Hosts: inForce(conf, "registries.hosts")}
		env = *cmp.Or(conf.Registries, &env)
	}
	s.DockerConfig, s.Hosts = config.PathOrNone(s.DockerConfig), config.PathOrNone(s.Hosts)
	found, findings := registry.Look(ctx, logins, s, env, time.Now())
	add := func(c check) {
		c.name = "registries"
		all = append(all, c.result(ctx))
	}
	add(check{run: func(context.Context) (string, error) { return found, nil }})
	for _, f := range findings {
		err := f.Err
		if f.Note {
			err = &note{err.Error(), hintOf(err)}
		}
		add(check{run: func(context.Context) (string, error) { return "", err }})
	}
	return slices.Compact(all) // without root, each file is as unknown as the others
}

// inForce returns the value of a setting of a running daemon, whose configuration has those that
// are set.
func inForce(conf api.Configuration, name string) string {
	for _, s := range conf.Settings {
		if s.Name == name && s.Value != "" {
			return s.Value
		}
	}
	i := slices.IndexFunc(config.Settings, func(s config.Setting) bool { return s.FullName() == name })
	return config.Settings[i].Default
}
