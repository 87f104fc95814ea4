// Package signed verifies signatures of images with public keys, in the two forms that cosign
// writes: "simple signing" payloads and sigstore bundles. It keeps the proofs on disk, so that each
// is verified again without a registry.
//
// Pitfall: a proof on disk is not trusted because it is there. Before an image is used, its proof
// is verified by [Proof.Verify], with the key that is wanted now.
package signed
