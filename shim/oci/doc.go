// Package oci builds the OCI spec of a container: what its program is, and what it may do. It is
// pure. The caller looks up the image's configuration, the user's number and the host's abilities,
// and hands them in.
package oci
