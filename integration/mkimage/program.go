package main

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// addProgram adds a dynamically linked program from an unpacked tree of packages, its loader, and
// the libraries that it and they need. A static program needs nothing else.
func addProgram(root *tree, dir, program string) error {
	src, err := find(dir, program)
	if err != nil {
		return err
	}
	if err := root.addFile(program, src); err != nil {
		return err
	}
	f, err := elf.Open(src)
	if err != nil {
		return err
	}
	defer f.Close()
	loader, err := interpreter(f)
	if err != nil || loader == "" {
		return err
	}
	libs, err := libraries(dir)
	if err != nil {
		return err
	}
	at, ok := libs[filepath.Base(loader)]
	if !ok {
		return fmt.Errorf("no package has its loader %s", loader)
	}
	// The loader goes where the program expects it, whether or not the distribution has merged /lib
	// into /usr/lib.
	if err := root.addFile(loader, filepath.Join(dir, at)); err != nil {
		return err
	}
	return addNeeded(root, dir, libs, f)
}

// addNeeded walks DT_NEEDED. A library goes into the image under the name that a program needs, so
// no link is needed.
func addNeeded(root *tree, dir string, libs map[string]string, f *elf.File) error {
	needed, err := f.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, name := range needed {
		at, ok := libs[name]
		if !ok {
			at, ok = inRunpath(dir, f, name)
		}
		if !ok {
			return fmt.Errorf("no package has its library %s", name)
		}
		if _, ok := root.entries[at]; ok {
			continue
		}
		src := filepath.Join(dir, at)
		if err := root.addFile("/"+at, src); err != nil {
			return err
		}
		lib, err := elf.Open(src)
		if err != nil {
			return err
		}
		err = addNeeded(root, dir, libs, lib)
		lib.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// inRunpath looks a library up where the program or library that needs it has the loader look
// (DT_RUNPATH).
func inRunpath(dir string, f *elf.File, name string) (at string, ok bool) {
	paths, err := f.DynString(elf.DT_RUNPATH)
	if err != nil {
		return "", false
	}
	for _, p := range paths {
		for folder := range strings.SplitSeq(p, ":") {
			src, err := find(dir, filepath.Join(folder, name))
			if err == nil {
				return strings.TrimPrefix(strings.TrimPrefix(src, dir), "/"), true
			}
		}
	}
	return "", false
}

// libraries maps the name of each shared library in the tree to its path there.
func libraries(dir string) (map[string]string, error) {
	libs := map[string]string{}
	for _, pattern := range []string{"lib*/*.so*", "lib*/*-linux-gnu*/*.so*"} {
		for _, top := range []string{"", "usr"} {
			paths, err := filepath.Glob(filepath.Join(dir, top, pattern))
			if err != nil {
				return nil, err
			}
			for _, p := range paths {
				rel, err := filepath.Rel(dir, p)
				if err != nil {
					return nil, err
				}
				libs[filepath.Base(p)] = rel
			}
		}
	}
	return libs, nil
}

// interpreter returns the loader that the program names. It is empty for a static program.
func interpreter(f *elf.File) (string, error) {
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b := make([]byte, p.Filesz)
			if _, err := p.ReadAt(b, 0); err != nil {
				return "", err
			}
			return strings.TrimRight(string(b), "\x00"), nil
		}
	}
	return "", nil
}

// find looks a path up in the unpacked tree, as it is and below /usr.
func find(dir, path string) (string, error) {
	for _, top := range []string{"", "usr"} {
		p := filepath.Join(dir, top, path)
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
	}
	return "", fmt.Errorf("%s: %w", path, fs.ErrNotExist)
}

// addApplets asks a multi-call program in the tree for its names, by running it, and links each to
// it. emulator runs the program. Without one it runs by itself.
func addApplets(root *tree, program, emulator string) error {
	e, ok := root.entries[strings.TrimPrefix(program, "/")]
	if !ok {
		return fmt.Errorf("applets of %s: not in the image", program)
	}
	dir, err := os.MkdirTemp("", "mkimage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self := filepath.Join(dir, filepath.Base(program))
	if err := os.WriteFile(self, e.content, 0o700); err != nil {
		return err
	}
	command := []string{self, "--list"}
	if emulator != "" {
		command = append([]string{emulator}, command...)
	}
	names, err := output(context.Background(), dir, command[0], command[1:]...)
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(names)) {
		if at := filepath.Join(filepath.Dir(program), name); at != program {
			root.addLink(at, filepath.Base(program))
		}
	}
	return nil
}
