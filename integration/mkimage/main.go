// Command mkimage packs programs into OCI image archives. Static programs of ours go in as they
// are, programs of Debian's packages together with exactly the shared libraries that they need. It
// needs no engine, no registry and no root. An image for another architecture needs the package
// lists of that architecture, which APT_CONFIG can name (apt.conf(5)).
//
// Pitfall: Debian's packages come from `apt-get download`, so the machine needs package lists.
// Run `apt-get update` first.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/google/renameio/v2"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
)

type cli struct {
	Out        string   `short:"o" required:"" placeholder:"TAR" help:"Archive to write; it is replaced in one go."`
	Name       string   `help:"Reference to put into the archive's index; the file's base name without it."`
	Entrypoint []string `sep:"none" placeholder:"ARG" help:"The image's entrypoint, an argument each time it is given."`
	Cmd        []string `sep:"none" placeholder:"ARG" help:"The image's default arguments, one each time it is given."`
	Arch       string   `default:"${arch}" help:"Architecture that the image is for, in Go's words."`
	Emulator   string   `placeholder:"PROGRAM" help:"Program that runs those of another architecture, for --applets."`
	User       string   `placeholder:"UID:GID" help:"User that the program runs as."`
	StopSignal string   `placeholder:"SIGNAL" help:"Signal that asks the program to end."`
	Debian     []string `placeholder:"PACKAGE=PATH[:PATH]" help:"Program of a Debian package, with its libraries, and modules that it loads, with * for a part of a path."`
	Whole      []string `placeholder:"PACKAGE" help:"Debian package that goes in as a whole, but for its documents and units, with the libraries that its programs need."`
	Without    []string `placeholder:"PATH" help:"Path of a whole package that is left out, with * for a part of it, and all below it."`
	Applets    string   `placeholder:"PATH" help:"Multi-call program in the image whose --list names get links beside it."`
	Files      []string `arg:"" optional:"" name:"src:dst" help:"Files of this machine and where they go."`
}

func main() {
	var c cli
	kong.Parse(&c, kong.Name("mkimage"), kong.Description("Packs programs into an OCI image archive."),
		kong.Vars{"arch": runtime.GOARCH})
	if err := run(c); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage: error:", err)
		os.Exit(1)
	}
}

func run(c cli) error {
	root := newTree()
	for _, f := range c.Files {
		src, dst, ok := strings.Cut(f, ":")
		if !ok {
			return fmt.Errorf("%q: want SRC:DST", f)
		}
		if err := root.addFile(dst, src); err != nil {
			return err
		}
	}
	if err := addDebian(root, c.Debian); err != nil {
		return err
	}
	if err := addWhole(root, c.Whole, c.Without); err != nil {
		return err
	}
	if c.Applets != "" {
		if err := addApplets(root, c.Applets, c.Emulator); err != nil {
			return err
		}
	}
	name := c.Name
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(c.Out), ".tar")
	}
	return write(c.Out, name, c.Arch, root, imagespec.ImageConfig{
		User:       c.User,
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Entrypoint: c.Entrypoint,
		Cmd:        c.Cmd,
		StopSignal: c.StopSignal,
	})
}

// addDebian unpacks packages into a temporary folder and adds the programs that were asked for.
func addDebian(root *tree, programs []string) (err error) {
	if len(programs) == 0 {
		return nil
	}
	dir, err := os.MkdirTemp("", "mkimage-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, p := range programs {
		pkg, paths, ok := strings.Cut(p, "=")
		if !ok {
			return fmt.Errorf("%q: want PACKAGE=PATH", p)
		}
		program, modules, _ := strings.Cut(paths, ":")
		if err := unpackDebian(ctx, dir, "", pkg); err != nil {
			return err
		}
		if err := addProgram(root, dir, program); err != nil {
			return fmt.Errorf("package %s: %w", pkg, err)
		}
		if modules == "" {
			continue
		}
		if err := addModules(root, dir, strings.Split(modules, ":")); err != nil {
			return fmt.Errorf("package %s: %w", pkg, err)
		}
	}
	return nil
}

// addModules adds files of an unpacked tree of packages. The libraries that they need are those of
// their program.
func addModules(root *tree, dir string, patterns []string) error {
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err == nil && len(found) != 1 {
			err = fmt.Errorf("%s is %d files, want one", pattern, len(found))
		}
		if err != nil {
			return err
		}
		if err := root.addFile(strings.TrimPrefix(found[0], dir), found[0]); err != nil {
			return err
		}
	}
	return nil
}

// write writes the archive. It appears under its name whole or not at all.
func write(path, name, arch string, root *tree, config imagespec.ImageConfig) error {
	out, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer out.Cleanup()
	if err := writeArchive(out, name, arch, root, config); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return out.CloseAtomicallyReplace()
}
