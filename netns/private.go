package netns

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// InPrivate runs do on a thread in a new network namespace that nothing pins: it lives as long as
// the sockets that do opens in it.
func InPrivate(do func() error) error {
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		return nil
	}, do)
}
