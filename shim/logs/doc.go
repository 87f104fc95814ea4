// Package logs reads what containers print. containerd's shim appends both streams of a container, raw, to one file of the
// group's log folder, whether a daemon runs or not; this package finds the last lines of it and follows it.
//
// What bites: nothing here deletes. The output of a removed group stays, so that its last words can be read, and a group of
// the same name that comes later appends to it.
package logs
