package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/layout"
)

// A check tests one thing that a host must have before it can keep the promise of a group. doctor
// runs all checks. The daemon refuses to start if a required one fails.
type check struct {
	name     string
	required bool
	// run returns what it found, in a few words, or an error with a hint. A *note is no failure.
	run func(ctx context.Context) (found string, err error)
}

// A result is the outcome of a check. Its JSON is doctor's.
type result struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Note  bool   `json:"note,omitempty"` // not a failure, but the operator should know
	Found string `json:"found,omitempty"`
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// A note is the error of a check that found no failure, but something that the operator should
// know.
type note struct{ text, hint string }

// Error returns the note's text.
func (n *note) Error() string { return n.text }

func (c check) result(ctx context.Context) result {
	found, err := c.run(ctx)
	if n, ok := errors.AsType[*note](err); ok {
		return result{Name: c.name, OK: true, Note: true, Found: n.text, Hint: n.hint}
	}
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 { // "root" has the hint
		return result{Name: c.name, OK: true, Note: true, Found: "not known without root"}
	}
	if err != nil {
		return result{Name: c.name, Error: err.Error(), Hint: hintOf(err)}
	}
	return result{Name: c.name, OK: true, Found: found}
}

// runRequired runs the required checks and returns the error of the first that fails.
func runRequired(ctx context.Context, checks []check) error {
	for _, c := range checks {
		if !c.required {
			continue
		}
		if _, err := c.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hostChecks lists the checks for a daemon with this layout. A cause comes before its consequences.
// The self-test is not marked as required. The daemon runs it later by itself, because it must take
// its lock before it makes anything.
func hostChecks(l layout.Layout, rt runtimeFlags, conf *configuration) []check {
	test := selfTestOnce(l)
	return []check{
		{"root", true, checkRoot},
		{"folders", true, func(context.Context) (string, error) { return checkFolders(l, rt, conf) }},
		{"kernel", true, checkKernel},
		{"cgroup v2", true, checkCgroup2},
		{"seccomp", true, checkSeccomp},
		{"security modules", false, checkModules},
		{rt.runtimeName(), true, func(ctx context.Context) (string, error) { return checkRuntime(ctx, rt.Runtime) }},
		{rt.runtimeName() + " escapes", false, func(ctx context.Context) (string, error) { return checkEscapes(ctx, rt.Runtime) }},
		{"containerd", false, func(ctx context.Context) (string, error) { return checkContainerd(ctx, l, rt) }},
		{"containerd shim", false, checkContainerdShim},
		{"nftables", true, checkNFTables},
		{"forwarding", false, func(context.Context) (string, error) { return checkForwarding(l.ForwardingPath()) }},
		{"forward policy", false, func(context.Context) (string, error) { return checkForwardPolicy(l.Table) }},
		{"addresses", false, func(context.Context) (string, error) { return checkPrefixes(l) }},
		{"disks", false, func(ctx context.Context) (string, error) { return checkDisks(ctx, l, rt) }},
		{"output", false, func(ctx context.Context) (string, error) { return checkOutput(ctx, l) }},
		{"resolvers", false, checkResolvers},
		{"shared counts", false, checkCounts},
		{"limits", false, checkLimits},
		{"state files", false, func(context.Context) (string, error) { return checkState(l) }},
		{"self-test", false, func(ctx context.Context) (string, error) { return checkSelf(ctx, test) }},
		{"abstract sockets", false, func(ctx context.Context) (string, error) { return checkAbstract(ctx, test) }},
		{"refusals", false, func(ctx context.Context) (string, error) { return checkRefusals(ctx, test) }},
	}
}

// unmet returns an error for something that the host lacks, with a hint.
func unmet(hint_, format string, args ...any) error {
	return &hint.Error{Err: fmt.Errorf(format, args...), Hint: hint_}
}
