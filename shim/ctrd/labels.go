package ctrd

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// The labels of our containers. A new daemon knows nothing else of a container.
const (
	labelGroup       = "sallyport.dev/group"
	labelRole        = "sallyport.dev/role"
	labelName        = "sallyport.dev/name"
	labelDigest      = "sallyport.dev/digest"
	labelImageDigest = "sallyport.dev/image-digest"
	labelGeneration  = "sallyport.dev/generation"
	labelStopSignal  = "sallyport.dev/stop-signal" // the image's; absent if it names none
	labelLoaded      = "sallyport.dev/loaded"      // by [spec.Container.Loaded]; absent if it is empty
	labelReloaded    = "sallyport.dev/reloaded"    // when it was last sent a signal for that; absent if never
	labelLowered     = "sallyport.dev/lowered"     // lines of [oci.Lowered]; absent if there are none
	labelDevices     = "sallyport.dev/devices"     // lines of [oci.DeviceLines]; absent if there are none
)

// hostShim is the value of [oci.ShimGroupAnnotation] if all groups share a shim. Because of the
// underscore it is no group's name.
const hostShim = "sallyport_host"

func createLabels(req host.CreateRequest, stopSignal string, lowered, devices []string) map[string]string {
	labels := map[string]string{
		labelGroup:       req.Group.Name,
		labelRole:        string(req.Container.Role),
		labelName:        req.Container.Name,
		labelDigest:      req.Container.Digest,
		labelImageDigest: req.Image.Digest,
		labelGeneration:  strconv.Itoa(req.Generation),
	}
	if loaded := req.Container.Loaded(); loaded != "" {
		labels[labelLoaded] = loaded
	}
	if stopSignal != "" {
		labels[labelStopSignal] = stopSignal
	}
	if len(lowered) > 0 {
		labels[labelLowered] = strings.Join(lowered, "\n")
	}
	if len(devices) > 0 {
		labels[labelDevices] = boundLines(devices)
	}
	return labels
}

// fromLabels returns what labels hold of a container. A generation that can't be read is 0, which
// no group has, and a time that can't be read is zero.
func fromLabels(labels map[string]string) host.ContainerState {
	generation, _ := strconv.Atoi(labels[labelGeneration])
	reloaded, _ := time.Parse(time.RFC3339Nano, labels[labelReloaded])
	return host.ContainerState{
		Group:       labels[labelGroup],
		Name:        labels[labelName],
		Role:        spec.Role(labels[labelRole]),
		Digest:      labels[labelDigest],
		ImageDigest: labels[labelImageDigest],
		Generation:  generation,
		Loaded:      labels[labelLoaded],
		ReloadedAt:  reloaded,
		Lowered:     labels[labelLowered],
		Devices:     labels[labelDevices],
	}
}

// groupOf returns the group in a container's id. Group names have no dot.
func groupOf(id string) string {
	group, _, _ := strings.Cut(id, ".")
	return group
}

// maxLabelLines bounds the lines of a label. containerd takes 4096 bytes of a label and its name.
const maxLabelLines = 3500

// boundLines joins as many lines as a label holds.
func boundLines(lines []string) string {
	all := ""
	for i, line := range lines {
		if len(all)+len(line) > maxLabelLines {
			return all + fmt.Sprintf("and %d more", len(lines)-i)
		}
		all += line + "\n"
	}
	return strings.TrimSuffix(all, "\n")
}
