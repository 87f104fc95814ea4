package diff

import (
	"regexp"
	"testing"

	"github.com/sallyport/sallyport/spec"
)

// A key is shown by its fingerprint.
func TestSignedBy(t *testing.T) {
	const key = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"
	group := func(signers ...spec.Signer) *spec.Group {
		return &spec.Group{Name: "g", Containers: []spec.Container{{Name: "web", Role: spec.App, SignedBy: signers}}}
	}
	changes := Groups(group(), group(spec.Signer{Key: key, File: "b.pub"}))
	want := regexp.MustCompile(`^key sha256:[0-9a-f]{12}, file "b.pub"$`)
	if len(changes) != 1 || changes[0].Attribute != "signed_by 1" || !want.MatchString(changes[0].Now) {
		t.Errorf("%+v", changes)
	}
}
