package main

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/config"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/spec"
)

type validateVerb struct {
	groupArgs
	All  bool `help:"Print all mistakes, not only the first 20."`
	JSON bool `name:"json" help:"Print JSON, with all mistakes."`
}

// A validation is printed by validate with --json. The files are valid if no diagnostic is an
// error.
type validation struct {
	Groups         []validGroup `json:"groups"`         // empty if a file has a mistake
	Configurations []string     `json:"configurations"` // files that are the daemon's configuration, and valid
	Diagnostics    []diagnostic `json:"diagnostics"`
}

// A validGroup is a group of a file that has no mistake.
type validGroup struct {
	Name       string      `json:"name"`
	File       string      `json:"file"`
	Containers int         `json:"containers"` // how many it has
	Egress     spec.Egress `json:"egress"`
	Notes      []string    `json:"notes,omitempty"` // what this host does not have: an address of a published port
}

// Run prints one line for each valid group, and for each valid configuration of the daemon.
func (v *validateVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	configurations, r, err := v.validate(ctx, ui, in.conf.path)
	if err != nil && countErrors(ui.mistakes) == 0 {
		return err
	}
	if v.JSON {
		out := validation{[]validGroup{}, append([]string{}, configurations...), append([]diagnostic{}, ui.mistakes...)}
		for _, g := range r.groups {
			out.Groups = append(out.Groups, validGroup{g.Name, g.Pos.File, len(g.Containers), g.Egress, addressNotes(&g)})
		}
		return cmp.Or(ui.json(out), err)
	}
	if err != nil {
		return err
	}
	for _, path := range configurations {
		ui.sayf("%s: ok (the daemon's configuration)", path)
	}
	for _, g := range r.groups {
		ui.sayf("%s: ok (%s, egress %s)", g.Name, plural(len(g.Containers), "container"), g.Egress)
		for _, note := range addressNotes(&g) {
			ui.notef("note: group %s: %s", g.Name, note)
		}
	}
	return nil
}

// addressNotes has a note for each port that is published at an address that this host does not
// have.
func addressNotes(g *spec.Group) (notes []string) {
	ambassador := g.Ambassador()
	if ambassador == nil {
		return nil
	}
	for _, p := range ambassador.Publish {
		if note := p.AddressNote(hasAddress); note != "" {
			notes = append(notes, note)
		}
	}
	return notes
}

// hasAddress reports whether this host has an address. It binds a socket to it for a moment. After
// any other error than EADDRNOTAVAIL it may have the address.
func hasAddress(a netip.Addr) bool {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err == nil {
		_ = c.Close()
	}
	return !errors.Is(err, syscall.EADDRNOTAVAIL)
}

func (v *validateVerb) validate(ctx context.Context, ui *ui, own string) (configurations []string, r reading, err error) {
	configurations, err = v.validateConfigurations(ctx, ui, own)
	if err != nil || len(configurations) > 0 && len(v.Paths) == 0 {
		return configurations, reading{}, err
	}
	most := mostMistakes
	if v.All {
		most = math.MaxInt
	}
	r, err = v.read(ctx, ui, most)
	return configurations, r, err
}

// validateConfigurations takes the daemon's configurations out of the arguments, and returns their
// paths. It prints every mistake in them. What can't be read stays, for an error of [groupArgs].
// The file at the path own is taken as the instance's configuration. Its content does not count.
func (v *validateVerb) validateConfigurations(ctx context.Context, ui *ui, own string) (valid []string, err error) {
	contents := map[string][]byte{}
	var diags hcl.Diagnostics
	v.Paths = slices.DeleteFunc(v.Paths, func(path string) bool {
		if path == stdinArg {
			return false
		}
		if info, err := hostfile.Stat(ctx, path); err != nil || info.IsDir() {
			return false
		}
		src, err := hostfile.Read(ctx, filepath.Dir(path), path, spec.MaxGroupFile)
		if err != nil {
			return false
		}
		if abs, err := filepath.Abs(path); !config.Is(path, src) && (err != nil || abs != own) {
			return false
		}
		_, found := config.Parse(path, src)
		contents[path], diags, valid = src, append(diags, found...), append(valid, path)
		return true
	})
	if err := ui.diagnose(contents, diags, diags); err != nil {
		return nil, err
	}
	if diags.HasErrors() {
		return nil, exitStatus(statusUsage)
	}
	return valid, nil
}
