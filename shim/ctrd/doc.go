// Package ctrd runs a group's containers on containerd: it makes images present, and creates,
// watches and removes containers. It is the only package that speaks to containerd, and works with servers from 1.6 on.
//
// What bites: containerd collects whatever no label and no lease holds, between any two calls. Content, snapshots and
// images are written under a lease, and are held by an image or a container when it ends.
package ctrd
