package examples

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// readme returns the first block of a language in the README, after a text.
func readme(t *testing.T, after, language string) string {
	t.Helper()
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), after)
	_, rest, _ = strings.Cut(rest, "```"+language+"\n")
	block, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatalf("the README has no block of %s after %q", language, after)
	}
	return block
}

const firstGroup = "\n## First group\n"

// The file that the README shows is the example, without the comment above it.
func TestReadmeShowsTheFirstExample(t *testing.T) {
	b, err := os.ReadFile("first/first.hcl")
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := strings.Cut(string(b), "\n\n")
	if got := readme(t, firstGroup, "hcl"); got != want {
		t.Errorf("the README shows\n%s\nand first/first.hcl is\n%s", got, want)
	}
}

// Every target of make that the README names is one.
func TestReadmeTargets(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	targets := regexp.MustCompile(`(?m)^\$ (?:sudo )?make ([a-z-]+)`).FindAllStringSubmatch(string(text), -1)
	if len(targets) == 0 {
		t.Error("the README names no target")
	}
	for _, m := range targets {
		if !strings.Contains(string(makefile), "\n"+m[1]+":") {
			t.Errorf("the README has make %s, and the Makefile has no such target", m[1])
		}
	}
}

// readmeWorld makes a network namespace in place of example.com. The script itself runs in one in
// place of the host. Links go with their namespaces.
const readmeWorld = `
set -eu
shopt -s expand_aliases
sudo() { "$@"; }
ip link set lo up
unshare --net "$PAYMENTS" -payments :80 &
world=$!
daemon=
finish() {
	if [ -n "$daemon" ]; then
		bin/sallyport --root /root/first rm first >/dev/null 2>&1 || true # it is there only if a command before failed
		kill "$daemon"
		wait "$daemon" || true
	fi
	kill "$world"
}
trap finish EXIT
until [ "$(readlink /proc/$world/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add up0 type veth peer name up0 netns "$world"
ip addr add 192.0.2.0/31 dev up0
ip link set up0 up
ip route add default via 192.0.2.1
nsenter --net=/proc/$world/ns/net ip addr add 192.0.2.1/31 dev up0
nsenter --net=/proc/$world/ns/net ip link set lo up
nsenter --net=/proc/$world/ns/net ip link set up0 up
`

// TestRootReadme types the commands under "First group" of the README and compares their output.
// The images are archives here and example.com is a service of the test. The variables of the file
// have these values from the environment.
func TestRootReadme(t *testing.T) {
	binary, images := os.Getenv("SALLYPORT_BIN"), os.Getenv("SALLYPORT_IMAGES")
	if os.Getuid() != 0 || binary == "" || images == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root, SALLYPORT_BIN and SALLYPORT_IMAGES")
		}
		t.Skip("needs root, SALLYPORT_BIN and SALLYPORT_IMAGES")
	}
	dir := t.TempDir()
	payments := filepath.Join(dir, "payments")
	build := exec.Command("go", "build", "-o", payments, "./checkout/payments")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	script, want := typed(readme(t, firstGroup, "console"))
	script = strings.NewReplacer("/root/first", filepath.Join(dir, "first"), "bin/sallyport", binary).Replace(readmeWorld + script)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--net", "bash", "-c", script)
	cmd.Dir = ".."
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), "PAYMENTS="+payments,
		"SALLYPORT_VAR_app=oci-archive:"+filepath.Join(images, "busybox.tar"),
		"SALLYPORT_VAR_proxy=oci-archive:"+filepath.Join(images, "haproxy.tar"),
		"SALLYPORT_VAR_world=192.0.2.1:80")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := seconds.ReplaceAllString(string(out), "TIME")
	for _, line := range append(want, "receipt 1") { // what the test's example.com answers
		if !strings.Contains(got, line) {
			t.Errorf("the README shows %q, and what came is\n%s", line, out)
		}
	}
}

var seconds = regexp.MustCompile(`\d[\d.]*(?:ms|s)\b`)

// typed returns a script of the commands on a console, and the lines that it shows as their output.
func typed(console string) (script string, shown []string) {
	var b strings.Builder
	for line := range strings.Lines(console) {
		command, isCommand := strings.CutPrefix(strings.TrimSpace(line), "$ ")
		typed, comment, _ := strings.Cut(command, "  #")
		switch {
		case !isCommand && command != "...":
			shown = append(shown, seconds.ReplaceAllString(command, "TIME"))
		case !isCommand:
		case strings.Contains(typed, " daemon "): // in a terminal of its own
			b.WriteString("(\nsudo() { exec \"$@\"; }\n" + typed + "\n) &\ndaemon=$!\nuntil sp ps >/dev/null 2>&1; do kill -0 $daemon; sleep 0.1; done\n")
		case strings.Contains(comment, "refused") && strings.Contains(typed, " exec "):
			b.WriteString("if " + typed + "; then echo it got out; exit 1; fi\n")
		default:
			b.WriteString(typed + "\n")
		}
	}
	return b.String(), shown
}
