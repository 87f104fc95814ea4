package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const inotifyInstances = "/proc/sys/fs/inotify/max_user_instances"

// enoughInstances is how many inotify instances a user should have. The default of 128 is less than
// the honest programs of a few groups want: each container's root counts as the host's.
const enoughInstances = 1024

// checkCounts checks what containers share with the host's own processes, and what the kernel has
// no limit for in each container.
func checkCounts(context.Context) (string, error) { return checkInstances(inotifyInstances) }

func checkInstances(path string) (string, error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return "a kernel without inotify", nil
	}
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	found := fmt.Sprintf("%d inotify instances for root, of the host and of all containers together", n)
	if n < enoughInstances {
		return "", &note{found + ": one group can use them up", "sysctl -w fs.inotify.max_user_instances=8192, and the same in /etc/sysctl.d"}
	}
	return found, nil
}
