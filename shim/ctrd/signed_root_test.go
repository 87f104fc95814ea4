package ctrd

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/signed"
	"github.com/sallyport/sallyport/shim/signed/signedtest"
	"github.com/sallyport/sallyport/spec"
)

// artifact pushes a manifest with layers, and returns its descriptor. tag may be empty.
func artifact(t *testing.T, registry, name, tag, kind string, subject *ocispec.Descriptor, layers map[string]ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: kind, Config: ocispec.DescriptorEmptyJSON, Subject: subject}
	pushBlob(t, registry, name, ocispec.DescriptorEmptyJSON.Digest, []byte("{}"))
	for text, d := range layers {
		d.Digest, d.Size = digest.FromString(text), int64(len(text))
		pushBlob(t, registry, name, d.Digest, []byte(text))
		m.Layers = append(m.Layers, d)
	}
	text := ctrdtest.JSON(t, m)
	d := ocispec.Descriptor{MediaType: m.MediaType, ArtifactType: kind, Digest: digest.FromBytes(text), Size: int64(len(text))}
	if tag == "" {
		tag = d.Digest.String()
	}
	put(t, fmt.Sprintf("http://%s/v2/%s/manifests/%s", registry, name, tag), m.MediaType, text)
	return d
}

// pushSimple pushes a payload and its signature to where those of an image are, as cosign before
// version 3 does.
func pushSimple(t *testing.T, key signedtest.Key, registry, name string, image digest.Digest, payload []byte) {
	t.Helper()
	sig := base64.StdEncoding.EncodeToString(key.Sign(t, payload))
	artifact(t, registry, name, signatureTag(image), "", nil, map[string]ocispec.Descriptor{
		string(payload): {MediaType: simpleLayer, Annotations: map[string]string{simpleSignature: sig}},
	})
}

// pushBundle pushes a bundle about an image, and returns the list of referrers with it.
func pushBundle(t *testing.T, bundle []byte, registry, name string, image ocispec.Descriptor) []byte {
	t.Helper()
	const kind = bundleArtifact + ".v0.3+json"
	d := artifact(t, registry, name, "", kind, &image, map[string]ocispec.Descriptor{string(bundle): {MediaType: kind}})
	d.Annotations = map[string]string{bundlePredicate: cosignPredicate}
	return ctrdtest.JSON(t, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{d}})
}

