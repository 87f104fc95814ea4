// Package logs reads the output of containers. containerd's shim appends both streams of a
// container, unchanged, to one file in the group's log folder, even while no daemon runs. This
// package finds the file's last lines and follows it.
//
// Pitfall: nothing here deletes. The output of a removed group stays, so that its last lines can
// be read. A later group of the same name appends to it.
package logs
