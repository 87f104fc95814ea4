// Package archive finds an image in an image archive, an OCI or a docker one. It imports nothing
// into containerd: it returns where in the file each blob is.
//
// containerd has a reader of archives too (core/images/archive.ImportIndex). This one seeks, so
// that an archive of gigabytes is chosen from at once. It bounds the memory that it needs, lets an
// import that was cut go on, and words its errors for an operator.
package archive