// referrersAPI serves a registry with the API for referrers, which Debian's doesn't have. lists are
// its answers, by the path of the repository.
func referrersAPI(t *testing.T, registry string, lists map[string][]byte) *httptest.Server {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry})
	proxy.Transport = registryClient.Transport
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, _, ok := strings.Cut(r.URL.Path, "/referrers/"); ok && lists[name] != nil {
			w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
			_, _ = w.Write(lists[name])
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// A digest is accepted once its signature is verified, in both of cosign's forms. The proof is
// kept: without a registry the image is used on, and containers are created of it. A tag that means
// an unsigned image by now is refused, before anything of it is pulled.
func TestRootSignedImages(t *testing.T) {
	key, wrong := signedtest.NewKey(t, "ecdsa"), signedtest.NewKey(t, "ed25519")
	signers := []spec.Signer{{Key: wrong.Public, File: "wrong.pub"}, {Key: key.Public, File: "vendor.pub"}} // any of them
	image, unsigned := busyboxImage(t), busyboxImage(t, withEnv("UNSIGNED=1"))
	id := image.Manifest.Digest
	eachServer(t, func(t *testing.T, c *Client) {
		c.tryWait = time.Millisecond
		dir := t.TempDir()
		backend := runRegistry(t, dir, "", "")
		lists := map[string][]byte{}
		server := referrersAPI(t, backend, lists)
		front := server.Listener.Addr().String()
		for _, name := range []string{"classic", "bundle", "api", "moved", "other", "evil", "plain", "keyless"} {
			push(t, backend, name, "1", image)
		}
		at := func(ctx context.Context, signers ...spec.Signer) context.Context {
			return host.WithSigners(ctx, [][]spec.Signer{signers})
		}
		pushSimple(t, key, backend, "classic", id, signedtest.Payload(front+"/classic", id.String()))
		pushSimple(t, key, backend, "moved", id, signedtest.Payload(front+"/classic", id.String()))
		pushSimple(t, key, backend, "other", id, signedtest.Payload(backend+"/other", unsigned.Manifest.Digest.String()))
		statement := signedtest.Statement(signedtest.Signed, id.Encoded())
		list := pushBundle(t, key.Bundle(t, statement), backend, "bundle", image.Manifest)
		put(t, fmt.Sprintf("http://%s/v2/bundle/manifests/sha256-%s", backend, id.Encoded()), ocispec.MediaTypeImageIndex, list)
		lists["/v2/api"] = pushBundle(t, key.Bundle(t, statement), backend, "api", image.Manifest)
		evil := pushBundle(t, wrong.Bundle(t, statement), backend, "evil", image.Manifest)
		put(t, fmt.Sprintf("http://%s/v2/evil/manifests/sha256-%s", backend, id.Encoded()), ocispec.MediaTypeImageIndex, evil)

		refused := func(ctx context.Context, ref, want, advice string) {
			t.Helper()
			_, err := c.Image(ctx, ref)
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(hint.Of(err), advice) {
				t.Errorf("%s: %v; hint %q; want %q, %q", ref, err, hint.Of(err), want, advice)
			}
			if here, err := c.Resolve(ctx, ref); err != nil || here != "" {
				t.Errorf("%s is refused, and is on the host: %q, %v", ref, here, err)
			}
			if all, err := c.proofs.All(); err != nil || len(all) != 0 {
				t.Errorf("%s is refused, and has proofs: %v, %v", ref, all, err)
			}
		}
		only := spec.Signer{Key: key.Public, File: "vendor.pub"}
		refused(at(t.Context(), only), backend+"/plain:1", "it has no signature in its registry", "cosign sign --key cosign.key "+backend+"/plain@"+id.String())
		refused(at(t.Context(), only), backend+"/evil:1", "is not signed with the key vendor.pub (sha256:", "name the key that signed it")
		refused(at(t.Context(), only), backend+"/other:1", "of its one signature", "cosign sign")
		refused(at(t.Context(), only), backend+"/moved:1", "made for the repository "+front+"/classic", `identity = "`+front+`/classic"`)
		refused(at(t.Context(), spec.Signer{Key: wrong.Public, File: "wrong.pub"}), front+"/classic:1", "its one signature: it is of another key", "")
		refused(host.WithPull(at(t.Context(), only), spec.PullNever), front+"/classic:1", "it is not on this host", "sallyport pull")

		payload := string(signedtest.Payload(backend+"/keyless", id.String()))
		artifact(t, backend, "keyless", signatureTag(id), "", nil, map[string]ocispec.Descriptor{
			payload: {MediaType: simpleLayer, Annotations: map[string]string{simpleSignature: "eA==", simpleKeyless: "-----BEGIN CERTIFICATE-----"}},
		})
		refused(at(t.Context(), only), backend+"/keyless:1", "of its one signature: it is signed without a key", "cosign sign")

		// The host demands it of files that say nothing, and of their signers too.
		demands := signed.Demands{{Prefix: backend, Signers: []spec.Signer{only}}, {Prefix: backend + "/evil"}}
		c.SetDemands(demands)
		refused(t.Context(), backend+"/plain:1", fmt.Sprintf("which signed_by %q of the daemon's configuration demands: it has no signature", backend), "cosign sign")
		refused(at(t.Context(), spec.Signer{Key: wrong.Public, File: "wrong.pub"}), backend+"/bundle:1", "is not signed with the key wrong.pub", "")
		for _, ref := range []string{backend + "/bundle:1", backend + "/evil:1"} { // the second needs none
			if _, err := c.Image(t.Context(), ref); err != nil {
				t.Errorf("%s, as the host demands: %v", ref, err)
			}
		}
		app := spec.Container{Name: "app", Image: backend + "/bundle:1"}
		if p := c.ProofOf(app, id.String()); len(p.SignedBy) != 1 || !strings.HasPrefix(p.SignedBy[0], "vendor.pub (sha256:") || p.Missing != "" {
			t.Errorf("proof of an image that the host demands: %+v", p)
		}
		if all, err := c.Images(t.Context()); err != nil || len(all.All) != 1 || len(all.All[0].SignedBy) != 1 {
			t.Errorf("images: %+v, %v", all.All, err)
		}
		request := host.CreateRequest{Container: app, Image: host.Image{Ref: app.Image, Digest: id.String()}}
		if err := c.checkSigned(request); err != nil {
			t.Errorf("with a proof: %v", err)
		}
		if err := c.proofs.Remove(id); err != nil {
			t.Fatal(err)
		}
		if p := c.ProofOf(app, id.String()); len(p.SignedBy) != 0 || !strings.Contains(p.Missing, "of the daemon's configuration demands") {
			t.Errorf("without the proof: %+v", p)
		}
		if err := c.checkSigned(request); err == nil || !strings.Contains(err.Error(), "this host has no proof that it is signed with the key vendor.pub") {
			t.Errorf("without the proof: %v", err)
		}
		c.SetDemands(nil)
		if err := c.checkSigned(request); err != nil || c.ProofOf(app, id.String()).Missing != "" {
			t.Errorf("without a demand: %v", err)
		}

		moved := only
		moved.Identity = front + "/classic"
		for ref, by := range map[string][]spec.Signer{
			front + "/classic:1": signers, backend + "/bundle:1": signers, front + "/api:1": signers, backend + "/moved:1": {moved},
		} {
			if err := c.proofs.Remove(id); err != nil {
				t.Fatal(err)
			}
			img, err := c.Image(at(t.Context(), by...), ref)
			if err != nil {
				t.Fatalf("%s: %v", ref, err)
			}
			checkUsable(t, c, img)
			if proofs, err := c.proofs.Of(id); err != nil || len(proofs) != 1 {
				t.Errorf("%s: proofs %+v, %v", ref, proofs, err)
			}
		}

		// The tag moves to an image without a signature.
		if err := c.proofs.Remove(id); err != nil {
			t.Fatal(err)
		}
		app = script("app", spec.App, "echo signed")
		app.Image, app.SignedBy = front+"/classic:1", signers
		r := &harness{TB: t, c: c, group: &spec.Group{Name: "g", Containers: []spec.Container{app}}}
		pinNetns(t, c.cfg.Layout.NetnsPath("g"))
		var err error
		if r.image, err = c.Image(at(t.Context(), signers...), app.Image); err != nil {
			t.Fatal(err)
		}
		r.run()
		push(t, backend, "classic", "1", unsigned)
		_, err = c.Image(host.WithPull(at(t.Context(), signers...), spec.PullAlways), app.Image)
		if err == nil || !strings.Contains(err.Error(), "it has no signature in its registry") {
			t.Errorf("an unsigned image: %v", err)
		}
		if now, err := c.Resolve(t.Context(), app.Image); err != nil || now != id.String() {
			t.Errorf("the tag means %s on the host, %v", now, err)
		}
		if out, _ := r.ended("app"); out != "signed\n" {
			t.Errorf("the running container printed %q", out)
		}

		// The registry is gone. What is proved is used on, and nothing else.
		server.Close()
		c.forget()
		if again, err := c.Image(at(t.Context(), signers...), app.Image); err != nil || again != r.image {
			t.Errorf("without its registry: %+v, %v", again, err)
		}
		if again, err := c.Restore(at(t.Context(), signers...), app.Image, id.String()); err != nil || again.Digest != id.String() {
			t.Errorf("restored: %+v, %v", again, err)
		}
		if _, err := c.Image(at(t.Context(), spec.Signer{Key: wrong.Public, File: "wrong.pub"}), app.Image); err == nil || !strings.Contains(err.Error(), "its signatures can't be read") || hint.Of(err) == "" {
			t.Errorf("another key, without the registry: %v", err)
		}
		request = r.request("app")
		if err := c.Create(t.Context(), request); err != nil {
			t.Errorf("created again: %v", err)
		}
		for name, spoil := range map[string]func(*host.CreateRequest){
			"another key": func(r *host.CreateRequest) {
				r.Container.SignedBy = []spec.Signer{{Key: signedtest.NewKey(t, "rsa").Public, File: "new.pub"}}
			},
			"another digest": func(r *host.CreateRequest) { r.Image.Digest = unsigned.Manifest.Digest.String() },
			"no proof":       func(*host.CreateRequest) { _ = c.proofs.Remove(id) },
			"a damaged proof": func(*host.CreateRequest) {
				writeFile(t, filepath.Join(c.cfg.Layout.ProofsDir(), "sha256-"+id.Encoded()+".json"), []byte("[{"))
			},
		} {
			request := request
			spoil(&request)
			if err := c.Create(t.Context(), request); err == nil || !strings.Contains(err.Error(), "this host has no proof that it is signed with the key") || hint.Of(err) == "" {
				t.Errorf("%s: %v", name, err)
			}
		}
		_ = os.Remove(filepath.Join(c.cfg.Layout.ProofsDir(), "sha256-"+id.Encoded()+".json"))

		// An image in a file has its signature beside it.
		archive := "oci-archive:" + busyboxArchive(t)
		if _, err := c.Image(at(t.Context(), only), archive); err == nil || !strings.Contains(err.Error(), "is not signed with the key vendor.pub") {
			t.Errorf("an archive: %v", err)
		}
		sum, err := c.Resolve(t.Context(), archive)
		if err != nil {
			t.Fatal(err)
		}
		only.Bundle, only.BundleFile = key.Bundle(t, signedtest.Statement(signedtest.Signed, digest.Digest(sum).Encoded())), "app.sigstore.json"
		if _, err := c.Image(at(t.Context(), only), archive); err != nil {
			t.Error(err)
		}
		if removed, err := c.RemoveImage(t.Context(), sum, nil, func() bool { return false }); err != nil || !removed {
			t.Errorf("removed: %v, %v", removed, err)
		}
		if proofs, err := c.proofs.Of(digest.Digest(sum)); err != nil || len(proofs) != 0 {
			t.Errorf("proofs of a removed image: %v, %v", proofs, err)
		}
	})
}
