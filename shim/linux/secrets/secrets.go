// Package secrets holds the values of groups' secrets, each group's in a file system in memory of
// its own that root alone can enter, and gives them to containers. What is there outlives the
// daemon, and ends with the group or the host's boot:
//
//	values/NAME@VERSION   a value
//	held.json             which secrets are held: source and version of each, and no value
//	given/CONTAINER/NAME  what a container has at /run/secrets, with its owner and mode
//	files/CONTAINER/N     a container's files that have values in them
//	told/CONTAINER.json   which versions a container was given, and which its program knows of
//
// Pitfall: no error and no line of the log may have a value in it, and nothing here is derived from
// one. A version counts, and is no checksum: a short secret could be found by it.
package secrets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// Secrets holds the secrets of the groups of a layout. It implements [runner.Secrets].
type Secrets struct {
	layout  layout.Layout
	sources sources

	mu      sync.Mutex
	watched map[string]map[string]bool // by folder: the groups with a file in it
	more    chan struct{}              // holds one after a change of watched
}

// New returns the secrets of the layout. It makes nothing.
func New(l layout.Layout) *Secrets {
	return &Secrets{layout: l, sources: systemSources(), watched: map[string]map[string]bool{}, more: make(chan struct{}, 1)}
}

// A held is one secret whose value is held.
type held struct {
	Source  spec.Secret `json:"source"`
	Version int64       `json:"version"` // grows with each other value
	Mark    string      `json:"mark,omitempty"`
	// Problem is why the source could not be read the last time. Empty means that it could.
	Problem string `json:"problem,omitempty"`
	// Room is how many bytes have to be free before the source is read again: there was no room for
	// another value. Zero means that there was.
	Room int64 `json:"room,omitempty"`
}

// A told has the versions of a secret that a container was given.
type told struct {
	Placed int64 `json:"placed"` // the version at /run/secrets, or in a file
	Known  int64 `json:"known"`  // the version that its program was started with, or sent a signal for
}

