package spec

import "strings"

// shortDigest is the number of hex digits that distinguish two digests well enough for a reader.
const shortDigest = 12

// ShortDigest returns the beginning of a digest for a reader: its first 12 hex digits, behind the
// name of its algorithm if the digest has one, as in "sha256:0123456789ab". A shorter digest stays
// as it is.
func ShortDigest(digest string) string {
	n := strings.IndexByte(digest, ':') + 1 + shortDigest
	return digest[:min(n, len(digest))]
}
