package oci

import (
	"fmt"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// dockerFilter returns Docker's default filter for a set of capabilities. A call that no rule names
// fails with EPERM. The profile asks which kernel runs, but only for calls that package promise
// takes out of every filter.
func dockerFilter(bounding []string) (*specs.LinuxSeccomp, error) {
	filter, err := seccomp.GetDefaultProfile(&specs.Spec{
		Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: bounding}},
	})
	if err != nil {
		return nil, fmt.Errorf("seccomp profile: %w", err)
	}
	return filter, nil
}
