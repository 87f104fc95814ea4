package keeper_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/signed/signedtest"
)

// signedFile is a group file with one app, whose image has to be signed.
func signedFile(name, key string) group.Bundle {
	text := fmt.Sprintf("group \"shop\" {\n egress = \"none\"\n signed_by { key = \"vendor.pub\" }\n app \"web\" { image = %q }\n}\n", webRef)
	return group.Bundle{Name: name, Path: "/home/op/" + name, HCL: []byte(text), Files: map[string][]byte{"/home/op/vendor.pub": []byte(key)}}
}

// An image is accepted by an apply, at a start, after a boot and by a rollback only with
// its signature. An unsigned one changes nothing. A new key replaces no container.
func TestSignedBy(t *testing.T) {
	key, other := signedtest.NewKey(t, "ecdsa").Public, signedtest.NewKey(t, "ecdsa").Public
	withHarness(t, func(t *testing.T, h *harness) {
		apply := func(key string) error {
			err := h.keeper.Apply(context.Background(), []group.Bundle{signedFile("shop.hcl", key)}, nil)
			h.wait(proof)
			return err
		}
		h.host.Unsign("sha256:unsigned")
		h.host.SetImage(webRef, "sha256:unsigned")
		if err := apply(key); err == nil || !strings.Contains(err.Error(), "is not signed") {
			t.Errorf("an unsigned image: %v", err)
		}
		h.host.SetImage(webRef, "sha256:one")
		if err := apply(key); err != nil {
			t.Fatal(err)
		}
		h.expectImage("web", "sha256:one", "applied")
		h.host.SetImage(webRef, "sha256:unsigned")
		if err := apply(key); err == nil {
			t.Error("a tag that means an unsigned image is applied")
		}
		h.expectImage("web", "sha256:one", "refused")

		h.host.SetImage(webRef, "sha256:one")
		h.host.ForgetOperations()
		if err := apply(other); err != nil {
			t.Fatal(err)
		}
		for _, op := range h.host.Operations() {
			if strings.HasPrefix(op, "create ") {
				t.Errorf("another key: %s", op)
			}
		}

		h.host.ForgetProofs() // a new daemon looks for the signature again
		h.end()
		h.host.Reboot()
		h.begin()
		h.wait(time.Minute)
		h.expectImage("web", "sha256:one", "after a boot")
		if err := h.keeper.Rollback(t.Context(), "shop", 0, nil); err != nil {
			t.Error(err)
		}
		h.expectImage("web", "sha256:one", "rolled back")
	})
}
