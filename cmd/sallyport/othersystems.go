package main

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/spec"
)

// An otherSystem is a system whose files are given to a command by those who come from it.
type otherSystem struct {
	what    string         // for a sentence: "a compose file"
	endings []string       // of names, in lower case
	names   []string       // whole names, in lower case
	content *regexp.Regexp // nil: any
	bring   string         // the way from there to a group file
}

const theWords = "; docs/coming-from.md has the words"

// otherSystems are tried in this order.
var otherSystems = []otherSystem{
	{
		what: "a unit of podman (quadlet)", endings: []string{".container", ".pod", ".kube", ".volume", ".network"},
		content: regexp.MustCompile(`(?m)^\[(Unit|Container|Pod|Kube|Volume|Network)\]`),
		bring:   `units that share a pod become one group: write group "NAME" { ... } into NAME.hcl, with an app, a sidecar or the ambassador for each .container`,
	},
	{
		what: "a job of Nomad", endings: []string{".nomad", ".json"},
		content: regexp.MustCompile(`(?m)^\s*(job\s+"[^"]*"\s*\{|\{?\s*"Job"\s*:)`),
		bring:   `write each group of the job as group "NAME" { ... } at the top of NAME.hcl, and each task in it as an app, a sidecar, an init or the ambassador`,
	},
	{
		what: "a file of Kubernetes", endings: []string{".yml", ".yaml", ".json"},
		content: regexp.MustCompile(`(?m)^[\s{]*"?apiVersion"?\s*:`),
		bring:   `a pod becomes a group: write group "NAME" { ... } into NAME.hcl, with each container as an app, a sidecar, an init or the ambassador`,
	},
	{
		what: "a compose file", endings: []string{".yml", ".yaml", ".json"},
		content: regexp.MustCompile(`(?m)^[\s{]*"?services"?\s*:`),
		bring:   `its services become a group: write group "NAME" { ... } into NAME.hcl, with each service as an app, a sidecar or the ambassador`,
	},
	{
		what: "a file that builds an image", endings: []string{".dockerfile", ".containerfile"}, names: []string{"dockerfile", "containerfile"},
		bring: `build the image elsewhere, and name it in a group file: image = "docker-archive:web.tar"`,
	},
}

// otherSystemOf returns the system that a file is of, or nil.
func otherSystemOf(path string, content []byte) *otherSystem {
	base := strings.ToLower(filepath.Base(path))
	for i, s := range otherSystems {
		named := path == stdinName || slices.Contains(s.names, base) || slices.Contains(s.endings, filepath.Ext(base))
		if named && (s.content != nil && s.content.Match(content) || s.content == nil && path != stdinName) {
			return &otherSystems[i]
		}
	}
	return nil
}

func (s *otherSystem) problem(path string) error {
	return usage(fmt.Errorf("%s: not a group file, but %s", path, s.what), s.bring+theWords)
}

// notGroupFile returns the error for a file whose name is not that of a group file.
func notGroupFile(ctx context.Context, path string) error {
	content, err := hostfile.Read(ctx, filepath.Dir(path), path, spec.MaxGroupFile)
	if err == nil {
		if s := otherSystemOf(path, content); s != nil {
			return s.problem(path)
		}
	}
	return usage(fmt.Errorf("%s: not a group file", path), "the name of a group file ends in .hcl or .hcl.json")
}

// noGroupFile returns the error for a folder without group files. It names a file of another system
// that is there.
func noGroupFile(ctx context.Context, dir string) error {
	entries, _ := hostfile.ReadDir(ctx, dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if content, err := hostfile.Read(ctx, dir, path, spec.MaxGroupFile); err == nil {
			if s := otherSystemOf(path, content); s != nil {
				return usage(fmt.Errorf("%s: no group file in this folder, but %s: %s", dir, s.what, e.Name()), s.bring+theWords)
			}
		}
	}
	return usage(fmt.Errorf("%s: no group file in this folder", dir), "the name of a group file ends in .hcl or .hcl.json")
}

// otherLanguage matches the beginning of a file of YAML, JSON or a unit, after comments. No group
// file begins so.
var otherLanguage = regexp.MustCompile(`^(?:\s*(?:[#;][^\n]*)?\n)*\s*(?:---|\{|\[|"?[A-Za-z]+"?\s*:)`)

// checkLanguage returns an error for a file with the name of a group file, or from standard input,
// that is one of another system by its content.
func checkLanguage(path string, content []byte) error {
	if !otherLanguage.Match(content) {
		return nil
	}
	if s := otherSystemOf(stdinName, content); s != nil {
		return s.problem(path)
	}
	return nil
}
