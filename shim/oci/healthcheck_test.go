package oci

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

func TestHealthcheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config string
		want   host.Healthcheck
		err    string
	}{
		{name: "no configuration", config: `{}`, err: "no HEALTHCHECK"},
		{name: "null", config: `{"config":{"Healthcheck":null}}`, err: "no HEALTHCHECK"},
		{name: "inherited", config: `{"config":{"Healthcheck":{"Test":[],"Interval":1}}}`, err: "no HEALTHCHECK"},
		{name: "none", config: `{"config":{"Healthcheck":{"Test":["NONE"]}}}`, err: "no HEALTHCHECK"},
		{name: "command", config: `{"config":{"Shell":["/bin/ash","-c"],"Healthcheck":{"Test":["CMD","/check","a b"]}}}`,
			want: host.Healthcheck{Args: []string{"/check", "a b"}}},
		{name: "shell", config: `{"config":{"Healthcheck":{"Test":["CMD-SHELL","check || exit 1"],"Retries":5}}}`,
			want: host.Healthcheck{Args: []string{"/bin/sh", "-c", "check || exit 1"}, Retries: 5}},
		{name: "the image's shell", config: `{"config":{"Shell":["/bin/ash","-ec"],"Healthcheck":{"Test":["CMD-SHELL","check"]}}}`,
			want: host.Healthcheck{Args: []string{"/bin/ash", "-ec", "check"}}},
		{name: "times", config: `{"config":{"Healthcheck":{"Test":["CMD","x"],"Interval":1000000000,"Timeout":2000000000,"StartPeriod":3000000000,"StartInterval":4000000000}}}`,
			want: host.Healthcheck{Args: []string{"x"}, Interval: time.Second, Timeout: 2 * time.Second, StartPeriod: 3 * time.Second, StartInterval: 4 * time.Second}},
		{name: "unknown form", config: `{"config":{"Healthcheck":{"Test":["HTTP\u001b[1m","x"]}}}`, err: "and the forms are CMD"},
		{name: "no command", config: `{"config":{"Healthcheck":{"Test":["CMD"]}}}`, err: "CMD without a command"},
		{name: "empty command", config: `{"config":{"Healthcheck":{"Test":["CMD-SHELL",""]}}}`, err: "CMD-SHELL without a command"},
		{name: "another type", config: `{"config":{"Healthcheck":{"Test":"x"}}}`, err: "Healthcheck"},
		{name: "a fraction", config: `{"config":{"Healthcheck":{"Test":["CMD","x"],"Retries":1.5}}}`, err: "Healthcheck"},
		{name: "no JSON", config: `{`, err: "configuration"},
	} {
		got, err := Healthcheck([]byte(tt.config))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
		if (err == nil) != (tt.err == "") || err != nil && (!strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\x1b")) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
		}
		asks := spec.Container{Name: "web", Probes: []spec.Probe{{Kind: spec.ProbeLive, Image: true}}}
		if err := CheckProbes(asks, []byte(tt.config)); (err == nil) != (tt.err == "") {
			t.Errorf("%s: checked: %v", tt.name, err)
		}
		if err := CheckProbes(spec.Container{Probes: []spec.Probe{{Exec: []string{"x"}}}}, []byte(tt.config)); err != nil {
			t.Errorf("%s: without such a probe: %v", tt.name, err)
		}
	}
	if _, err := Healthcheck([]byte(`{}`)); !errors.Is(err, host.ErrNoHealthcheck) {
		t.Error(err)
	}
}
