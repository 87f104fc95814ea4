package netnstest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/netns/cgroup"
)

// ListsAs compares a table of a namespace with a file written by hand, which the nft command loads
// into another namespace. Both namespaces must list the same. In the file, each key of replace is
// replaced by its value.
func ListsAs(t testing.TB, ns *os.File, table, file string, replace map[string]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wanted := string(text)
	for from, to := range replace {
		wanted = strings.ReplaceAll(wanted, from, to)
	}
	if diff := cmp.Diff(loaded(t, table, wanted), listed(t, table, ns)); diff != "" {
		t.Errorf("%s (-%s +the table made here):\n%s", table, file, diff)
	}
}

// listings has what the nft command lists of a table once it has loaded a text. Policies are
// compared in all pairs, and each text is loaded once.
var listings sync.Map

func loaded(t testing.TB, table, text string) string {
	t.Helper()
	known, ok := listings.Load(table + "\n" + text)
	if !ok {
		ns := NewNamespace(t)
		NFT(t, ns, text, "-f", "-")
		known, _ = listings.LoadOrStore(table+"\n"+text, listed(t, table, ns))
	}
	return known.(string)
}

func listed(t testing.TB, table string, ns *os.File) string {
	t.Helper()
	return normal(NFT(t, ns, "", "-s", "list", "table", "inet", table))
}

// NFT runs the nft command in a namespace and returns what it printed.
func NFT(t testing.TB, ns *os.File, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("nsenter", append([]string{"--net=/proc/self/fd/3", "nft"}, args...)...)
	cmd.ExtraFiles = []*os.File{ns}
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("nft %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

var (
	elements = regexp.MustCompile(`(?s)elements = \{(.*?)\}`)
	spaces   = regexp.MustCompile(`\s+`)
	parts    = regexp.MustCompile(`(?ms)^\t\w+ \w+ \{\n.*?^\t\}\n`)
	anySize  = regexp.MustCompile(`(?m)^\t\tsize 65535\n`) // shown only after a rule has filled the set
)

// normal sorts the elements of sets, which the kernel lists in any order, and the counters, sets
// and chains, which it lists as they were made.
func normal(listing string) string {
	var found []string
	listing = parts.ReplaceAllStringFunc(anySize.ReplaceAllString(listing, ""), func(part string) string {
		found = append(found, strings.TrimSpace(part)+"\n")
		return ""
	})
	slices.Sort(found)
	listing = strings.ReplaceAll(listing, "\n\n", "\n") + strings.Join(found, "")
	return elements.ReplaceAllStringFunc(listing, func(s string) string {
		list := strings.Split(spaces.ReplaceAllString(elements.FindStringSubmatch(s)[1], " "), ",")
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
		slices.Sort(list)
		return "elements = { " + strings.Join(list, ", ") + " }"
	})
}

// CgroupName returns a cgroup's name for the nft command: its path below /sys/fs/cgroup.
func CgroupName(t testing.TB, h cgroup.Hierarchies, path string) string {
	t.Helper()
	name, err := filepath.Rel("/sys/fs/cgroup", filepath.Join(h.V2, path))
	if err != nil || strings.HasPrefix(name, "..") {
		t.Skipf("nft can't name %s: cgroup v2 is mounted at %s", path, h.V2)
	}
	return name
}
