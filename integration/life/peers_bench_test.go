package life

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/integration/machine"
)

// A peer is another way to do the same on this machine. Each command line ends with 0 when it is
// done.
type peer struct {
	up, down [][]string      // three containers that share a network namespace, and their end
	job      func() []string // one job that ends at once, with nothing left of it
	env      []string
}

// peerImage is the image of the benchmarks, as docker and podman name it.
const peerImage = "localhost/bench:latest"

// peers starts what docker and podman need, below a folder of the test. The daemon of docker has no
// bridge and no rules of the host.
func peers(b *testing.B, m *machine.Machine) map[string]peer {
	b.Helper()
	dir := b.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		return path
	}
	// The limits of podman are above what a container of its own may get here.
	conf := write("containers.conf", "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n"+
		"[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n")
	podmanEnv := []string{"CONTAINERS_CONF=" + conf}
	podman := []string{"podman", "--runtime", "runc", "--root", filepath.Join(dir, "podman"), "--runroot", filepath.Join(dir, "podman-run"), "--tmpdir", filepath.Join(dir, "podman-tmp")}
	socket := "unix://" + filepath.Join(dir, "docker.sock")
	docker := []string{"/usr/bin/docker", "-H", socket}
	compose := []string{"docker-compose", "-H", socket, "-f", write("docker-compose.yml", composeThree)}
	pod := write("pod.yaml", podThree)
	saved := filepath.Join(dir, "image.tar")

	daemon := exec.Command("dockerd", "--data-root", filepath.Join(dir, "docker"), "--exec-root", filepath.Join(dir, "docker-run"),
		"--pidfile", filepath.Join(dir, "docker.pid"), "-H", socket,
		"--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false")
	out := &machine.Output{}
	daemon.Stdout, daemon.Stderr = out, out
	if err := daemon.Start(); err != nil {
		b.Fatalf("start the daemon of docker: %v; run: make deps-peers", err)
	}
	b.Cleanup(func() {
		daemon.Process.Signal(syscall.SIGTERM)
		daemon.Wait()
	})
	if err := machine.Retry(30*time.Second, func() error { return exec.Command(docker[0], slices.Concat(docker[1:], []string{"info"})...).Run() }); err != nil {
		b.Fatalf("the daemon of docker does not answer: %v\n%s", err, out)
	}
	loaded := command(b, podmanEnv, with(podman, "load", "-q", "-i", strings.TrimPrefix(machine.AttackImage, "oci-archive:")))
	_, loaded, _ = strings.Cut(strings.TrimSpace(loaded), ": ")
	command(b, podmanEnv, with(podman, "tag", loaded, peerImage))
	b.Cleanup(func() { command(b, podmanEnv, with(podman, "system", "reset", "-f")) })
	command(b, podmanEnv, with(podman, "save", "-q", "--format", "docker-archive", "-o", saved, peerImage))
	command(b, nil, with(docker, "load", "-q", "-i", saved))

	sleep := []string{peerImage, "/bin/sleep", "1000"}
	return map[string]peer{
		"podman": {
			env: podmanEnv,
			up:  [][]string{with(podman, "kube", "play", "-q", "--network", "none", pod)}, down: [][]string{with(podman, "kube", "down", pod)},
			job: func() []string { return with(podman, "run", "--rm", "--network", "none", peerImage, "/bin/true") },
		},
		"docker": {
			up: [][]string{
				with(docker, slices.Concat([]string{"run", "-d", "--name", "app", "--network", "none"}, sleep)...),
				with(docker, slices.Concat([]string{"run", "-d", "--name", "side", "--network", "container:app"}, sleep)...),
				with(docker, slices.Concat([]string{"run", "-d", "--name", "amb", "--network", "container:app"}, sleep)...),
			},
			down: [][]string{with(docker, "rm", "-f", "app", "side", "amb")},
			job:  func() []string { return with(docker, "run", "--rm", "--network", "none", peerImage, "/bin/true") },
		},
		"compose": {up: [][]string{with(compose, "up", "-d")}, down: [][]string{with(compose, "down", "-t", "0")}},
	}
}

const composeThree = `version: "2"
services:
  app: {image: ` + peerImage + `, command: [/bin/sleep, "1000"], network_mode: none}
  side: {image: ` + peerImage + `, command: [/bin/sleep, "1000"], network_mode: "service:app"}
  amb: {image: ` + peerImage + `, command: [/bin/sleep, "1000"], network_mode: "service:app"}
`

