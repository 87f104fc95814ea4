package netns

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Listeners returns the addresses at which TCP sockets listen in the namespace pinned at path, in
// any order.
func Listeners(path string) ([]netip.AddrPort, error) {
	ns, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	var all []netip.AddrPort
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		found, err := diagnose(ns, unix.NLM_F_DUMP, diagRequest{family: family, states: 1 << tcpListen})
		if err != nil {
			return nil, fmt.Errorf("list who listens: %w", err)
		}
		for _, s := range found {
			all = append(all, s.local)
		}
	}
	return all, nil
}
