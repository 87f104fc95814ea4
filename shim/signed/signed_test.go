package signed_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/signed"
	"github.com/sallyport/sallyport/shim/signed/signedtest"
	"github.com/sallyport/sallyport/spec"
)

const repository = "registry.example/vendor/app"

var (
	manifest = []byte(`{"schemaVersion":2}`)
	image    = signed.Image{Digest: digest.FromBytes(manifest), Repository: repository}
	other    = digest.FromString("another image")
)

func simple(t *testing.T, key signedtest.Key, payload []byte) signed.Proof {
	t.Helper()
	return signed.Proof{Form: signed.Simple, Payload: payload, Signature: key.Sign(t, payload)}
}

func bundle(text []byte) signed.Proof { return signed.Proof{Form: signed.Bundle, Bundle: text} }

// Each kind of key verifies what it has signed, in each form. Another key, another image and
// changed bytes are refused.
func TestVerify(t *testing.T) {
	for _, kind := range signedtest.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			key, wrong := signedtest.NewKey(t, kind), signedtest.NewKey(t, kind)
			proofs := map[string]signed.Proof{
				"simple":    simple(t, key, signedtest.Payload(repository, image.Digest.String())),
				"statement": bundle(key.Bundle(t, signedtest.Statement(signedtest.Signed, image.Digest.Encoded()))),
			}
			if kind != "ed25519" {
				proofs["blob"] = bundle(key.BlobBundle(t, manifest))
			}
			for name, p := range proofs {
				if err := p.Verify(spec.Signer{Key: key.Public}, image); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if err := p.Verify(spec.Signer{Key: wrong.Public}, image); err == nil || err.Error() != "it is of another key, or was changed" {
					t.Errorf("%s, another key: %v", name, err)
				}
				err := p.Verify(spec.Signer{Key: key.Public}, signed.Image{Digest: other, Repository: repository})
				if err == nil {
					t.Errorf("%s verifies for another image", name)
				}
			}
			changed := proofs["simple"]
			changed.Payload = bytes.Replace(changed.Payload, []byte("optional"), []byte("0ptional"), 1)
			if changed.Verify(spec.Signer{Key: key.Public}, image) == nil {
				t.Error("a changed payload verifies")
			}
		})
	}
}

