package oci

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// described are the fields beside an image's config that are taken into account, or that only
// describe how it came about. The platform is compared with the host's when the image is chosen.
var described = []string{
	"architecture", "variant", "os", "config", "rootfs",
	"created", "author", "history", "comment",
	"container", "container_config", "docker_version", "id", "parent", "parent_id", "checksum", "throwaway", "Size",
}

// platformNotes returns a line for each field beside an image's config that has no effect.
func platformNotes(config []byte) (notes []string, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(config, &fields); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		raw := fields[name]
		switch {
		case slices.Contains(described, name) || strings.HasPrefix(name, "moby.buildkit.") || isZero(raw):
		case name == "os.version" || name == "os.features":
			notes = append(notes, fmt.Sprintf("its %s %s is not compared with this host's", name, hint.Excerpt(string(raw), hint.Short)))
		default:
			notes = append(notes, fmt.Sprintf("its %s has no effect", hint.Excerpt(name, hint.Short)))
		}
	}
	return notes, nil
}

// memoryNotes has a note if the image has a limit of memory and the file has none.
func memoryNotes(c spec.Container, raw json.RawMessage) ([]string, error) {
	bytes, err := positive(raw)
	if err != nil || bytes == 0 || c.Resources.Memory != 0 {
		return nil, err
	}
	return []string{fmt.Sprintf("its limit of memory is not used: write resources { memory = %q }", spec.FormatSize(bytes))}, nil
}

// swapNotes has a note if the image has a limit of memory and swap together, and the file has none
// of swap.
func swapNotes(c spec.Container, raw json.RawMessage) ([]string, error) {
	bytes, err := positive(raw)
	if err != nil || bytes == 0 || c.Resources.Swap != nil {
		return nil, err
	}
	return []string{fmt.Sprintf("its limit of memory and swap together, %s, is not used: write resources { memory = ..., swap = ... }", spec.FormatSize(bytes))}, nil
}

// sharesNotes has a note if the image has shares of the processors and the file has no limit.
func sharesNotes(c spec.Container, raw json.RawMessage) ([]string, error) {
	shares, err := positive(raw)
	if err != nil || shares == 0 || c.Resources.CPU != 0 {
		return nil, err
	}
	return []string{fmt.Sprintf("its %d CpuShares are not used, since no container has shares: write a limit, resources { cpu = 0.5 }", shares)}, nil
}

// sealedNotes has a note if the image wants no network.
func sealedNotes(spec.Container, json.RawMessage) ([]string, error) {
	return []string{`its NetworkDisabled has no effect: egress = "none" seals a group`}, nil
}

// positive returns a number of the configuration. It is zero if none or no limit is meant.
func positive(raw json.RawMessage) (n int64, err error) {
	err = json.Unmarshal(raw, &n)
	return max(n, 0), err
}
