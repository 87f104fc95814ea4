package spec

import "testing"

func TestShortDigest(t *testing.T) {
	for digest, want := range map[string]string{
		"sha256:0123456789abcdef": "sha256:0123456789ab",
		"0123456789abcdef":        "0123456789ab",
		"sha256:0123":             "sha256:0123",
		"0123":                    "0123",
		"":                        "",
	} {
		if got := ShortDigest(digest); got != want {
			t.Errorf("ShortDigest(%q) = %q, want %q", digest, got, want)
		}
	}
}