const podThree = `apiVersion: v1
kind: Pod
metadata: {name: three}
spec:
  containers:
  - {name: app, image: ` + peerImage + `, command: [/bin/sleep, "1000"]}
  - {name: side, image: ` + peerImage + `, command: [/bin/sleep, "1000"]}
  - {name: amb, image: ` + peerImage + `, command: [/bin/sleep, "1000"]}
`

func with(command []string, args ...string) []string { return slices.Concat(command, args) }

// command runs one to its end, and returns what it printed.
func command(b *testing.B, env, args []string) string {
	b.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// endsAtOnce is a template whose only container ends at once.
const endsAtOnce = `
group "job" {
  egress = "none"
  app "app" {
    image   = "%s"
    command = ["/bin/true"]
    restart { policy = "never" }
  }
}
`

// BenchmarkPeers starts groups of three and runs jobs, each by Sallyport and by everyone else, turn
// by turn. It reports medians in ms, and how many jobs a second each runs one by one and by eight.
func BenchmarkPeers(b *testing.B) {
	for name, server := range machine.Servers(b) {
		b.Run(name, func(b *testing.B) { benchmarkPeers(b, machine.New(b, server)) })
	}
}

func benchmarkPeers(b *testing.B, m *machine.Machine) {
	all := peers(b, m)
	three := m.Write("c.hcl", fmt.Sprintf(three, machine.AttackImage, "c"))
	m.Run("apply", three) // imports the image
	m.Run("rm", "c")
	template := m.Write("job.hcl", fmt.Sprintf(endsAtOnce, machine.AttackImage))
	ctr := []string{"ctr", "-a", filepath.Join(m.Root, "run", "containerd", "containerd.sock"), "-n", m.ContainerdNamespace()}
	image, _, _ := strings.Cut(command(b, nil, with(ctr, "images", "ls", "-q")), "\n")
	var id atomic.Int64
	all["ctr"] = peer{job: func() []string {
		return with(ctr, "run", "--rm", image, "job-"+strconv.FormatInt(id.Add(1), 10), "/bin/true")
	}}
	ours := func(args ...string) []string { return with([]string{m.Binary, "--root", m.Root}, args...) }
	all["sallyport"] = peer{
		up: [][]string{ours("apply", three)}, down: [][]string{ours("rm", "c")},
		job: func() []string { return ours("run", template) },
	}
	names := slices.Sorted(maps.Keys(all))
	ups, jobs := map[string][]time.Duration{}, map[string][]time.Duration{}
	for b.Loop() {
		for _, name := range names {
			p := all[name]
			if p.up != nil {
				ups[name] = append(ups[name], took(func() { each(b, p.env, p.up) }))
				each(b, p.env, p.down)
				time.Sleep(settle)
			}
			if p.job != nil {
				jobs[name] = append(jobs[name], took(func() { command(b, p.env, p.job()) }))
				time.Sleep(settle)
			}
		}
	}
	for _, name := range names {
		if ups[name] != nil {
			b.ReportMetric(ms(median(ups[name])), "up-"+name+"-ms")
		}
		if p := all[name]; p.job != nil {
			b.ReportMetric(ms(median(jobs[name])), "run-"+name+"-ms")
			b.ReportMetric(perSecond(b, p, 1), "run-"+name+"/s")
			b.ReportMetric(perSecond(b, p, 8), "run-by-eight-"+name+"/s")
		}
	}
	b.ReportMetric(float64(median(jobs["sallyport"]))/float64(median(jobs["ctr"])), "run/ctr")
	b.ReportMetric(0, "ns/op")
}

// perSecond returns how many jobs a second end, with so many at once.
func perSecond(b *testing.B, p peer, atOnce int) float64 {
	const jobs = 40
	var g errgroup.Group
	g.SetLimit(atOnce)
	span := took(func() {
		for range jobs {
			g.Go(func() error {
				args := p.job()
				cmd := exec.Command(args[0], args[1:]...)
				cmd.Env = append(os.Environ(), p.env...)
				if out, err := cmd.CombinedOutput(); err != nil {
					return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
	})
	return jobs / span.Seconds()
}

func took(do func()) time.Duration {
	start := time.Now()
	do()
	return time.Since(start)
}

func each(b *testing.B, env []string, commands [][]string) {
	b.Helper()
	for _, args := range commands {
		command(b, env, args)
	}
}
