package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/shim"
)

// A need is one thing a host must have before a group can be kept to its promise. doctor checks them all; the daemon
// refuses to start without the vital ones.
type need struct {
	name  string
	vital bool
	// check returns what it found, in a few words, or an error that says what to do.
	check func(ctx context.Context) (found string, err error)
}

// A finding is a need and how it is met; its JSON is doctor's.
type finding struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Note  bool   `json:"note,omitempty"` // no failing, and yet to be seen
	Found string `json:"found,omitempty"`
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

func (n need) find(ctx context.Context) finding {
	found, err := n.check(ctx)
	if r, ok := errors.AsType[*remark](err); ok {
		return finding{Name: n.name, OK: true, Note: true, Found: r.text, Hint: r.hint}
	}
	if err != nil {
		return finding{Name: n.name, Error: err.Error(), Hint: hintOf(err)}
	}
	return finding{Name: n.name, OK: true, Found: found}
}

// requireVital returns the first vital need that isn't met.
func requireVital(ctx context.Context, needs []need) error {
	for _, n := range needs {
		if !n.vital {
			continue
		}
		if _, err := n.check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hostNeeds lists what a daemon with this layout needs, the cause before what follows from it. The self-test isn't marked
// vital because the daemon runs it by itself, later: it takes the lock before it makes anything.
func hostNeeds(l shim.Layout, rt runtimeFlags) []need {
	return []need{
		{"root", true, checkRoot},
		{"kernel", true, checkKernel},
		{"cgroup v2", true, checkCgroup2},
		{"seccomp", true, checkSeccomp},
		{"runc", true, checkRunc},
		{"containerd", false, func(ctx context.Context) (string, error) { return checkContainerd(ctx, l, rt) }},
		{"containerd shim", false, checkContainerdShim},
		{"nftables", true, checkNFTables},
		{"forwarding", false, checkForwarding},
		{"forward policy", false, func(context.Context) (string, error) { return checkForwardPolicy(l.Table) }},
		{"addresses", false, func(context.Context) (string, error) { return checkPrefixes(l.Prefix4, l.Prefix6) }},
		{"resolvers", false, checkResolvers},
		{"self-test", false, func(ctx context.Context) (string, error) { return checkSelf(ctx, l) }},
	}
}

// unmet is an unmet need and what to do about it.
func unmet(hint, format string, args ...any) error {
	return &shim.Problem{Err: fmt.Errorf(format, args...), Hint: hint}
}
