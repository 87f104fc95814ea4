package oci

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/spec"
)

func TestImageNotes(t *testing.T) {
	probed := spec.Container{Probes: []spec.Probe{{Kind: spec.ProbeLive}}, Stop: spec.Stop{Timeout: 10 * time.Second}}
	asks := spec.Container{Probes: []spec.Probe{{Kind: spec.ProbeLive, Image: true}}, Stop: probed.Stop}
	mounted := spec.Container{Mounts: []spec.Mount{{Path: "/data/"}}, Tmpfs: []spec.Tmpfs{{Path: "/run"}}, ReadOnly: true}
	for _, tt := range []struct {
		name   string
		c      spec.Container
		config string
		want   []string
		err    bool
	}{
		{name: "nothing", config: `{}`},
		{name: "what is used", config: `{"config":{"Env":["A=b"],"Cmd":["x"],"User":"1","WorkingDir":"/x","StopSignal":"SIGQUIT"}}`},
		{name: "what means nothing here", config: `{"config":{"OnBuild":["RUN x"],"Shell":["/bin/sh"],"Labels":{"a":"b"},"Hostname":"x","ArgsEscaped":true}}`},
		{name: "zero values", config: `{"config":{"Volumes":{},"Healthcheck":null,"ExposedPorts":null,"Other":0,"More":""}}`},
		{name: "volumes under mounts", c: mounted, config: `{"config":{"Volumes":{"/data":{},"/data/x":{},"run/x":{},"/database":{}}}}`, want: []string{
			"its VOLUME /database can't be written to: mount a volume or a tmpfs there",
		}},
		{name: "no health check", config: `{"config":{"Healthcheck":{"Test":["NONE"]}}}`},
		{name: "health check beside probes", c: probed, config: `{"config":{"Healthcheck":{"Test":["CMD","/check"]},"StopTimeout":10}}`, want: []string{
			"its HEALTHCHECK is not asked, but the container's own probes",
		}},
		{name: "a command", config: `{"config":{"Healthcheck":{"Test":["CMD","/check","%{a}"]}}}`, want: []string{
			`its HEALTHCHECK is not asked: to use it, write probe "live" { image = true }. It runs /check %{a}`,
		}},
		{name: "a probe of the image", c: asks, config: `{"config":{"Healthcheck":{"Test":["CMD","/check"]},"StopTimeout":10}}`},
		{name: "a form that is not known", config: `{"config":{"Healthcheck":{"Test":["HTTP","/check"]}}}`, want: []string{
			`its HEALTHCHECK can't be asked: it is of the form "HTTP", and the forms are CMD, CMD-SHELL and NONE`,
		}},
		{name: "unknown", config: `{"config":{"New\u001b[31m":["x"]}}`, want: []string{"its New\ufffd[31m has no effect"}},
		{name: "no JSON", config: `{`, err: true},
		{name: "another type", config: `{"config":{"Volumes":["/x"]}}`, err: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ImageNotes(tt.c, []byte(tt.config))
			if diff := cmp.Diff(tt.want, got); diff != "" || (err != nil) != tt.err {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
		})
	}
	many := `{"config":{"Volumes":{"/a":{}`
	for i := range 100 {
		many += `,"/` + strings.Repeat("z", i+1) + `":{}`
	}
	if got, err := ImageNotes(spec.Container{}, []byte(many+`}}}`)); err != nil || len(got) != maxImageNotes+1 {
		t.Errorf("%d notes, %v", len(got), err)
	}
}
