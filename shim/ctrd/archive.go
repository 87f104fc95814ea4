package ctrd

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim"
)

// jsonLimit bounds what is read into memory from an archive: indexes, manifests, configurations.
const jsonLimit = 8 << 20

// maxLinks bounds a chain of links inside an archive.
const maxLinks = 8

// An archive is an image archive opened for reading, and where in it everything is. Nothing but headers has been read.
type archive struct {
	path  string
	file  *os.File
	size  int64
	stamp string // tells this file from what may later be at the same path
	parts map[string]*io.SectionReader
	links map[string]string
	ended bool // with the marker that ends a tar
}

// A blob is one piece of an image and where its bytes are.
type blob struct {
	desc  ocispec.Descriptor
	bytes *io.SectionReader
}

// An archivedImage is the image chosen from an archive: the blobs in an order in which each comes after what it names, the
// manifest last.
type archivedImage struct {
	manifest ocispec.Descriptor
	blobs    []blob
}

// openArchive reads the headers of the archive, seeking past contents. An archive that ends too early is told from them.
func openArchive(path string) (*archive, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe would wait for someone to write
	if err != nil {
		return nil, noArchive(path, err)
	}
	a := &archive{path: path, file: f, parts: map[string]*io.SectionReader{}, links: map[string]string{}}
	if err := a.scan(); err != nil {
		f.Close()
		return nil, err
	}
	return a, nil
}

func noArchive(path string, err error) error {
	var perr *os.PathError
	if errors.As(err, &perr) {
		err = perr.Err
	}
	return &shim.Problem{Err: fmt.Errorf("archive %s: %w", path, err), Hint: "check the path"}
}

func (a *archive) Close() error { return a.file.Close() }

func (a *archive) scan() error {
	fi, err := a.file.Stat()
	if err != nil {
		return fmt.Errorf("archive %s: %w", a.path, err)
	}
	if !fi.Mode().IsRegular() {
		return noArchive(a.path, errors.New("not a regular file"))
	}
	a.size, a.stamp = fi.Size(), stamp(fi)
	if err := a.refuseCompressed(); err != nil {
		return err
	}
	var last *tar.Header
	var at int64
	for r := tar.NewReader(a.file); ; {
		h, err := r.Next()
		switch {
		case err == io.EOF:
			marker := make([]byte, 2*512)
			_, err := a.file.ReadAt(marker, a.size-int64(len(marker)))
			a.ended = err == nil && bytes.Count(marker, []byte{0}) == len(marker)
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF) && last != nil && a.size-at < last.Size:
			return a.cutShort(fmt.Errorf("%s has %d of %d bytes", blobName(last.Name), a.size-at, last.Size))
		case errors.Is(err, io.ErrUnexpectedEOF):
			return a.cutShort(fmt.Errorf("it ends after %d bytes", a.size))
		case err != nil:
			return a.damaged(fmt.Errorf("not a tar archive: %w", err))
		}
		if at, err = a.file.Seek(0, io.SeekCurrent); err != nil {
			return fmt.Errorf("archive %s: %w", a.path, err)
		}
		last = h
		switch name := path.Clean(h.Name); h.Typeflag {
		case tar.TypeReg:
			a.parts[name] = io.NewSectionReader(a.file, at, h.Size)
		case tar.TypeSymlink:
			a.links[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			a.links[name] = path.Clean(h.Linkname)
		}
	}
}

// refuseCompressed tells a compressed archive, in which nothing can be found without reading it all, from a damaged one.
func (a *archive) refuseCompressed() error {
	magic := make([]byte, 6)
	n, err := a.file.ReadAt(magic, 0)
	if err != nil && err != io.EOF {
		return fmt.Errorf("archive %s: %w", a.path, err)
	}
	for prefix, tool := range map[string]string{"\x1f\x8b": "gunzip", "\x28\xb5\x2f\xfd": "unzstd", "\xfd7zXZ\x00": "unxz", "BZh": "bunzip2"} {
		if strings.HasPrefix(string(magic[:n]), prefix) {
			return &shim.Problem{Err: fmt.Errorf("archive %s is compressed as a whole", a.path), Hint: "unpack it first: " + tool + " " + a.path}
		}
	}
	return nil
}

// part finds a file in the archive, through links; nil if there is none.
func (a *archive) part(name string) *io.SectionReader {
	name = path.Clean(name)
	for range maxLinks {
		if p := a.parts[name]; p != nil {
			return io.NewSectionReader(p, 0, p.Size())
		}
		to, ok := a.links[name]
		if !ok {
			return nil
		}
		name = to
	}
	return nil
}

// read returns a small file of the archive.
func (a *archive) read(name string) ([]byte, error) {
	p := a.part(name)
	if p == nil {
		return nil, a.lacks(name)
	}
	if p.Size() > jsonLimit {
		return nil, a.damaged(fmt.Errorf("%s has %d bytes, more than an index, manifest or configuration may", blobName(name), p.Size()))
	}
	b, err := io.ReadAll(p)
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", a.path, err)
	}
	return b, nil
}

// decode reads a small JSON file of the archive into v.
func (a *archive) decode(name string, v any) error {
	b, err := a.read(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return a.damaged(fmt.Errorf("%s: %w", blobName(name), err))
	}
	return nil
}

func (a *archive) cutShort(err error) error {
	return &shim.Problem{Err: fmt.Errorf("archive %s is cut short: %w", a.path, err), Hint: "copy it again"}
}

func (a *archive) damaged(err error) error {
	return &shim.Problem{Err: fmt.Errorf("archive %s is damaged: %w", a.path, err), Hint: "copy or build it again"}
}

// lacks says that something the archive names isn't in it.
func (a *archive) lacks(name string) error {
	if !a.ended {
		return a.cutShort(fmt.Errorf("it ends before %s", blobName(name)))
	}
	return a.damaged(fmt.Errorf("it has no %s", blobName(name)))
}

// blobName is how a message names a file of an archive: a blob by its digest.
func blobName(name string) string {
	if id, ok := strings.CutPrefix(path.Clean(name), "blobs/"); ok {
		return "blob " + strings.Replace(id, "/", ":", 1)
	}
	return name
}

// stamp changes when the file does: written in place, replaced, or moved over.
func stamp(fi os.FileInfo) string {
	s := fmt.Sprintf("%d:%d", fi.Size(), fi.ModTime().UnixNano())
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		s += fmt.Sprintf(":%d:%d", st.Ino, st.Ctim.Nano())
	}
	return s
}
