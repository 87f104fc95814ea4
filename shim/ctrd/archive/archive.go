package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hostfile"
)

// What is read into memory from an archive: indexes, manifests, configurations.
const (
	jsonLimit  = 8 << 20  // bytes of one of them
	jsonBudget = 64 << 20 // bytes of all of them
)

// maxParts bounds the files and links of an archive.
const maxParts = 100_000

// maxLinks bounds a chain of links inside an archive.
const maxLinks = 8

// An Archive is an image archive opened for reading. Its headers have been read, and nothing else:
// it knows where everything is.
type Archive struct {
	Path  string
	Stamp string // the file's, as the function Stamp returns it

	name  string // of the image that is meant; empty: none is named
	kind  Kind
	tar   io.ReaderAt // of the plain archive; nil: a folder
	size  int64       // of the plain archive
	parts map[string]*io.SectionReader
	links map[string]string
	ended bool  // with the marker that ends a tar, or a folder
	json  int64 // bytes of JSON that have been read
	close []func() error
}

// A Blob is one piece of an image, and where its bytes are.
type Blob struct {
	Desc  ocispec.Descriptor
	Bytes *io.SectionReader
}

// An Image is the image chosen from an archive. Each blob comes after those it names, the manifest
// last.
type Image struct {
	Manifest ocispec.Descriptor
	Blobs    []Blob
	// Root is the index that its registry has under the name of the image, and that only Images
	// returns. It is the Manifest if there is none.
	Root ocispec.Descriptor
}

// Open opens what a place leads to. It reads the headers of an archive and seeks past the contents.
// An archive that ends too early shows in its headers. One that is compressed as a whole is
// unpacked to a nameless file in the folder scratch. The caller closes the archive.
func Open(ctx context.Context, at Place, scratch string) (*Archive, error) {
	a := &Archive{Path: at.Path, name: at.Name, kind: at.kind, parts: map[string]*io.SectionReader{}, links: map[string]string{}}
	var err error
	if at.kind == OCIFolder {
		err = a.openFolder(ctx)
	} else {
		err = a.openFile(ctx, scratch)
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *Archive) openFile(ctx context.Context, scratch string) error {
	f, err := hostfile.Open(ctx, "", a.Path)
	if err != nil {
		return Unreadable(a.Path, err)
	}
	a.close = append(a.close, f.Close)
	a.tar, a.size, a.Stamp = f, f.Info().Size(), Stamp(f.Info())
	return a.openTar(ctx, scratch)
}

// openTar unpacks what is compressed as a whole, and reads the headers.
func (a *Archive) openTar(ctx context.Context, scratch string) error {
	if err := a.unpack(ctx, scratch); err != nil {
		return err
	}
	return a.scan(ctx)
}

// Unreadable returns the [hint.Error] that no archive can be read at the path.
func Unreadable(path string, err error) error {
	var perr *os.PathError
	if errors.As(err, &perr) {
		err = perr.Err
	}
	return &hint.Error{Err: fmt.Errorf("archive %s: %w", path, err), Hint: "check the path"}
}

// Close closes all files; what was read from the archive can't be read any more.
func (a *Archive) Close() error {
	var errs []error
	for _, end := range a.close {
		errs = append(errs, end())
	}
	a.close = nil
	return errors.Join(errs...)
}

func (a *Archive) scan(ctx context.Context) error {
	var last *tar.Header
	var at int64
	whole := io.NewSectionReader(a.tar, 0, a.size)
	for r := tar.NewReader(whole); ; {
		h, err := r.Next()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case len(a.parts)+len(a.links) > maxParts:
			return a.Damaged(fmt.Errorf("it has more than %d files", maxParts))
		case err == io.EOF:
			marker := make([]byte, 2*512)
			_, err := a.tar.ReadAt(marker, a.size-int64(len(marker)))
			a.ended = err == nil && bytes.Count(marker, []byte{0}) == len(marker)
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF) && last != nil && a.size-at < last.Size:
			return a.cutShort(fmt.Errorf("%s has %d of %d bytes", blobName(last.Name), a.size-at, last.Size))
		case errors.Is(err, io.ErrUnexpectedEOF):
			return a.cutShort(fmt.Errorf("it ends after %d bytes", a.size))
		case err != nil:
			return a.Damaged(fmt.Errorf("not a tar archive: %w", err))
		}
		if at, err = whole.Seek(0, io.SeekCurrent); err != nil {
			return fmt.Errorf("archive %s: %w", a.Path, err)
		}
		last = h
		switch name := path.Clean(h.Name); h.Typeflag {
		case tar.TypeReg:
			a.parts[name] = io.NewSectionReader(a.tar, at, h.Size)
		case tar.TypeSymlink:
			a.links[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			a.links[name] = path.Clean(h.Linkname)
		}
	}
}

