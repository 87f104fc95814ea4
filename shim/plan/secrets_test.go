package plan_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// secretive is a group of one app, which has secrets in the given ways.
func secretive(uses []spec.SecretUse, files ...spec.File) *spec.Group {
	return hosttest.Sealed(func(g *spec.Group) {
		g.Secrets = []spec.Secret{{Name: "pass", File: "/etc/keys/pass"}, {Name: "token", Credential: "token"}}
		g.Containers[0].Secrets, g.Containers[0].Files = uses, files
	})
}

func TestSecrets(t *testing.T) {
	replaces := []spec.SecretUse{{Name: "pass"}}
	reloads := []spec.SecretUse{{Name: "pass", Reload: "SIGHUP"}, {Name: "token", OnChange: spec.OnChangeNone}}
	filed := spec.File{Path: "/etc/f", Content: []byte("a \x00pass\x00"), Secrets: []string{"pass"}, Reload: "SIGUSR1"}
	both := []string{"pass", "token"}
	for _, tt := range []struct {
		name string
		want *spec.Group
		task host.TaskState
		have host.Secrets
		edit func(*plan.Input)
		step []string
	}{
		{"nothing is held", secretive(replaces), "", host.Secrets{}, nil, []string{"pin namespace", "admit no", "read secrets pass, token", "create web (app)", "start web (app)"}},
		{"one is not", secretive(replaces), host.TaskRunning, host.Secrets{Any: true, Held: both[1:]}, nil, []string{"read secret pass"}},
		{"one is not, rules are gone, a container is not wanted and one is replaced", secretive(replaces), host.TaskRunning, host.Secrets{Any: true, Held: both[1:], Untold: map[string][]string{"web": {"pass"}}},
			func(in *plan.Input) {
				in.Observed.Net.Rules = host.Absent
				in.Observed.Containers = append(in.Observed.Containers, host.ContainerState{Name: "old", Role: spec.Sidecar, Task: host.TaskRunning})
			},
			[]string{"admit no", "stop old (sidecar)", "remove old (sidecar)", "read secret pass", "stop web (app)", "remove web (app)", "create web (app)", "start web (app)"}},
		{"all are", secretive(replaces), host.TaskRunning, host.Secrets{Any: true, Held: both}, nil, nil},
		{"read again", secretive(replaces), host.TaskRunning, host.Secrets{Any: true, Held: both}, func(in *plan.Input) { in.Reread = true }, []string{"read secrets pass, token"}},
		{"one that is not wanted", secretive(replaces), host.TaskRunning, host.Secrets{Any: true, Held: []string{"old", "pass", "token"}}, nil, []string{"forget secrets that sealed does not have any more"}},
		{"another value", secretive(replaces), host.TaskRunning, host.Secrets{Any: true, Held: both, Untold: map[string][]string{"web": {"pass"}}}, nil,
			[]string{"stop web (app)", "remove web (app)", "create web (app)", "start web (app)"}},
		{"another value, of another secret", secretive(replaces), host.TaskRunning, host.Secrets{Any: true, Held: both, Untold: map[string][]string{"web": {"token"}}}, nil, nil},
		{"a signal", secretive(reloads), host.TaskRunning, host.Secrets{Any: true, Held: both, Untold: map[string][]string{"web": both}}, nil,
			[]string{"reload web (app) by SIGHUP: secret pass changed"}},
		{"a signal for a file too", secretive(reloads, filed), host.TaskRunning, host.Secrets{Any: true, Held: both, Untold: map[string][]string{"web": both}}, nil,
			[]string{"reload web (app) by SIGHUP, SIGUSR1: file /etc/f, secret pass changed"}},
		{"no signal", secretive(reloads), host.TaskRunning, host.Secrets{Any: true, Held: both, Untold: map[string][]string{"web": {"token"}}}, nil, nil},
		{"created with the value before", secretive(reloads), host.TaskCreated, host.Secrets{Any: true, Held: both, Untold: map[string][]string{"web": both}}, nil,
			[]string{"remove web (app)", "create web (app)", "start web (app)"}},
		{"cut off", secretive(reloads), host.TaskRunning, host.Secrets{Any: true, Held: both, Cut: []string{"web"}}, nil,
			[]string{"stop web (app)", "remove web (app)", "create web (app)", "start web (app)"}},
		{"no secrets any more", hosttest.Sealed(), host.TaskRunning, host.Secrets{Any: true, Held: both}, nil, []string{"forget the secrets of sealed"}},
		{"stopped", secretive(replaces), host.TaskRunning, host.Secrets{Any: true, Held: both}, func(in *plan.Input) { in.Stopped = true },
			[]string{"stop web (app)", "remove web (app)", "forget the secrets of sealed", "disconnect sealed"}},
		{"unknown", secretive(replaces), "", host.Secrets{}, func(in *plan.Input) { in.Observed.SecretsErr = errors.New("unreadable") }, []string{"pin namespace", "admit no"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := plan.Input{Group: "sealed", Want: tt.want, Now: hosttest.Noon, Observed: plan.Nothing()}
			if tt.task != "" {
				c := tt.want.Containers[0]
				in.Observed.Net = host.NetState{Pinned: host.Present, Namespace: host.Present, Rules: host.Present, Link: host.Absent}
				in.Observed.Limits = host.Present
				in.Observed.Containers = []host.ContainerState{{Group: "sealed", Name: c.Name, Role: c.Role, Digest: c.Digest, Loaded: c.Loaded(), Task: tt.task}}
			}
			in.Observed.Secrets = tt.have
			if tt.edit != nil {
				tt.edit(&in)
			}
			got := plan.Texts(plan.Steps(in))
			if !slices.EqualFunc(got, tt.step, strings.HasPrefix) {
				t.Errorf("steps %q, want %q", got, tt.step)
			}
		})
	}
}

// A group is gone only without its secrets.
func TestGoneWithoutSecrets(t *testing.T) {
	o := plan.Nothing()
	if !o.Gone() {
		t.Error("nothing is there, and the group isn't gone")
	}
	if o.Secrets.Any = true; o.Gone() {
		t.Error("its secrets are held, and the group is gone")
	}
}
