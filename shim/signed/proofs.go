package signed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/sallyport/sallyport/shim/disk"
)

// maxProofs limits the proofs of one image that are kept. A kept generation may need the one of an
// earlier key.
const maxProofs = 32

// Proofs are the proofs on disk, a file for each digest. A nil Proofs keeps none. It is safe for
// concurrent use.
type Proofs struct {
	Disk disk.Disk // optional: writes them

	folder string
	mu     sync.Mutex
}

// NewProofs returns the proofs in a folder. The first one that is added makes the folder.
func NewProofs(folder string) *Proofs { return &Proofs{folder: folder} }

func (s *Proofs) path(id digest.Digest) string {
	return filepath.Join(s.folder, id.Algorithm().String()+"-"+id.Encoded()+".json")
}

// Of returns the proofs of a digest. A digest without any has none, without an error. The error for
// a file that is no list of proofs is [disk.ErrDamaged].
func (s *Proofs) Of(id digest.Digest) ([]Proof, error) {
	if s == nil || id.Validate() != nil {
		return nil, nil
	}
	all, err := disk.ReadJSON[[]Proof](s.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("proofs of a signature: %w", err)
	}
	return all, nil
}

// Add keeps a proof of a digest. It returns when the proof would outlive a power cut. A damaged
// file is set aside: its proofs can be had again.
func (s *Proofs) Add(id digest.Digest, p Proof) error {
	if s == nil {
		return errors.New("no folder for proofs of signatures")
	}
	if err := id.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.Of(id)
	if errors.Is(err, disk.ErrDamaged) {
		if _, err := s.Disk.SetAside(s.path(id)); err != nil {
			return err
		}
		all, err = nil, nil
	}
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(o Proof) bool { return same(o, p) })
	all = append(all, p)
	all = all[max(0, len(all)-maxProofs):]
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return err
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := s.Disk.WriteFile(s.path(id), text); err != nil {
		return err
	}
	return s.Disk.SyncFolder(s.folder)
}

func same(a, b Proof) bool {
	return a.Form == b.Form && a.Key == b.Key && bytes.Equal(a.Payload, b.Payload) && bytes.Equal(a.Signature, b.Signature) && bytes.Equal(a.Bundle, b.Bundle)
}

// Remove removes the proofs of a digest. It is no error if there are none.
func (s *Proofs) Remove(id digest.Digest) error {
	if s == nil || id.Validate() != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Disk.Remove(s.path(id))
}

// All returns the digests that have proofs.
func (s *Proofs) All() (all []digest.Digest, err error) {
	if s == nil {
		return nil, nil
	}
	files, err := os.ReadDir(s.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".json")
		if id := digest.Digest(strings.Replace(name, "-", ":", 1)); ok && id.Validate() == nil {
			all = append(all, id)
		}
	}
	return all, err
}
