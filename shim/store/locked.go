package store

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/shim/lockfile"
	"github.com/sallyport/sallyport/spec"
)

// lockedInFolder returns the digests of the lock file in the folder. They are for the files that
// were put there by hand: the others have those that they were applied with. The error is a
// [*FileError] if the lock file is wrong.
func (s *Store) lockedInFolder(ctx context.Context) (group.ImageDigests, error) {
	path := filepath.Join(s.layout.GroupsDir, lockfile.Name)
	src, err := hostfile.Read(ctx, s.layout.GroupsDir, path, lockfile.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f, diags := lockfile.Parse(path, src)
	if diags.HasErrors() {
		return nil, &FileError{Diags: diags, Files: map[string][]byte{path: src}}
	}
	return f.Of(s.layout.GroupsDir), nil
}

// digestsFor returns the digests of a group of the file: those of its installation, and those that
// it has. What a lock file pins comes last, so that an edit of an applied file keeps its images. A
// file that was put there by hand follows the lock file as it is now.
func (f *file) digestsFor(g *spec.Group, origin group.Origin, before Wanted) group.ImageDigests {
	digests := origin.ImageDigests[g.Name]
	if f.recorded {
		return digests.Merge(g, before.Pins).LockedIn(f.bundle, g)
	}
	return digests.LockedIn(f.bundle, g).Merge(g, before.Pins)
}
