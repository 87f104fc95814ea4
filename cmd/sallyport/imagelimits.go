package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/sallyport/sallyport/shim/config"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/shim/prune"
	"github.com/sallyport/sallyport/shim/signed"
	"github.com/sallyport/sallyport/spec"
)

// imageFlags are the daemon's limits of images.
type imageFlags struct {
	ImagesUnused string `default:"never" placeholder:"TIME" env:"SALLYPORT_IMAGES_UNUSED" help:"How long an image stays that no group uses, or never: none is removed because of its age (default never)."`
	ImagesTotal  string `default:"unlimited" placeholder:"SIZE" env:"SALLYPORT_IMAGES_TOTAL" help:"How much all images may take before unused ones are removed (default unlimited)."`
	SignedBy     string `placeholder:"IMAGES=KEY" env:"SALLYPORT_SIGNED_BY" help:"Files of the keys that images have to be signed with, by the beginning of their names, such as registry.example=/root/team.pub (default none)."`
}

// images returns the limits of images. They are sound: [instance.settings] has checked them.
func (s settings) images() (l prune.Limits) {
	l.Unused, _ = config.ImagesUnused(s.flags.ImagesUnused)
	total, _ := config.ImagesTotal(s.flags.ImagesTotal)
	l.Total = uint64(total)
	return l
}

// demands returns which images have to be signed, and with which keys. A key that can't be read, or
// that others than root could replace, is an error.
func (s settings) demands(ctx context.Context, look func(path string) (inode, error)) (all signed.Demands, err error) {
	blocks, _ := config.SignedBy(s.flags.SignedBy) // sound: [instance.settings] has checked them
	at := map[string]int{}
	for _, b := range blocks {
		prefix := signed.Plain(b.Prefix)
		i, known := at[prefix]
		if !known {
			i = len(all)
			at[prefix] = i
			all = append(all, signed.Demand{Prefix: prefix})
		}
		if b.Key == "" {
			continue
		}
		key, err := readKey(ctx, b.Key, look)
		if err != nil {
			return nil, &hint.Error{Err: fmt.Errorf("%s: signed_by %q: %w", s.source("signed_by"), b.Prefix, err), Hint: hintOf(err)}
		}
		all[i].Signers = append(all[i].Signers, spec.Signer{Key: string(key), File: b.Key})
	}
	return all, nil
}

// maxKeyFile limits the file of a public key, in bytes.
const maxKeyFile = 64 << 10

func readKey(ctx context.Context, path string, look func(path string) (inode, error)) ([]byte, error) {
	if err := checkOwned("key", path, look); err != nil {
		return nil, err
	}
	key, err := hostfile.Read(ctx, filepath.Dir(path), path, maxKeyFile)
	if err != nil {
		return nil, &hint.Error{Err: err, Hint: "put the public key there, which cosign public-key --key FILE writes"}
	}
	if _, err := spec.ParsePublicKey(key); err != nil {
		return nil, &hint.Error{Err: fmt.Errorf("%s is no public key that signatures can be verified with: %w", path, err), Hint: "put the public key there, which cosign public-key --key FILE writes"}
	}
	return key, nil
}
