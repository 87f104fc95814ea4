// Package registry reaches registries of images the way the files of the host ask for: with the
// logins that are stored here and in Docker's configuration, by the mirrors and with the
// certificates of containerd's certs.d.
//
// Pitfall: a password is in memory, in the file of logins and on its way to a registry, and nowhere
// else. Errors have the name of the user and of the file.
package registry
