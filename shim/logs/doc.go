// Package logs reads the output of containers. containerd's shim appends the streams of a
// container, unchanged, to one file in the group's log folder, or to one for each stream, even
// while no daemon runs. This package finds a file's last lines, those of a time, and follows it.
// Package times has when they were written.
//
// Pitfall: another process frees the head of a file that has become large, in place. It then is a
// hole, which reads as zeros. So after each read, the reader asks whether what it has read was
// still there.
package logs
