// Package bound keeps the output of all containers within its limits. containerd's shim appends a
// container's output to a file, and nothing is between the two. This package frees the head of that
// file in its place (fallocate(2), FALLOC_FL_PUNCH_HOLE), so the shim goes on writing at the same
// offsets. It also marks times in the index of each file, and deletes output that was removed.
//
// One process does this for all groups, and runs on while the daemon is down. It keeps no state of
// its own, so it may be killed at any point: the next one looks at the files and goes on.
//
// Pitfall: a look that comes late is a limit that is exceeded. So what may wait for a disk, which
// is the index and the deleting, is done in a goroutine of its own.
package bound
