package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// maxImageNotes limits the notes about one image, whose configuration may name any number of paths.
const maxImageNotes = 20

// honoured are the fields of an image's configuration that a container gets, or that mean nothing
// to a container: those that build an image, those of Windows, and what old builders left behind.
// REFERENCE has them.
var honoured = []string{
	"Env", "Cmd", "Entrypoint", "User", "WorkingDir", "StopSignal",
	"Labels", "OnBuild", "Shell", "ArgsEscaped",
	"Hostname", "Domainname", "Image", "AttachStdin", "AttachStdout", "AttachStderr", "OpenStdin", "StdinOnce", "Tty", "MacAddress",
}

// ImageNotes returns what an image's configuration asks for that the container doesn't get, a line
// each. The configuration is the JSON of an OCI image or of a docker one, which has more fields. It
// is an error if the JSON can't be read.
func ImageNotes(c spec.Container, config []byte) ([]string, error) {
	var image struct {
		Config map[string]json.RawMessage `json:"config"`
	}
	if err := json.Unmarshal(config, &image); err != nil {
		return nil, fmt.Errorf("the image's configuration: %w", err)
	}
	notes, err := platformNotes(config)
	if err != nil {
		return nil, fmt.Errorf("the image's configuration: %w", err)
	}
	for _, field := range slices.Sorted(maps.Keys(image.Config)) {
		raw := image.Config[field]
		if slices.Contains(honoured, field) || isZero(raw) {
			continue
		}
		health := func(c spec.Container, raw json.RawMessage) ([]string, error) {
			return healthNotes(c, raw, image.Config["Shell"])
		}
		explain := map[string]func(spec.Container, json.RawMessage) ([]string, error){
			"Volumes": volumeNotes, "Healthcheck": health, "ExposedPorts": portNotes, "StopTimeout": stopNotes,
			"Memory": memoryNotes, "MemorySwap": swapNotes, "CpuShares": sharesNotes, "NetworkDisabled": sealedNotes,
		}[field]
		if explain == nil {
			notes = append(notes, fmt.Sprintf("its %s has no effect", hint.Excerpt(field, hint.Short)))
			continue
		}
		more, err := explain(c, raw)
		if err != nil {
			return nil, fmt.Errorf("the image's configuration: %s: %w", field, err)
		}
		notes = append(notes, more...)
	}
	if more := len(notes) - maxImageNotes; more > 0 {
		notes = append(notes[:maxImageNotes], fmt.Sprintf("and %d more", more))
	}
	return notes, nil
}

func isZero(raw json.RawMessage) bool {
	return slices.Contains([]string{"null", "false", "0", `""`, "[]", "{}"}, string(raw))
}

// volumeNotes has a note for each VOLUME that nothing is mounted over.
func volumeNotes(c spec.Container, raw json.RawMessage) (notes []string, err error) {
	var volumes map[string]struct{}
	if err := json.Unmarshal(raw, &volumes); err != nil {
		return nil, err
	}
	for _, at := range slices.Sorted(maps.Keys(volumes)) {
		at = path.Join("/", at)
		if mounted(c, at) {
			continue
		}
		at = hint.Excerpt(at, hint.Short)
		if c.ReadOnly {
			notes = append(notes, fmt.Sprintf("its VOLUME %s can't be written to: mount a volume or a tmpfs there", at))
			continue
		}
		notes = append(notes, fmt.Sprintf("its VOLUME %s goes with the container: to keep what is written there, mount a persistent volume", at))
	}
	return notes, nil
}

// mounted reports whether a volume or a tmpfs of the file is at the path, or above it.
func mounted(c spec.Container, at string) bool {
	covers := func(place string) bool {
		place = path.Clean(place)
		return at == place || strings.HasPrefix(at, strings.TrimSuffix(place, "/")+"/")
	}
	return slices.ContainsFunc(c.Mounts, func(m spec.Mount) bool { return covers(m.Path) }) ||
		slices.ContainsFunc(c.Tmpfs, func(t spec.Tmpfs) bool { return covers(t.Path) })
}

// healthNotes has how to ask what the image's HEALTHCHECK asks, if no probe does.
func healthNotes(c spec.Container, raw, shell json.RawMessage) ([]string, error) {
	if c.AsksImage() {
		return nil, nil
	}
	var words []string
	if shell != nil {
		if err := json.Unmarshal(shell, &words); err != nil {
			return nil, err
		}
	}
	check, err := healthcheck(raw, words)
	switch {
	case errors.Is(err, host.ErrNoHealthcheck):
		return nil, nil
	case err != nil:
		return []string{err.Error()}, nil
	case len(c.Probes) > 0:
		return []string{"its HEALTHCHECK is not asked, but the container's own probes"}, nil
	}
	args := hint.Excerpt(strings.Join(check.Args, " "), hint.Long)
	return []string{`its HEALTHCHECK is not asked: to use it, write probe "live" { image = true }. It runs ` + args}, nil
}

// portNotes has one note for all ports that the image exposes.
func portNotes(_ spec.Container, raw json.RawMessage) ([]string, error) {
	var ports map[string]struct{}
	if err := json.Unmarshal(raw, &ports); err != nil {
		return nil, err
	}
	list := strings.Join(slices.Sorted(maps.Keys(ports)), ", ")
	return []string{fmt.Sprintf("its EXPOSE %s opens nothing: the ambassador's publish blocks do", hint.Excerpt(list, hint.Short))}, nil
}

// stopNotes has a note if the image wants more or less time to stop than the container has.
func stopNotes(c spec.Container, raw json.RawMessage) ([]string, error) {
	var seconds int64
	if err := json.Unmarshal(raw, &seconds); err != nil {
		return nil, err
	}
	if wants := time.Duration(seconds) * time.Second; wants != c.Stop.Timeout {
		return []string{fmt.Sprintf("its time to stop is not used: write stop { timeout = %q }", wants)}, nil
	}
	return nil, nil
}
