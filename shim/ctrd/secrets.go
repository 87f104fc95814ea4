package ctrd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/shim/linux/secrets"
	"github.com/sallyport/sallyport/spec"
)

// fileOwners has the user and the group of files that do not belong to root, by path.
type fileOwners map[string][2]uint32

// An owned has what a container is given of its group's secrets, with the owners.
type owned struct {
	secrets.Given
	files fileOwners
	uses  map[string][2]uint32 // by secret
}

// own returns what a container is given, with the owners. The container's own user owns what has
// secrets in it, unless the group file names another one.
func (c *Client) own(ctx context.Context, image *imageFacts, group string, container *spec.Container) (o owned, err error) {
	o = owned{files: fileOwners{}, uses: map[string][2]uint32{}}
	if o.Given, err = secrets.Look(c.cfg.Layout, group, container); err != nil {
		return o, err
	}
	owner := func(name string) ([2]uint32, error) {
		u, err := c.user(ctx, image, cmp.Or(name, container.User), nil)
		return [2]uint32{u.UID, u.GID}, err
	}
	for _, u := range container.Secrets {
		if o.uses[u.Name], err = owner(u.Owner); err != nil {
			return o, fmt.Errorf("owner of secret %s: %w", u.Name, err)
		}
	}
	for _, f := range container.Files {
		if f.Owner == "" && len(f.Secrets) == 0 {
			continue
		}
		if o.files[f.Path], err = owner(f.Owner); err != nil {
			return o, fmt.Errorf("owner of file %s: %w", f.Path, err)
		}
	}
	return o, nil
}

var errNoValue = errors.New("a value is missing")

// render returns the files with the values of their secrets.
func render(files []spec.File, values map[string][]byte) ([]spec.File, error) {
	files = slices.Clone(files)
	for i := range files {
		content, ok := files[i].Render(values)
		if !ok {
			return nil, fmt.Errorf("file %s: %w", files[i].Path, errNoValue)
		}
		files[i].Content = content
	}
	return files, nil
}

// writeFiles writes the files of a container, with the values of their secrets.
func (o owned) writeFiles(dir string, files []spec.File) error {
	files, err := render(files, o.Values)
	if err != nil {
		return err
	}
	return writeFiles(dir, o.Files, files, o.files)
}

// withSecrets returns the files that have secrets in them, or the others.
func withSecrets(files []spec.File, has bool) []spec.File {
	return slices.DeleteFunc(slices.Clone(files), func(f spec.File) bool { return len(f.Secrets) > 0 != has })
}
