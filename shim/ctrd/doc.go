// Package ctrd runs a group's containers on containerd: it makes images present, and creates,
// watches and removes containers. Only it and the packages below it speak to containerd, from
// version 1.6 on. The word shim means containerd's process for a task here, and nothing else.
//
// One thing bites: between any two calls containerd collects everything that no label and no lease
// holds. Content, snapshots and images are written under a lease. When it ends, an image or a
// container holds them.
package ctrd