// Observe implements [runner.Secrets]. It reads no source.
func (s *Secrets) Observe(ctx context.Context, group string, want *spec.Group) (host.Secrets, error) {
	dir := s.layout.SecretsPath(group)
	s.watch(group, want)
	o := host.Secrets{Untold: map[string][]string{}, Problems: map[string]string{}}
	switch _, err := os.Lstat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return o, nil
	case err != nil:
		return o, fmt.Errorf("look at secrets: %w", err)
	}
	o.Any = true
	if ok, err := isMounted(dir); err != nil || !ok {
		return o, err
	}
	all, err := readHeld(dir)
	if err != nil {
		return o, err
	}
	if want == nil {
		return o, nil
	}
	for i := range want.Containers {
		c := &want.Containers[i]
		names := c.SecretNames()
		if len(names) == 0 {
			continue
		}
		known, err := readTold(dir, c.Name)
		if err != nil {
			return o, err
		}
		if known == nil {
			o.Cut = append(o.Cut, c.Name)
		}
		for _, name := range names {
			h, ok := all[name]
			if known == nil || !ok {
				continue
			}
			if known[name].Known != h.Version {
				o.Untold[c.Name] = append(o.Untold[c.Name], name)
			}
			if known[name].Placed < h.Version && spec.FindUse(c.Secrets, name) != nil {
				delete(all, name) // a daemon ended before it had placed the value
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		h := all[name]
		w := spec.FindSecret(want.Secrets, name)
		if w != nil && !w.Same(h.Source) {
			continue
		}
		if h.Room > 0 {
			switch free, err := hasRoom(dir, h.Room); {
			case err != nil:
				return o, err
			case free:
				continue
			}
		}
		if h.Problem != "" {
			o.Problems[name] = h.Problem
		}
		if w != nil && w.File != "" {
			switch mark, settled, err := s.sources.mark(ctx, w.File); {
			case err != nil:
				o.Problems[name] = problem(*w, err)
			case mark != h.Mark && settled:
				continue
			}
		}
		o.Held = append(o.Held, name)
	}
	return o, nil
}

// Hold implements [runner.Secrets]. A value that can't be had again stays as it is, and so does one
// if there is no room for another. Programs can keep earlier values open, which takes their room.
func (s *Secrets) Hold(ctx context.Context, want *spec.Group, names []string) (read host.SecretsRead, err error) {
	dir := s.layout.SecretsPath(want.Name)
	if err := s.mount(dir); err != nil {
		return read, fmt.Errorf("place for secrets: %w", err)
	}
	all, err := readHeld(dir)
	if err != nil {
		return read, err
	}
	next := map[string]held{}
	var missing []error
	for _, w := range want.Secrets {
		h, ok := all[w.Name]
		if ok = ok && h.Source.Same(w); ok && !slices.Contains(names, w.Name) {
			next[w.Name] = h
			continue
		}
		value, mark, warning, err := s.sources.read(ctx, want.Name, w)
		if ctx.Err() != nil {
			return read, ctx.Err()
		}
		if warning != "" {
			read.Warnings = append(read.Warnings, warning)
		}
		switch {
		case err != nil && ok:
			h.Problem, h.Mark = problem(w, err), mark
			next[w.Name] = h
		case err != nil:
			missing = append(missing, err)
			if had, ok := all[w.Name]; ok { // containers have it still
				next[w.Name] = had
			}
		default:
			before := all[w.Name]
			if need := roomFor(want, w.Name, len(value)); ok && !isHeld(dir, w.Name, before.Version, value) {
				free, err := hasRoom(dir, need)
				if err != nil {
					return read, err
				}
				if !free {
					h.Problem, h.Mark, h.Room = problem(w, errNoRoom), mark, need
					next[w.Name] = h
					continue
				}
			}
			version, err := keep(dir, w.Name, before.Version, value)
			if err != nil {
				return read, full(err)
			}
			if version != before.Version {
				read.Changed = append(read.Changed, w.Name)
			}
			next[w.Name] = held{Source: w, Version: version, Mark: mark}
		}
	}
	if err := writeJSON(dir, filepath.Join(dir, "held.json"), next); err != nil {
		return read, full(err)
	}
	if err := dropOld(dir, next); err != nil {
		return read, err
	}
	if err := placeAgain(dir, want, next); err != nil {
		return read, full(err)
	}
	return read, hint.Join(missing)
}

// Remove implements [runner.Secrets]. The memory is free when the last container that has a part of
// it has ended.
func (s *Secrets) Remove(_ context.Context, group string) error {
	s.watch(group, nil)
	dir := s.layout.SecretsPath(group)
	for {
		err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		if err != nil {
			return fmt.Errorf("unmount the secrets of %s: %w", group, err)
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the place of secrets: %w", err)
	}
	return nil
}

// Groups implements [runner.Secrets].
func (s *Secrets) Groups(context.Context) (groups []string, err error) {
	entries, err := os.ReadDir(filepath.Dir(s.layout.SecretsPath("x")))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list secrets: %w", err)
	}
	for _, e := range entries {
		groups = append(groups, e.Name())
	}
	return groups, nil
}

// problem returns why a value can't be read again, for people.
func problem(w spec.Secret, err error) string {
	return fmt.Sprintf("secret %s keeps its value: %s", w.Name, hint.OneLine(err.Error()))
}

// keep writes a value, and returns its version: the one before if it is the same value.
func keep(dir, name string, before int64, value []byte) (version int64, err error) {
	if isHeld(dir, name, before, value) {
		return before, nil
	}
	version = max(before+1, time.Now().UnixNano())
	return version, write(dir, valuePath(dir, name, version), value, owner{mode: 0o600})
}

// isHeld reports whether a version is this value. Version 0 is none.
func isHeld(dir, name string, version int64, value []byte) bool {
	if version == 0 {
		return false
	}
	now, err := os.ReadFile(valuePath(dir, name, version))
	return err == nil && bytes.Equal(now, value)
}

func valuePath(dir, name string, version int64) string {
	return filepath.Join(dir, "values", name+"@"+strconv.FormatInt(version, 10))
}

// dropOld removes the values that are not held.
func dropOld(dir string, all map[string]held) error {
	entries, err := os.ReadDir(filepath.Join(dir, "values"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, version, _ := strings.Cut(e.Name(), "@")
		if h, ok := all[name]; ok && strconv.FormatInt(h.Version, 10) == version {
			continue
		}
		if err := os.Remove(filepath.Join(dir, "values", e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// placeAgain gives containers the values that are held, in the place of earlier ones. The files
// keep their owners and modes.
func placeAgain(dir string, want *spec.Group, all map[string]held) error {
	for i := range want.Containers {
		c := &want.Containers[i]
		if len(c.Secrets) == 0 {
			continue
		}
		known, err := readTold(dir, c.Name)
		if err != nil {
			return err
		}
		changed := false
		for _, u := range c.Secrets {
			h, ok := all[u.Name]
			t, given := known[u.Name]
			if !ok || !given || t.Placed == h.Version {
				continue
			}
			path := filepath.Join(givenPath(dir, c.Name), u.Name)
			own, err := ownerOf(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // the container was made from another definition
			}
			if err != nil {
				return err
			}
			value, err := os.ReadFile(valuePath(dir, u.Name, h.Version))
			if err != nil {
				return err
			}
			if err := write(dir, path, value, own); err != nil {
				return err
			}
			if t.Placed = h.Version; u.OnChange == spec.OnChangeNone && !slices.ContainsFunc(c.Files, func(f spec.File) bool { return slices.Contains(f.Secrets, u.Name) }) {
				t.Known = h.Version
			}
			known[u.Name], changed = t, true
		}
		if changed {
			if err := writeJSON(dir, toldPath(dir, c.Name), known); err != nil {
				return err
			}
		}
	}
	return nil
}

func givenPath(dir, container string) string { return filepath.Join(dir, "given", container) }

func toldPath(dir, container string) string { return filepath.Join(dir, "told", container+".json") }

func readHeld(dir string) (map[string]held, error) {
	all := map[string]held{}
	return all, readJSON(filepath.Join(dir, "held.json"), &all)
}

// readTold returns what a container was given. Nil means that it was given nothing.
func readTold(dir, container string) (known map[string]told, err error) {
	return known, readJSON(toldPath(dir, container), &known)
}

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("look at secrets: %w", err)
	}
	return nil
}