func TestRefused(t *testing.T) {
	key := signedtest.NewKey(t, "ecdsa")
	id := image.Digest.String()
	good := string(signedtest.Payload(repository, id))
	statement := string(signedtest.Statement(signedtest.Signed, image.Digest.Encoded()))
	for name, c := range map[string]struct {
		proof signed.Proof
		want  string
	}{
		"another image":          {simple(t, key, signedtest.Payload(repository, other.String())), "it is for " + other.String()},
		"another repository":     {simple(t, key, signedtest.Payload("registry.example/vendor/old", id)), "it was made for the repository registry.example/vendor/old, and not for registry.example/vendor/app"},
		"another registry":       {simple(t, key, signedtest.Payload("evil.example/vendor/app", id)), "it was made for the repository evil.example/vendor/app"},
		"no repository":          {simple(t, key, signedtest.Payload("", id)), `it names the repository "", which is none`},
		"truncated":              {simple(t, key, []byte(good[:len(good)-20])), "its payload can't be read"},
		"garbage":                {simple(t, key, []byte("\x00\xff{")), "its payload can't be read"},
		"empty":                  {simple(t, key, nil), "its payload can't be read"},
		"two payloads":           {simple(t, key, []byte(good+good)), "something follows the JSON"},
		"a name twice":           {simple(t, key, []byte(strings.Replace(good, `"type"`, `"Image":{},"type"`, 1))), "twice"},
		"another type":           {simple(t, key, []byte(strings.Replace(good, "cosign container", "another", 1))), `its payload is for "another image signature"`},
		"no digest":              {simple(t, key, []byte(strings.Replace(good, id, "sha256:12", 1))), `no digest of an image, but "sha256:12"`},
		"large":                  {simple(t, key, []byte(good+strings.Repeat(" ", 70<<10))), "65536 are the most"},
		"deep":                   {simple(t, key, []byte(`{"optional":`+strings.Repeat("[", 500))), "nested too deeply"},
		"no signature":           {signed.Proof{Form: signed.Simple, Payload: []byte(good)}, "it is of another key"},
		"another form":           {signed.Proof{Form: "notary"}, `it has the form "notary"`},
		"bundle, another image":  {bundle(key.Bundle(t, signedtest.Statement(signedtest.Signed, other.Encoded()))), "it is for " + other.String()},
		"bundle, an attestation": {bundle(key.Bundle(t, signedtest.Statement("https://cyclonedx.org/bom", image.Digest.Encoded()))), "it is a statement about the image"},
		"bundle, no subject":     {bundle(key.Bundle(t, []byte(`{"predicateType":"https://sigstore.dev/cosign/sign/v1"}`))), "its statement is about no image"},
		"bundle, a name twice":   {bundle(key.Bundle(t, []byte(strings.Replace(statement, `"_type"`, `"Subject":[],"_type"`, 1)))), "twice"},
		"bundle, garbage":        {bundle([]byte("{]")), "its bundle can't be read"},
		"bundle, empty":          {bundle([]byte("{}")), "it is no sigstore bundle"},
		"bundle, no signature":   {bundle([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`)), "its bundle has no signature"},
		"bundle, keyless":        {bundle(bytes.Replace(key.Bundle(t, []byte(statement)), []byte(`"publicKey":{"hint":"eA=="}`), []byte(`"certificate":{"rawBytes":"eA=="}`), 1)), "it is signed without a key (keyless"},
		"keyless":                {signed.Proof{Form: signed.Simple, Payload: []byte(good), Signature: []byte("x"), Keyless: true}, "it is signed without a key (keyless"},
		"bundle, another type":   {bundle(bytes.Replace(key.Bundle(t, []byte(statement)), []byte("in-toto+json"), []byte("other"), 1)), "it is of another key"},
		"bundle, large":          {bundle(bytes.Repeat([]byte(" "), 2<<20)), "1048576 are the most"},
		"blob, another":          {bundle(key.BlobBundle(t, []byte("another"))), "it is for " + digest.FromString("another").String()},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.proof.Verify(spec.Signer{Key: key.Public}, image); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	if err := simple(t, key, []byte(good)).Verify(spec.Signer{Key: "x"}, image); err == nil {
		t.Error("verifies without a key")
	}
}

// A signature that was copied from another repository verifies where the file names that one.
func TestIdentity(t *testing.T) {
	key := signedtest.NewKey(t, "ecdsa")
	hub := signed.Image{Digest: image.Digest, Repository: "docker.io/library/nginx"}
	for signedFor, wanted := range map[string]string{"index.docker.io/library/nginx": "", "nginx": "", "docker.io/library/nginx:1.27": "", "old.example/nginx": "old.example/nginx"} {
		p := simple(t, key, signedtest.Payload(signedFor, image.Digest.String()))
		if err := p.Verify(spec.Signer{Key: key.Public, Identity: wanted}, hub); err != nil {
			t.Errorf("%s: %v", signedFor, err)
		}
		if err := p.Verify(spec.Signer{Key: key.Public, Identity: "third.example/nginx"}, hub); err == nil {
			t.Errorf("%s verifies as another", signedFor)
		}
	}
}

func TestProofs(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "proofs")
	proofs := signed.NewProofs(folder)
	first, second := signed.Proof{Form: signed.Bundle, Bundle: []byte("1"), Key: "a"}, signed.Proof{Form: signed.Simple, Payload: []byte("2"), Key: "b"}
	of := func() []signed.Proof {
		t.Helper()
		all, err := signed.NewProofs(folder).Of(image.Digest) // as another daemon reads it
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if all := of(); len(all) != 0 {
		t.Fatalf("%v before any", all)
	}
	for _, p := range []signed.Proof{first, second, first} {
		if err := proofs.Add(image.Digest, p); err != nil {
			t.Fatal(err)
		}
	}
	if all := of(); len(all) != 2 || all[0].Key != "b" || all[1].Key != "a" {
		t.Errorf("%+v", all)
	}
	for i := range 40 {
		if err := proofs.Add(image.Digest, signed.Proof{Key: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if all := of(); len(all) != 32 || all[31].Key != "39" {
		t.Errorf("%d proofs", len(all))
	}
	file := filepath.Join(folder, "sha256-"+image.Digest.Encoded()+".json")
	if err := os.WriteFile(file, []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := proofs.Of(image.Digest); err == nil {
		t.Error("a damaged file has proofs")
	}
	if err := proofs.Add(image.Digest, first); err != nil {
		t.Fatal(err)
	}
	if all := of(); len(all) != 1 {
		t.Errorf("after damage: %+v", all)
	}
	if all, err := proofs.All(); err != nil || !slices.Equal(all, []digest.Digest{image.Digest}) {
		t.Errorf("all: %v, %v", all, err)
	}
	for range 2 {
		if err := proofs.Remove(image.Digest); err != nil {
			t.Fatal(err)
		}
	}
	if all := of(); len(all) != 0 {
		t.Errorf("%v after the removal", all)
	}
	if err := (*signed.Proofs)(nil).Add(image.Digest, first); err == nil {
		t.Error("kept nowhere")
	}
	if err := proofs.Add("sha256:../../etc/passwd", first); err == nil {
		t.Error("kept for what is no digest")
	}
}

// What is not wholly written is not there, and what was there before stays.
func TestProofsOnFullDisk(t *testing.T) {
	folder := t.TempDir()
	proofs := signed.NewProofs(filepath.Join(folder, "file", "proofs"))
	if err := os.WriteFile(filepath.Join(folder, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := proofs.Add(image.Digest, signed.Proof{}); err == nil {
		t.Error("kept in a folder that can't be made")
	}
	if _, err := proofs.Of(image.Digest); err == nil || disk.ErrDamaged == nil {
		t.Error("a folder that can't be read has no proofs")
	}
}

// Signatures that cosign has made verify: testdata/cosign/README.md has how.
func TestCosign(t *testing.T) {
	read := func(name string) []byte {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("testdata", "cosign", name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	real := signed.Image{Digest: digest.FromBytes(read("manifest.json")), Repository: "127.0.0.1:5391/vendor/app"}
	for _, kind := range []string{"ecdsa", "p384", "rsa", "ed"} {
		sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(read(kind + ".sig"))))
		if err != nil {
			t.Fatal(err)
		}
		proofs := map[string]signed.Proof{
			"simple": {Form: signed.Simple, Payload: read(kind + ".payload"), Signature: sig},
			"bundle": bundle(read(kind + ".sigstore.json")),
		}
		if kind == "ecdsa" {
			proofs["blob"] = bundle(read("ecdsa.blob.sigstore.json"))
		}
		for form, p := range proofs {
			if err := p.Verify(spec.Signer{Key: string(read(kind + ".pub"))}, real); err != nil {
				t.Errorf("%s, %s: %v", kind, form, err)
			}
			if p.Verify(spec.Signer{Key: string(read(kind + ".pub"))}, signed.Image{Digest: other, Repository: real.Repository}) == nil {
				t.Errorf("%s, %s verifies for another image", kind, form)
			}
		}
	}
	err := bundle(read("ecdsa.attestation.sigstore.json")).Verify(spec.Signer{Key: string(read("ecdsa.pub"))}, real)
	if err == nil || !strings.Contains(err.Error(), "no signature of it") {
		t.Errorf("an attestation: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	key := signedtest.NewKey(f, "ecdsa")
	payload := signedtest.Payload(repository, image.Digest.String())
	statement := signedtest.Statement(signedtest.Signed, image.Digest.Encoded())
	f.Add(payload, true)
	f.Add([]byte(`{"critical":{"Critical":null}}`), true)
	f.Add([]byte(`[[[[`), true)
	f.Add(statement, false)
	f.Add(key.Bundle(f, statement), false)
	f.Add(key.BlobBundle(f, manifest), false)
	wanted := sha256.Sum256(payload)
	f.Fuzz(func(t *testing.T, text []byte, isSimple bool) {
		signer := spec.Signer{Key: key.Public}
		if !isSimple { // nothing verifies that the key has not signed
			if err := bundle(text).Verify(signer, signed.Image{Digest: other}); err == nil {
				t.Errorf("%q is a bundle for another image", text)
			}
			return
		}
		// What is signed is accepted only for the digest and the repository that it has.
		p := simple(t, key, text)
		if err := p.Verify(signer, image); err == nil && sha256.Sum256(text) != wanted && !strings.Contains(string(text), image.Digest.Encoded()) {
			t.Errorf("%q is accepted", text)
		}
		if err := p.Verify(signer, signed.Image{Digest: other, Repository: repository}); err == nil && !strings.Contains(string(text), other.Encoded()) {
			t.Errorf("%q is accepted for another image", text)
		}
	})
}
