package main

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// left lists what no program needs: documents, and what serves an installation.
var left = []string{
	"/usr/share/doc", "/usr/share/doc-base", "/usr/share/info", "/usr/share/man", "/usr/share/locale", "/usr/share/lintian", "/usr/share/bug",
	"/lib/systemd", "/usr/lib/systemd", "/etc/init.d", "/etc/logrotate.d", "/etc/apparmor.d",
}

// addWhole adds all files of packages, and the libraries that programs and modules in them need.
// What a pattern of without matches is left out, with all below it.
func addWhole(root *tree, pkgs, without []string) (err error) {
	if len(pkgs) == 0 {
		return nil
	}
	dir, err := os.MkdirTemp("", "mkimage-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	all, own := filepath.Join(dir, "all"), filepath.Join(dir, "own")
	for _, d := range []string{all, own} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	for _, p := range pkgs {
		if err := unpackDebian(ctx, all, own, p); err != nil {
			return err
		}
	}
	return addTree(root, all, own, without)
}

// addTree adds the files of the folder own, and the libraries of the folder all that they need.
func addTree(root *tree, all, own string, without []string) error {
	libs, err := libraries(all)
	if err != nil {
		return err
	}
	var programs []string
	err = filepath.WalkDir(own, func(src string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := strings.TrimPrefix(src, own)
		switch skip, err := matches(at, slices.Concat(left, without)); {
		case err != nil || at == "":
			return err
		case skip && d.IsDir():
			return filepath.SkipDir
		case skip || d.IsDir():
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(src)
			root.addLink(at, target)
			return err
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is neither a file, nor a folder, nor a link", at)
		}
		programs = append(programs, src)
		return root.addFile(at, src)
	})
	if err != nil {
		return err
	}
	for _, src := range programs {
		if err := addLibrariesOf(root, all, libs, src); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimPrefix(src, own), err)
		}
	}
	return nil
}

// addLibrariesOf adds the loader and the libraries of a program or a module. Other files need none.
func addLibrariesOf(root *tree, all string, libs map[string]string, src string) error {
	f, err := elf.Open(src)
	if format := (*elf.FormatError)(nil); errors.As(err, &format) || err != nil && isShort(src) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	loader, err := interpreter(f)
	if err != nil {
		return err
	}
	if loader != "" {
		at, ok := libs[filepath.Base(loader)]
		if !ok {
			return fmt.Errorf("no package has its loader %s", loader)
		}
		if err := root.addFile(loader, filepath.Join(all, at)); err != nil {
			return err
		}
	}
	return addNeeded(root, all, libs, f)
}

// isShort reports whether a file is too short for the header of a program.
func isShort(src string) bool {
	info, err := os.Stat(src)
	return err == nil && info.Size() < 64
}

// matches reports whether a pattern is for the path.
func matches(at string, patterns []string) (bool, error) {
	for _, p := range patterns {
		if ok, err := path.Match(p, at); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}
