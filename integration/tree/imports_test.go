package tree

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// importLaw lists which of our own packages each package may import. Imports point down only, and
// siblings don't see each other. "x/..." is x and everything below it. The first line that matches
// a package counts. A package that no line matches is an error.
var importLaw = []importRule{
	{pkg: "spec", may: []string{"spec/cron"}},
	{pkg: "spec/cron"},
	{pkg: "netns/...", may: []string{"netns/..."}}, // netnstest included, which "testing" below keeps out of the rest
	{pkg: "shim/reaper"}, {pkg: "shim/hint"}, {pkg: "shim/pathwatch"}, {pkg: "shim/logs", may: []string{"shim/logs/times", "shim/logs/wanted"}}, {pkg: "shim/logs/times"}, {pkg: "shim/logs/removed", may: []string{"shim/layout"}},
	{pkg: "shim/logs/bound", may: []string{"shim/layout", "shim/logs/times", "shim/logs/wanted", "shim/logs/removed"}},
	{pkg: "shim/logs/wanted", may: []string{"shim/disk"}},
	{pkg: "shim/logs/journald", may: []string{"shim/layout", "shim/logs/times", "shim/logs/wanted", "shim/disk"}},
	{pkg: "shim/config", may: []string{"spec"}},
	{pkg: "shim/hostfile", may: []string{"spec"}},
	{pkg: "shim/disk", may: []string{"shim/hostfile", "shim/hint"}},
	{pkg: "shim/layout", may: []string{"spec"}},
	{pkg: "shim/host", may: []string{"spec", "shim/hint"}},
	{pkg: "shim/diff", may: []string{"spec"}},
	{pkg: "shim/group", may: []string{"spec", "shim/diff", "shim/host", "shim/hint"}},
	{pkg: "shim/restart", may: []string{"spec", "shim/host"}, tests: []string{"shim/hosttest"}},
	{pkg: "shim/reach", may: []string{"spec"}, tests: []string{"shim/hosttest"}},
	{pkg: "shim/plan", may: []string{"spec", "shim/host", "shim/group", "shim/restart", "shim/layout", "shim/hint"}, tests: []string{"shim/hosttest"}},
	{pkg: "shim/schedule", may: []string{"spec", "spec/cron"}},
	{pkg: "shim/lockfile"},
	{pkg: "shim/prune", may: []string{"spec", "shim/host"}},
	{pkg: "shim/promise", may: []string{"spec"}},
	{pkg: "shim/oci", may: []string{"spec", "shim/host", "shim/hint", "shim/promise"}},
	{pkg: "shim/journal", may: []string{"shim/group", "shim/layout", "shim/disk", "shim/hostfile", "shim/hint"}, tests: []string{"shim/host"}},
	{pkg: "shim/store", may: []string{"spec", "shim/diff", "shim/group", "shim/restart", "shim/layout", "shim/disk", "shim/hostfile", "shim/hint", "shim/lockfile"}, tests: []string{"shim/hosttest"}},
	{pkg: "shim/denials", may: []string{"spec", "shim/host", "shim/group", "shim/journal", "shim/layout", "shim/disk"}, tests: []string{"shim/hosttest"}},
	{pkg: "shim/probes", may: []string{"spec", "shim/host", "shim/hint"}},
	{pkg: "shim/linux/quota", may: []string{"shim/host", "shim/disk"}, tests: []string{"netns/netnstest", "shim/linux/quota/quotatest"}},
	{pkg: "shim/linux/quota/quotatest", may: []string{"netns/netnstest"}},
	{pkg: "shim/linux/secrets", may: []string{"spec", "shim/host", "shim/hostfile", "shim/layout", "shim/hint"}, tests: []string{"netns/netnstest"}},
	{pkg: "shim/linux/...", may: []string{"spec", "netns/...", "shim/host", "shim/layout", "shim/disk", "shim/hint", "shim/linux/quota", "shim/linux/thread"}, tests: []string{"netns/netnstest", "shim/reach", "shim/linux/..."}},
	{pkg: "shim/ctrd/archive", may: []string{"shim/hostfile", "shim/hint"}, tests: []string{"shim/ctrd/ctrdtest"}},
	{pkg: "shim/ctrd/registry", may: []string{"shim/host", "shim/hostfile", "shim/disk", "shim/hint"}},
	{pkg: "shim/ctrd/child", may: []string{"shim/hint", "shim/pathwatch"}, tests: []string{"shim/ctrd/ctrdtest"}},
	{pkg: "shim/ctrd/apparmor", may: []string{"shim/hint"}},
	{pkg: "shim/ctrd/devices", may: []string{"spec", "shim/oci", "shim/promise", "shim/hint"}},
	{pkg: "shim/ctrd/ctrdtest"},
	{pkg: "shim/signed", may: []string{"spec", "shim/disk"}, tests: []string{"shim/signed/signedtest"}},
	{pkg: "shim/signed/signedtest"},
	{pkg: "shim/ctrd", may: []string{"spec", "netns/cgroup", "shim/oci", "shim/reaper", "shim/ctrd/archive", "shim/ctrd/registry", "shim/signed", "shim/ctrd/apparmor", "shim/ctrd/devices", "shim/linux/inside", "shim/linux/secrets", "shim/host", "shim/hostfile", "shim/logs/bound", "shim/disk", "shim/layout", "shim/hint"},
		tests: []string{"netns/netnstest", "shim/ctrd/child", "shim/ctrd/ctrdtest", "shim/signed/signedtest", "shim/hosttest/contract"}},
	{pkg: "shim/runner", may: []string{"spec", "shim/plan", "shim/reach", "shim/store", "shim/journal", "shim/probes", "shim/restart",
		"shim/group", "shim/host", "shim/layout", "shim/hint"}, tests: []string{"shim/hosttest"}},
	{pkg: "shim/keeper", may: []string{"spec", "shim/runner", "shim/plan", "shim/prune", "shim/schedule", "shim/reach", "shim/restart", "shim/store", "shim/journal", "shim/diff", "shim/group",
		"shim/host", "shim/layout", "shim/hint"}, tests: []string{"shim/hosttest", "shim/disk", "shim/lockfile", "shim/logs/removed", "shim/signed/signedtest"}},
	{pkg: "shim/api", may: []string{"shim/diff", "shim/group", "shim/host", "shim/hint", "shim/pathwatch"}, tests: []string{"spec"}},
	{pkg: "shim/metrics", may: []string{"spec", "shim/group", "shim/host"}},
	{pkg: "shim/hosttest", may: []string{"spec", "shim/host", "shim/hint", "shim/layout", "shim/hosttest/contract"}, tests: []string{"shim/runner"}},
	{pkg: "shim/hosttest/contract", may: []string{"spec", "shim/host", "shim/hint", "shim/layout", "shim/runner"}},
	{pkg: "cmd/sallyport/pages"}, // the daemon is built without it
	{pkg: "cmd/...", may: []string{"spec", "shim/...", "netns/..."}, tests: []string{"cmd/sallyport/pages"}},
	{pkg: "examples", tests: []string{"spec", "shim/keeper", "shim/layout"}},
	{pkg: "examples/..."},
	{pkg: "integration/attack"},
	{pkg: "integration/patient"},
	{pkg: "integration/mkimage"},
	{pkg: "integration/machine", may: []string{"netns/netnstest", "shim/api", "shim/group", "shim/host"}},
	{pkg: "integration/field", tests: []string{"integration/machine", "spec", "shim/keeper", "shim/layout"}},
	{pkg: "integration/...", tests: []string{"integration/machine", "spec", "shim/..."}},
}

