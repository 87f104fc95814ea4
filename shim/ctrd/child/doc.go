// Package child runs a private containerd, for a machine where none is configured. It starts one,
// starts it again when it dies, and takes over one that outlived its daemon. It doesn't call it.
package child
