package oci

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/spec"
)

func TestImageNotes(t *testing.T) {
	probed := spec.Container{Probes: []spec.Probe{{Kind: spec.ProbeLive}}, Stop: spec.Stop{Timeout: 10 * time.Second}}
	asks := spec.Container{Probes: []spec.Probe{{Kind: spec.ProbeLive, Image: true}}, Stop: probed.Stop}
	mounted := spec.Container{Mounts: []spec.Mount{{Path: "/data/"}}, Tmpfs: []spec.Tmpfs{{Path: "/run"}}, ReadOnly: true}
	limited := spec.Container{Resources: spec.Resources{Memory: 1, Swap: new(int64), CPU: 1}}
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
		{name: "limits", config: `{"config":{"Memory":1048576,"MemorySwap":2097152,"CpuShares":512,"NetworkDisabled":true}}`, want: []string{
			"its 512 CpuShares are not used, since no container has shares: write a limit, resources { cpu = 0.5 }",
			`its limit of memory is not used: write resources { memory = "1MiB" }`,
			"its limit of memory and swap together, 2MiB, is not used: write resources { memory = ..., swap = ... }",
			`its NetworkDisabled has no effect: egress = "none" seals a group`,
		}},
		{name: "limits of the file", c: limited, config: `{"config":{"Memory":1048576,"MemorySwap":2097152,"CpuShares":512}}`},
		{name: "no limits", config: `{"config":{"Memory":-1,"MemorySwap":-1,"CpuShares":0}}`},
		{name: "a limit that is no number", config: `{"config":{"Memory":"1g"}}`, err: true},
		{name: "another system", config: `{"os":"linux","os.version":"10.0.14393.1066","os.features":["win32k"],"variant":"v8","moby.buildkit.cache.v0":"x","extra":{"a":1},"config":{}}`, want: []string{
			"its extra has no effect",
			`its os.features ["win32k"] is not compared with this host's`,
			`its os.version "10.0.14393.1066" is not compared with this host's`,
		}},
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

// Every field of the image specification, and of docker's, is used, describes the image, or has a
// note.
func TestImageFieldsAreTreated(t *testing.T) {
	// docker's beside those of the specification (api/types/container.Config, image.V1Image).
	docker := []string{
		"Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce", "Image", "MacAddress", "NetworkDisabled",
		"OnBuild", "StopTimeout", "Shell", "Healthcheck", "Memory", "MemorySwap", "CpuShares",
	}
	noted := []string{"Volumes", "Healthcheck", "ExposedPorts", "StopTimeout", "Memory", "MemorySwap", "CpuShares", "NetworkDisabled"}
	for _, field := range append(jsonNames(reflect.TypeFor[ocispec.ImageConfig]()), docker...) {
		if slices.Contains(honoured, field) == slices.Contains(noted, field) {
			t.Errorf("%s of a config: used %t, noted %t", field, slices.Contains(honoured, field), slices.Contains(noted, field))
		}
	}
	for _, field := range append(jsonNames(reflect.TypeFor[ocispec.Image]()), jsonNames(reflect.TypeFor[ocispec.Platform]())...) {
		if strings.HasPrefix(field, "os.") == slices.Contains(described, field) {
			t.Errorf("%s of an image is neither described nor noted", field)
		}
	}
}

// jsonNames returns the names that the fields of a struct have in JSON. Embedded ones are left out.
func jsonNames(of reflect.Type) (names []string) {
	for f := range of.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}