type importRule struct {
	pkg   string
	may   []string
	tests []string // imported by its tests only
}

// foreignLaw lists which packages may depend on a module that is not ours. No other package may.
var foreignLaw = []struct {
	path   string
	direct bool // the law is about imports; else about everything that a package depends on
	only   []string
	reason string
}{
	{path: "github.com/containerd/", only: []string{"shim/ctrd", "shim/ctrd/apparmor", "shim/ctrd/archive", "shim/ctrd/registry", "cmd/..."},
		reason: "only shim/ctrd and what is below it speak containerd"},
	{path: "github.com/sigstore/", only: []string{"shim/signed", "shim/ctrd", "cmd/..."}, reason: "signatures are verified in one place"},
	{path: "oras.land/oras-go/v2", only: []string{"shim/ctrd", "shim/ctrd/registry", "cmd/..."}, reason: "logins are read in one place"},
	{path: "tags.cncf.io/container-device-interface", only: []string{"shim/ctrd/devices", "shim/ctrd", "cmd/..."}, reason: "CDI specs are read in one place"},
	{path: "github.com/google/nftables", only: []string{"netns/...", "shim/linux/network", "cmd/..."}, reason: hostAlone},
	{path: "github.com/vishvananda/", only: []string{"netns/...", "shim/linux/network", "shim/linux/probe", "cmd/..."}, reason: hostAlone},
	{path: "github.com/cilium/ebpf", only: []string{"netns/...", "shim/linux/network", "cmd/..."}, reason: hostAlone},
	{path: "google.golang.org/grpc", only: []string{"shim/ctrd", "shim/ctrd/apparmor", "shim/ctrd/registry", "shim/linux/probe", "cmd/..."},
		reason: "containerd and the grpc probe are called by it, and nothing else"},
	// spec's diagnostics are HCL's, so all that knows a group depends on it.
	{path: "github.com/hashicorp/hcl/v2", direct: true, only: []string{"spec", "shim/config", "shim/lockfile", "shim/store", "cmd/..."},
		reason: "others have the values of spec, and errors that are words already"},
	{path: "github.com/zclconf/go-cty", direct: true, only: []string{"spec"}, reason: "HCL's values stay in spec"},
	{path: "github.com/prometheus/", only: []string{"shim/metrics", "cmd/..."}, reason: "others hand in values, and metrics are made in one place"},
	{path: "github.com/alecthomas/kong", only: []string{"cmd/..."}, reason: "the command line is the command's"},
	{path: "github.com/robfig/cron/v3", direct: true, only: []string{"spec/cron"}, reason: "it knows no time zone whose clocks change at midnight"},
	{path: "testing", reason: "what tests use stays in tests"},
}

