package plan

import (
	"slices"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// holdSecrets returns the step that reads secrets: those that are not held from their source as it
// is now, or all of them if that is asked for.
func (in Input) holdSecrets() []Step {
	if len(in.Want.Secrets) == 0 || in.Observed.SecretsErr != nil {
		return nil
	}
	var read []string
	for _, s := range in.Want.Secrets {
		if in.Reread || !slices.Contains(in.Observed.Secrets.Held, s.Name) {
			read = append(read, s.Name)
		}
	}
	excess := slices.ContainsFunc(in.Observed.Secrets.Held, func(name string) bool { return spec.FindSecret(in.Want.Secrets, name) == nil })
	if len(read) == 0 && !excess {
		return nil
	}
	return []Step{{Kind: Hold, Group: in.Group, Want: in.Want, Secrets: read}}
}

// forgetSecrets returns the step that ends what is held for a group that has no secrets any more.
func (in Input) forgetSecrets() []Step {
	if len(in.Want.Secrets) > 0 || in.Observed.SecretsErr != nil || !in.Observed.Secrets.Any {
		return nil
	}
	return []Step{{Kind: Forget, Group: in.Group}}
}

// untold returns the secrets that have other values than the program of a container was given.
func (in Input) untold(c *spec.Container) []string { return in.Observed.Secrets.Untold[c.Name] }

// secretsReplace reports whether a container with a task is replaced because of its secrets. One
// that has not been started is, whatever it asks for: its files have the earlier values.
func (in Input) secretsReplace(c *spec.Container, s host.ContainerState) bool {
	change := c.OnSecrets(in.untold(c))
	return change == spec.SecretReplaces || change == spec.SecretReloads && s.Task == host.TaskCreated ||
		slices.Contains(in.Observed.Secrets.Cut, c.Name)
}

// fillReload fills in what a Reload step changes and sends.
func (in Input) fillReload(t *Target, c *containerPlan) {
	untold := in.untold(c.Container)
	t.Files = c.NotLoaded(c.state.Loaded)
	for _, u := range c.Container.Secrets {
		if u.Reload != "" && slices.Contains(untold, u.Name) {
			t.Secrets = append(t.Secrets, u.Name)
		}
	}
	for _, f := range c.FilesWith(untold) {
		if !slices.ContainsFunc(t.Files, func(o spec.File) bool { return o.Path == f.Path }) {
			t.Files = append(t.Files, f)
		}
	}
	t.Signals = slices.Concat(spec.ReloadSignals(t.Files), c.SecretSignals(untold))
	slices.Sort(t.Signals)
	t.Signals = slices.Compact(t.Signals)
}
