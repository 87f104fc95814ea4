package main

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
)

func TestNewEnough(t *testing.T) {
	for release, want := range map[string]bool{
		"6.1.0-18-amd64": true, "5.16.0": true, "5.16": true, "5.15.19-generic": false, "4.19.0": false, "7.0-rc1": true, "custom": true,
	} {
		if got := newEnough(release); got != want {
			t.Errorf("newEnough(%q) = %v", release, got)
		}
	}
}

func TestRuncVersion(t *testing.T) {
	for _, c := range []struct {
		name, out, version string
		seccomp            bool
	}{
		{"Debian's", "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1\nspec: 1.0.2-dev\ngo: go1.19.8\nlibseccomp: 2.5.4\n", "1.1.5+ds1", true},
		{"without seccomp", "runc version 1.2.0\nspec: 1.2.0\n", "1.2.0", false},
		{"another program", "hello\n", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			version, seccomp := runcVersion(c.out)
			if version != c.version || seccomp != c.seccomp {
				t.Errorf("got %q, %v", version, seccomp)
			}
		})
	}
}

func TestOverlapping(t *testing.T) {
	prefix := netip.MustParsePrefix("10.209.0.0/16")
	for _, c := range []struct {
		name, route string
		want        bool
	}{
		{"default route", "0.0.0.0/0", false},
		{"beside", "10.208.0.0/16", false},
		{"inside", "10.209.7.0/24", true},
		{"around", "10.0.0.0/8", true},
		{"the other family", "fd00::/8", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, got := overlapping(prefix, []netip.Prefix{netip.MustParsePrefix(c.route)}); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestFinding(t *testing.T) {
	met := need{"runc", true, func(context.Context) (string, error) { return "1.1", nil }}
	not := need{"kernel", true, func(context.Context) (string, error) { return "", unmet("boot another", "kernel %s\nis old", "4.9") }}
	plain := need{"shim", false, func(context.Context) (string, error) { return "", errors.New("gone") }}
	var out strings.Builder
	for _, n := range []need{met, not, plain} {
		writeFinding(&out, n.find(t.Context()))
	}
	want := "ok    runc             1.1\n" +
		"FAIL  kernel           kernel 4.9; is old\n" +
		"                       -> boot another\n" +
		"FAIL  shim             gone\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if err := requireVital(t.Context(), []need{met, plain}); err != nil {
		t.Errorf("what isn't vital stops the daemon: %v", err)
	}
	if problem, ok := errors.AsType[*shim.Problem](requireVital(t.Context(), []need{met, plain, not})); !ok || problem.Hint != "boot another" {
		t.Errorf("the unmet vital need is not the daemon's error: %v", problem)
	}
}
