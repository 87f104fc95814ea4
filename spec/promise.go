package spec

import "slices"

// TakenAway returns why no container of a group has what other systems call by this name, such as
// "host_network", "devices" or "privileged". It returns "" for a name that nothing forbids.
func TakenAway(name string) string {
	name = canonical(name)
	for _, t := range takenAway {
		if slices.Contains(t.names, name) {
			return t.why
		}
	}
	return ""
}

// WayOut returns why a path of the host can't be mounted into any container of a group. It returns
// "" for a path that holds no way out, and for a relative one.
func WayOut(host string) string { return wayOut(host) }

// GrantableCapabilities returns every capability that a container can be given, without CAP_. None
// of them leads around the group's rules.
func GrantableCapabilities() []string { return slices.Clone(grantable) }

// UnsafeCapabilities returns the capabilities that lead around the group's rules and that an
// operator may give to the ambassador knowingly, without CAP_.
func UnsafeCapabilities() []string { return slices.Clone(unsafeCapabilities) }