const hostAlone = "only what touches the host's network has it; all else is the same on every machine"

// closedLaw lists everything that a package may import besides the standard library.
var closedLaw = map[string][]string{
	"shim/promise": {"github.com/opencontainers/runtime-spec/specs-go", "golang.org/x/sys/unix", modulePath + "/spec"},
}

// clientLaw lists what nothing that talks to the daemon may depend on, so that a client stays
// small.
var clientLaw = []string{
	modulePath + "/netns", modulePath + "/shim/keeper", modulePath + "/shim/runner", modulePath + "/shim/store",
	modulePath + "/shim/journal", modulePath + "/shim/plan", "github.com/containerd", "github.com/google/nftables",
	"github.com/vishvananda",
}

// daemonFiles are the files of the command that hold the daemon and what checks its host. All other
// files are those of a client.
var daemonFiles = []string{
	"check_disks.go",      // a check of doctor, and what the daemon answers
	"check_groups.go",     // reads the store where no daemon answers
	"check_kernel.go",     // a check of doctor
	"check_modules.go",    // a check of doctor
	"check_network.go",    // a check of doctor
	"check_registries.go", // a check of doctor, and what the daemon answers
	"check_runtime.go",    // a check of doctor
	"containerd.go", "containerd_private.go", "daemon.go", "daemon_runs.go",
	"failpoint.go", "failpoint_calls.go", "failpoint_off.go",
	"main.go",       // starts the helpers of the self-test
	"metrics.go",    // serves, for the daemon
	"plan.go",       // plans without a daemon
	"registries.go", // settings, for the daemon
}

// testPackages exist for tests, and may import what belongs there.
var testPackages = []string{"netns/netnstest", "netns/netnsbench", "shim/ctrd/ctrdtest", "shim/signed/signedtest", "shim/linux/quota/quotatest", "shim/hosttest/...", "integration/..."}

func TestImportLaw(t *testing.T) {
	for _, p := range listPackages(t) {
		pkg := ours(p.ImportPath)
		i := slices.IndexFunc(importLaw, func(r importRule) bool { return covers(r.pkg, pkg) })
		if i < 0 {
			t.Errorf("%s: no line of the import law is for it", pkg)
			continue
		}
		law := importLaw[i]
		for _, err := range breaches(pkg, p.Imports, law.may) {
			t.Error(err)
		}
		for _, err := range breaches(pkg, slices.Concat(p.TestImports, p.XTestImports), slices.Concat(law.may, law.tests)) {
			t.Error("test of ", err)
		}
	}
}

func TestForeignLaw(t *testing.T) {
	for _, p := range listPackages(t) {
		pkg := ours(p.ImportPath)
		for _, law := range foreignLaw {
			if slices.ContainsFunc(slices.Concat(law.only, testPackages), func(pattern string) bool { return covers(pattern, pkg) }) {
				continue
			}
			deps := p.Deps
			if law.direct {
				deps = p.Imports
			}
			if i := slices.IndexFunc(deps, func(dep string) bool { return within(law.path, dep) }); i >= 0 {
				t.Errorf("%s depends on %s: %s", pkg, deps[i], law.reason)
			}
		}
	}
}

