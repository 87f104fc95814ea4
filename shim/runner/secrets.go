package runner

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

var errNoSecrets = errors.New("this keeper holds no secrets")

func (m Machine) observeSecrets(ctx context.Context, group string, want *spec.Group) (host.Secrets, error) {
	if m.secrets == nil {
		return host.Secrets{}, nil
	}
	return m.secrets.Observe(ctx, group, want)
}

// holdSecrets reads secrets, and records those that have other values.
func (m Machine) holdSecrets(ctx context.Context, s plan.Step) error {
	if m.secrets == nil {
		return errNoSecrets
	}
	read, err := m.secrets.Hold(ctx, s.Want, s.Secrets)
	var events []group.Event
	for _, name := range read.Changed {
		events = append(events, secretEvent(s.Group, "secret "+name+" has another value"))
	}
	for _, text := range read.Warnings {
		events = append(events, secretEvent(s.Group, text))
	}
	m.record(events...)
	return err
}

func (m Machine) secretGroups(ctx context.Context) ([]string, error) {
	if m.secrets == nil {
		return nil, nil
	}
	return m.secrets.Groups(ctx)
}

func secretEvent(name, text string) group.Event {
	return group.Event{Group: name, Kind: group.EventSecret, Text: text}
}

// noteSecrets records why sources of secrets can't be read any more, once, and when they can be
// again.
func (r *Runner) noteSecrets(in plan.Input) {
	if in.Observed.SecretsErr != nil {
		return
	}
	now := in.Observed.Secrets.Problems
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if r.secretProblems[name] != now[name] {
			r.record(secretEvent(r.group, now[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.secretProblems)) {
		if now[name] == "" && slices.Contains(in.Observed.Secrets.Held, name) {
			r.record(secretEvent(r.group, "secret "+name+" can be read again"))
		}
	}
	r.secretProblems = now
}

// secretsReread ends the wish that all secrets be read again.
func (r *Runner) secretsReread() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.desired.reread = false
}
