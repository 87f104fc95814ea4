package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/spec"
)

// A Text is a group file that was parsed, with all that it was parsed from. It does not change.
type Text struct {
	Groups []spec.Group

	sum   string               // of what the parser was given, see sumOf
	named map[string]namedFile // the files that it names, by absolute path
	size  int                  // bytes that it holds
	name  string               // of the file in err
	err   error                // a [*FileError]. Nil: the text is right
}

// A namedFile is a file that a group file names, as it was read.
type namedFile struct {
	content []byte
	err     string // why it could not be read. Empty: it was read
}

// Read parses a bundle, unless the same text with the same variables and files was parsed before.
// The error is a [*FileError] if the text is wrong. Read is safe for concurrent use.
func (s *Store) Read(ctx context.Context, b group.Bundle) (*Text, error) {
	if err := s.checkName(b.Name); err != nil {
		return nil, err
	}
	name := b.Path
	if name == "" {
		name = s.filePath(b.Name)
	}
	t, err := s.parse(ctx, name, b)
	if err != nil {
		return nil, err
	}
	return t, t.err
}

// ReadRun parses a bundle and makes a group of it that runs once. template is the name of the group
// that it is made from. The error is a [*FileError] if the text is wrong, or what is changed of it.
// ReadRun is safe for concurrent use.
func (s *Store) ReadRun(ctx context.Context, b group.Bundle, c spec.RunChange) (template string, g spec.Group, err error) {
	t, err := s.Read(ctx, b)
	if err != nil {
		return "", g, err
	}
	name := cmp.Or(b.Path, b.Name)
	g, diags := spec.AsRun(spec.Source{Name: name, Bytes: b.HCL}, t.Groups, c)
	if diags.HasErrors() {
		return "", g, &FileError{Diags: diags, Files: map[string][]byte{name: b.HCL}}
	}
	return cmp.Or(c.Group, t.Groups[0].Name), g, nil
}

// parse returns the text of a bundle, right or wrong. Its diagnostics have the name. The error is
// that of a ctx that has ended.
func (s *Store) parse(ctx context.Context, name string, b group.Bundle) (*Text, error) {
	sum, readFile := s.sumOf(b), s.filesOf(ctx, b)
	for _, t := range s.textsWith(sum, b.Name) {
		if (t.err == nil || t.name == name) && t.current(readFile) {
			return t, nil
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	t := &Text{sum: sum, named: map[string]namedFile{}, size: len(b.HCL), name: name}
	stop, stopped := group.StopEvaluation(ctx), false
	groups, diags := s.Parse(spec.Source{
		Name: name, Dir: s.dirOf(b), Bytes: b.HCL, Vars: b.Vars,
		ReadFile: func(path string) ([]byte, error) {
			content, err := readFile(path)
			t.named[path] = namedFile{content, hint.Text(err)}
			t.size += len(content)
			return content, err
		},
		Stop: func() error {
			err := stop()
			stopped = stopped || err != nil
			return err
		},
	})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if diags.HasErrors() {
		t.err = &FileError{Diags: diags, Files: map[string][]byte{name: b.HCL}}
	} else {
		t.Groups = groups
	}
	if !stopped {
		s.keepText(t)
	}
	return t, nil
}

// Limits on the texts that are kept besides those of the folder. An apply is previewed first, and a
// rollback looks at one file several times.
const (
	maxRecent     = 512
	maxRecentSize = 16 << 20 // bytes
)

// keepText keeps a text, so that it is not parsed again.
func (s *Store) keepText(t *Text) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent = append(s.recent, t)
	s.recentSize += t.size
	drop := 0
	for ; len(s.recent)-drop > maxRecent || s.recentSize > maxRecentSize; drop++ {
		s.recentSize -= s.recent[drop].size
	}
	s.recent = slices.Delete(s.recent, 0, drop)
}

// textsWith returns the texts with that sum that are kept: that of a file in the folder, and recent
// ones.
func (s *Store) textsWith(sum, file string) (texts []*Text) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[file]; f != nil && f.text != nil && f.text.sum == sum {
		texts = append(texts, f.text)
	}
	for _, t := range s.recent {
		if t.sum == sum {
			texts = append(texts, t)
		}
	}
	return texts
}

// current reports whether the files that the text names are as they were.
func (t *Text) current(readFile func(path string) ([]byte, error)) bool {
	for path, was := range t.named {
		content, err := readFile(path)
		if hint.Text(err) != was.err || !bytes.Equal(content, was.content) {
			return false
		}
	}
	return true
}

// files returns the content of the files that the text names, by absolute path. It is nil if it
// names none.
func (t *Text) files() (files map[string][]byte) {
	for path, f := range t.named {
		if f.err == "" {
			if files == nil {
				files = map[string][]byte{}
			}
			files[path] = f.content
		}
	}
	return files
}

// groupsIn returns the groups with that file as their place.
func (t *Text) groupsIn(file string) []spec.Group {
	groups := slices.Clone(t.Groups)
	for i := range groups {
		groups[i].Pos.File = file
	}
	return groups
}

// sumOf returns the sum of what the parser gets of a bundle, besides the files that it names.
func (s *Store) sumOf(b group.Bundle) string {
	all, err := json.Marshal(struct {
		Dir  string
		HCL  []byte
		Vars map[string]string
	}{s.dirOf(b), b.HCL, b.Vars})
	if err != nil {
		panic("store: encode a bundle: " + err.Error()) // all types of it encode
	}
	return textSum(all)
}

// dirOf returns the folder to which the paths of the bundle are relative.
func (s *Store) dirOf(b group.Bundle) string {
	if b.Path == "" {
		return s.layout.GroupsDir
	}
	return filepath.Dir(b.Path)
}

// filesOf returns a function that reads the files that the bundle was applied with. A file that was
// put into the folder by hand was applied with none, and an edited one may name more. These are
// read from the disk.
func (s *Store) filesOf(ctx context.Context, b group.Bundle) func(path string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if content, ok := b.Files[path]; ok {
			return content, nil
		}
		return hostfile.ReadNamed(ctx, s.dirOf(b), path, spec.MaxPlacedFile)
	}
}