// A line that allows what is never done would hide the day when it is done.
func TestForeignLawAllowsWhatIsNeeded(t *testing.T) {
	pkgs := listPackages(t)
	for _, law := range foreignLaw {
		for _, pattern := range law.only {
			if !slices.ContainsFunc(pkgs, func(p listedPackage) bool {
				deps := p.Deps
				if law.direct {
					deps = p.Imports
				}
				return covers(pattern, ours(p.ImportPath)) && slices.ContainsFunc(deps, func(dep string) bool { return within(law.path, dep) })
			}) {
				t.Errorf("%s may depend on %s, and doesn't: take it out of the law", pattern, law.path)
			}
		}
	}
}

func TestClosedLaw(t *testing.T) {
	pkgs := listPackages(t)
	for pkg, may := range closedLaw {
		i := slices.IndexFunc(pkgs, func(p listedPackage) bool { return ours(p.ImportPath) == pkg })
		if i < 0 {
			t.Errorf("the law is about %s, and there is no such package", pkg)
			continue
		}
		for _, path := range pkgs[i].Imports {
			if !isStandard(path) && !slices.Contains(may, path) {
				t.Errorf("%s imports %s; besides the standard library it may import %v", pkg, path, may)
			}
		}
	}
}

// The daemon's client is shim/api and the verbs of the command.
func TestClientDependsOnValues(t *testing.T) {
	deps := map[string][]string{} // by import path
	var verbs listedPackage
	for _, p := range listPackages(t) {
		deps[p.ImportPath] = p.Deps
		if ours(p.ImportPath) == "cmd/sallyport" {
			verbs = p
		}
	}
	check := func(what, pkg string) {
		for _, dep := range append([]string{pkg}, deps[pkg]...) {
			if slices.ContainsFunc(clientLaw, func(path string) bool { return within(path, dep) }) {
				t.Errorf("%s depends on %s, through %s: a client depends on values", what, ours(dep), ours(pkg))
			}
		}
	}
	check("shim/api", modulePath+"/shim/api")
	for _, name := range daemonFiles {
		if !slices.Contains(verbs.GoFiles, name) && name != "failpoint_off.go" {
			t.Errorf("cmd/sallyport has no %s: take it out of daemonFiles", name)
		}
	}
	for _, name := range verbs.GoFiles {
		if slices.Contains(daemonFiles, name) {
			continue
		}
		f := parseGo(t, "cmd/sallyport/"+name, readTracked(t, "cmd/sallyport/"+name))
		for _, i := range f.syntax.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			check(f.name, path)
		}
	}
}

// The law has a test of its own, because a pattern that matches nothing would forbid nothing.
func TestBreaches(t *testing.T) {
	for _, tt := range []struct {
		name    string
		imports []string
		may     []string
		want    int
	}{
		{"not ours", []string{"fmt", "github.com/hashicorp/hcl/v2"}, nil, 0},
		{"nothing allowed", []string{modulePath + "/shim"}, nil, 1},
		{"allowed", []string{modulePath + "/shim"}, []string{"shim"}, 0},
		{"below what is allowed", []string{modulePath + "/shim/api"}, []string{"shim"}, 1},
		{"allowed with all below", []string{modulePath + "/netns", modulePath + "/netns/egress"}, []string{"netns/..."}, 0},
		{"name that only begins alike", []string{modulePath + "/netnsx"}, []string{"netns/..."}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := breaches("pkg", tt.imports, tt.may); len(got) != tt.want {
				t.Errorf("%d breaches %v, want %d", len(got), got, tt.want)
			}
		})
	}
}

// breaches lists the imports of our own packages that no pattern in may covers.
func breaches(pkg string, imports, may []string) (errs []error) {
	for _, path := range imports {
		imported, isOurs := strings.CutPrefix(path, modulePath+"/")
		if !isOurs || imported == pkg {
			continue
		}
		if !slices.ContainsFunc(may, func(pattern string) bool { return covers(pattern, imported) }) {
			errs = append(errs, fmt.Errorf("%s imports %s; it may import %v", pkg, imported, may))
		}
	}
	return errs
}

// within reports whether an import path is path or below it.
func within(path, dep string) bool {
	path = strings.TrimSuffix(path, "/")
	return dep == path || strings.HasPrefix(dep, path+"/")
}

// isStandard reports whether an import path is the standard library's: no host is in it.
func isStandard(path string) bool {
	host, _, _ := strings.Cut(path, "/")
	return !strings.Contains(host, ".")
}

func covers(pattern, pkg string) bool {
	below, all := strings.CutSuffix(pattern, "/...")
	if !all {
		return pkg == pattern
	}
	return pkg == below || strings.HasPrefix(pkg, below+"/")
}

func ours(importPath string) string { return strings.TrimPrefix(importPath, modulePath+"/") }