// part finds a file in the archive, through links. It returns nil if there is none.
func (a *Archive) part(ctx context.Context, name string) (*io.SectionReader, error) {
	name = a.resolve(name)
	p := a.parts[name]
	if p == nil && a.kind == OCIFolder {
		var err error
		if p, err = a.inFolder(ctx, name); err != nil {
			return nil, err
		}
	}
	if p == nil {
		return nil, nil
	}
	return io.NewSectionReader(p, 0, p.Size()), nil
}

// has reports whether a file is in the archive.
func (a *Archive) has(ctx context.Context, name string) bool {
	p, err := a.part(ctx, name)
	return err != nil || p != nil // an error shows when it is read
}

// resolve returns the name to which the links of the archive lead from a name.
func (a *Archive) resolve(name string) string {
	name = path.Clean(name)
	for range maxLinks {
		to, ok := a.links[name]
		if !ok || a.parts[name] != nil {
			break
		}
		name = to
	}
	return name
}

// read returns a small file of the archive.
func (a *Archive) read(ctx context.Context, name string) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p, err := a.part(ctx, name)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, a.lacks(name)
	}
	if p.Size() > jsonLimit {
		return nil, a.Damaged(fmt.Errorf("%s has %d bytes, more than an index, manifest or configuration may", blobName(name), p.Size()))
	}
	if a.json += p.Size(); a.json > jsonBudget {
		return nil, a.Damaged(fmt.Errorf("its indexes, manifests and configurations have more than %d MiB", jsonBudget>>20))
	}
	b, err := io.ReadAll(p)
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", a.Path, err)
	}
	return b, nil
}

// decode reads a small JSON file of the archive into v.
func (a *Archive) decode(ctx context.Context, name string, v any) error {
	b, err := a.read(ctx, name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return a.Damaged(fmt.Errorf("%s: %w", blobName(name), err))
	}
	return nil
}

func (a *Archive) cutShort(err error) error {
	return &hint.Error{Err: fmt.Errorf("archive %s is cut short: %w", a.Path, err), Hint: "copy it again"}
}

// Damaged returns the [hint.Error] that the contents of the archive are not what they should be.
func (a *Archive) Damaged(err error) error {
	return &hint.Error{Err: fmt.Errorf("archive %s is damaged: %w", a.Path, err), Hint: "copy or build it again"}
}

// lacks returns the error for something that the archive names and doesn't have.
func (a *Archive) lacks(name string) error {
	if !a.ended {
		return a.cutShort(fmt.Errorf("it ends before %s", blobName(name)))
	}
	return a.Damaged(fmt.Errorf("it has no %s", blobName(name)))
}

// blobName returns how a message names a file of an archive: a blob by its digest.
func blobName(name string) string {
	if id, ok := strings.CutPrefix(path.Clean(name), "blobs/"); ok {
		return "blob " + strings.Replace(id, "/", ":", 1)
	}
	return name
}

// Stamp returns a text that changes when the file does: when it is written in place, replaced, or
// moved over.
func Stamp(fi os.FileInfo) string {
	s := fmt.Sprintf("%d:%d", fi.Size(), fi.ModTime().UnixNano())
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		s += fmt.Sprintf(":%d:%d", st.Ino, st.Ctim.Nano())
	}
	return s
}
