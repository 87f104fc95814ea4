package ctrd

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// everyField is an image's configuration with every field that docker and OCI have.
const everyField = `{
	"Hostname": "build-host", "Domainname": "example", "Image": "sha256:0", "AttachStdin": true, "AttachStdout": true, "AttachStderr": true,
	"Tty": true, "OpenStdin": true, "StdinOnce": true, "ArgsEscaped": true, "MacAddress": "02:00:00:00:00:01", "NetworkDisabled": true,
	"Env": ["PATH=/bin", "FROM_IMAGE=yes", "BOTH=image"], "User": "web:logs", "WorkingDir": "made/by/the/runtime",
	"Entrypoint": ["/bin/sh", "-c"],
	"Cmd": ["trap 'echo quit; exit 0' QUIT; echo $(id -u):$(id -g) $(pwd) $FROM_IMAGE $BOTH $HOSTNAME $(cat /etc/hostname); echo ready; while :; do sleep 0.1; done"],
	"StopSignal": "SIGQUIT", "StopTimeout": 60, "Shell": ["/bin/sh", "-ec"], "OnBuild": ["RUN false"], "Labels": {"org.example": "yes"},
	"Volumes": {"/var/lib/db": {}, "/srv/kept/below": {}}, "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Memory": 1048576,
	"Healthcheck": {"Test": ["CMD-SHELL", "test $(id -u):$FROM_IMAGE = 1000:yes"], "Interval": 5000000000, "Timeout": 3000000000}
}`

// An image's configuration has its effect, and what has none is noted, before and after the import.
func TestRootImageConfiguration(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		web := spec.Container{Name: "web", Role: spec.App, Env: map[string]string{"BOTH": "file"}, Stop: spec.Stop{Timeout: time.Minute / 2}}
		web.Mounts = []spec.Mount{{Volume: "kept", Path: "/srv/kept"}}
		path := filepath.Join(t.TempDir(), "every.tar")
		writeDocker(t, path, everyField)
		web.Image = archive.DockerPrefix + path
		wantNotes := []string{
			"its EXPOSE 53/udp, 80/tcp opens nothing: the ambassador's publish blocks do",
			`its HEALTHCHECK is not asked: to use it, write probe "live" { image = true }. It runs /bin/sh -ec test $(id -u):$FROM_IMAGE = 1000:yes`,
			`its limit of memory is not used: write resources { memory = "1MiB" }`, `its NetworkDisabled has no effect: egress = "none" seals a group`,
			`its time to stop is not used: write stop { timeout = "1m0s" }`,
			"its VOLUME /var/lib/db goes with the container: to keep what is written there, mount a persistent volume",
		}
		id, err := c.Resolve(t.Context(), web.Image)
		if err != nil {
			t.Fatal(err)
		}
		notes, err := c.ImageNotes(t.Context(), web, id)
		if diff := cmp.Diff(wantNotes, notes); diff != "" || err != nil {
			t.Errorf("before the import: %v (-want +got)\n%s", err, diff)
		}

		r := newHarness(t, c, busyboxArchive(t), web)
		r.image = mustImage(t, c, web.Image)
		r.group.Volumes = []spec.Volume{{Name: "kept", Owner: "web:logs"}}
		if err := os.MkdirAll(c.cfg.Layout.VolumePath("g", "kept"), 0o755); err != nil {
			t.Fatal(err)
		}
		if notes, err := c.ImageNotes(t.Context(), web, r.image.Digest); !slices.Equal(notes, wantNotes) || err != nil {
			t.Errorf("after the import: %q, %v", notes, err)
		}
		r.run()
		r.says("web", "ready")
		if out, want := strings.Split(r.output("web"), "\n")[0], "1000:2000 /made/by/the/runtime yes file g g"; out != want {
			t.Errorf("printed %q, want %q", out, want)
		}
		var st unix.Stat_t
		if err := unix.Stat(c.cfg.Layout.VolumePath("g", "kept"), &st); err != nil || st.Uid != 1000 || st.Gid != 2000 {
			t.Errorf("the volume of web:logs belongs to %d:%d, %v", st.Uid, st.Gid, err)
		}
		check, err := c.Healthcheck(t.Context(), "g", "web")
		if err != nil || check.Interval != 5*time.Second || check.Timeout != 3*time.Second {
			t.Errorf("check %+v, %v", check, err)
		}
		if status, err := c.Exec(t.Context(), host.ExecRequest{Group: "g", Container: "web", Args: check.Args}); status != 0 || err != nil {
			t.Errorf("asked %q: status %d, %v", check.Args, status, err)
		}
		asks := web
		asks.Probes = []spec.Probe{{Kind: spec.ProbeReady, Image: true}}
		if err := c.CheckImage(t.Context(), asks, r.image.Digest); err != nil {
			t.Error(err)
		}
		if err := c.Stop(t.Context(), "g", "web", web.Stop); err != nil {
			t.Fatal(err)
		}
		if out, state := r.ended("web"); !strings.Contains(out, "quit") || state.ExitStatus != 0 {
			t.Errorf("stopped by SIGQUIT: %q, status %d", out, state.ExitStatus)
		}

		// An image without the check is refused, before the container is made and when it is.
		bare := asks
		bare.Image = archive.OCIPrefix + busyboxArchive(t)
		image := mustImage(t, c, bare.Image)
		if err := c.CheckImage(t.Context(), bare, image.Digest); !errors.Is(err, host.ErrNoHealthcheck) {
			t.Errorf("checked: %v", err)
		}
		bare.Name = "bare"
		r.group.Containers = append(r.group.Containers, bare)
		if err := c.Create(t.Context(), host.CreateRequest{Group: r.group, Container: bare, Image: image, Generation: 1}); !errors.Is(err, host.ErrNoHealthcheck) {
			t.Errorf("created: %v", err)
		}

		// So is one without the name that owns a volume.
		bare.Probes, bare.Name, bare.Mounts = nil, "nameless", web.Mounts
		r.group.Volumes[0].Owner = "nobody-of-that-name"
		r.group.Containers[len(r.group.Containers)-1] = bare
		err = c.Create(t.Context(), host.CreateRequest{Group: r.group, Container: bare, Image: image, Generation: 1})
		if err == nil || !strings.Contains(err.Error(), "owner of volume kept") {
			t.Errorf("created: %v", err)
		}
	})
}

// writeDocker writes a docker archive of busybox whose image has this configuration.
func writeDocker(t *testing.T, path, config string) {
	t.Helper()
	img := busyboxImage(t)
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(ctrdtest.JSON(t, img.Config), &whole); err != nil {
		t.Fatal(err)
	}
	whole["config"] = json.RawMessage(config)
	writeFile(t, path, ctrdtest.Tar(t, []ctrdtest.File{
		{Name: "c.json", Body: ctrdtest.JSON(t, whole)}, {Name: "l.tar", Body: img.Layers[0]},
		{Name: "manifest.json", Body: []byte(`[{"Config":"c.json","Layers":["l.tar"]}]`)},
	}))
}
