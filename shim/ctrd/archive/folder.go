package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hostfile"
)

// openFolder opens an OCI layout that is a folder. Its files are opened when they are wanted.
func (a *Archive) openFolder(ctx context.Context) error {
	a.ended = true
	fi, err := hostfile.Stat(ctx, a.Path)
	if err != nil {
		return Unreadable(a.Path, err)
	}
	if !fi.IsDir() {
		return &hint.Error{Err: fmt.Errorf("%s is no folder", a.Path), Hint: fmt.Sprintf("write %q", OCIPrefix+a.place())}
	}
	index := filepath.Join(a.Path, ocispec.ImageIndexFile)
	if fi, err = hostfile.Stat(ctx, index); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Unreadable(index, err)
	}
	if err == nil {
		a.Stamp = Stamp(fi)
	}
	return nil
}

// inFolder opens a file of a layout that is a folder, until the archive is closed. It returns nil
// if there is none.
func (a *Archive) inFolder(ctx context.Context, name string) (*io.SectionReader, error) {
	if !filepath.IsLocal(name) {
		return nil, nil
	}
	path := filepath.Join(a.Path, name)
	f, err := hostfile.Open(ctx, "", path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, Unreadable(path, err)
	}
	a.close = append(a.close, f.Close)
	p := io.NewSectionReader(f, 0, f.Info().Size())
	a.parts[name] = p
	return p, nil
}
