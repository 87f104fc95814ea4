package netns

import (
	"fmt"
	"os"
	"strings"
)

// pingGroups is the sysctl with the first and the last group of users who can make ping sockets.
const pingGroups = "ipv4/ping_group_range"

// NoPingGroups is the value of a new namespace: no process can make a ping socket, root neither.
const NoPingGroups = "1 0"

// SetPingGroups sets which groups of users can make ping sockets in a namespace, in whichever
// cgroup they are: "FIRST LAST".
func SetPingGroups(ns *os.File, value string) error {
	return Inside(ns, func() error {
		if err := WriteSysctl(pingGroups, value); err != nil {
			return fmt.Errorf("set net/%s: %w", pingGroups, err)
		}
		return nil
	})
}

// PingGroupsHere returns the value of [SetPingGroups] for the calling thread's namespace.
func PingGroupsHere() (string, error) {
	value, err := ReadSysctl(pingGroups)
	return strings.Join(strings.Fields(value), " "), err
}
