package integration

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim"
)

// ward is a group whose containers are well only when they are told so, each asked in another way.
const ward = `
group "ward" {
  ambassador "door" {
    image   = "%[1]s"
    command = ["/patient", "tcp", "7001"]
    probe "ready" { tcp = { port = 7001 } }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/patient", "grpc", "7002"]
    probe "ready" { grpc = { port = 7002 } }
  }
  app "app" {
    image   = "%[1]s"
    command = ["/patient", "http", "7003"]
    stop { timeout = "1s" }
    probe "startup" {
      exec     = ["/bin/busybox", "test", "-e", "/started"]
      interval = "1s"
      failures = 120
    }
    probe "ready" {
      http     = { port = 7003, path = "/ready" }
      interval = "200ms"
      failures = 1
    }
    probe "live" {
      http     = { port = 7003, path = "/live" }
      interval = "200ms"
    }
  }
}
`

// patientImage packs the program and a busybox.
func patientImage(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	program, archive := filepath.Join(dir, "patient"), filepath.Join(dir, "patient.tar")
	if err := gobuild(program, "./patient"); err != nil {
		t.Fatal(err)
	}
	if err := command("go", "run", "../examples/mkimage", "-o", archive, "--applets", "/bin/busybox",
		program+":/patient", "/bin/busybox:/bin/busybox"); err != nil {
		t.Fatal(err)
	}
	return "oci-archive:" + archive
}

// TestProbes takes a group up one readiness after the other, then has a probe of each kind fail.
func TestProbes(t *testing.T) {
	text := fmt.Sprintf(ward, patientImage(t))
	for name, server := range servers(t) {
		t.Run(name, func(t *testing.T) { probes(t, newMachine(t, server), text) })
	}
}

func probes(t *testing.T, m *machine, text string) {
	applied := make(chan error, 1)
	file := m.write("ward.hcl", text)
	go func() {
		_, err := m.try("apply", file)
		applied <- err
	}()
	eventually(t, 10*time.Second, "the group is taken up", func() error {
		if len(m.ps()) == 0 {
			return errors.New("there is no group")
		}
		return nil
	})
	m.waits(t, "door", "connect to 127.0.0.1:7001: connection refused", "door")
	m.tell("door", "/ready")
	m.waits(t, "side", "grpc health of 127.0.0.1:7002: NOT_SERVING", "door", "side")
	m.tell("side", "/ready")
	m.waits(t, "app", "exec /bin/busybox test -e /started: status 1", "app", "door", "side")
	m.tell("app", "/started")
	m.waits(t, "app", "GET http://127.0.0.1:7003/ready: status 503 Service Unavailable: a headache", "app", "door", "side")
	m.tell("app", "/ready")
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	whole := m.pids("ward")

	m.run("exec", "ward.app", "--", "rm", "/ready")
	m.waits(t, "app", "a headache", "app", "door", "side")
	if g := m.status("ward"); g.State != shim.Degraded {
		t.Errorf("the state is %s although the app is not ready", g.State)
	}
	m.tell("app", "/ready")
	m.whole(t, whole)

	m.stop()
	m.start()
	m.whole(t, whole) // whom nobody has asked yet is not ill

	m.tell("app", "/dead")
	eventually(t, 20*time.Second, "the dead app is started again, and it alone", func() error {
		now := m.pids("ward")
		if now["app"] == 0 || now["app"] == whole["app"] || now["door"] != whole["door"] || now["side"] != whole["side"] {
			return fmt.Errorf("%v, then %v", whole, now)
		}
		return nil
	})
	m.tell("app", "/started")
	m.tell("app", "/ready")
	m.whole(t, m.pids("ward"))
	if c := m.container(t, "app"); c.Restarts != 1 {
		t.Errorf("started again %d times", c.Restarts)
	}
}

// TestProbesWithoutContainerd: a live probe that containerd does not carry out costs nobody his life.
func TestProbesWithoutContainerd(t *testing.T) {
	m := newMachine(t, "")
	m.apply("ward.hcl", fmt.Sprintf(`
group "ward" {
  egress = "none"
  app "app" {
    image   = "%s"
    command = ["/bin/busybox", "sleep", "1000"]
    stop { timeout = "1s" }
    probe "live" {
      exec     = ["/bin/busybox", "test", "!", "-e", "/dead"]
      interval = "200ms"
      failures = 2
    }
  }
}
`, attackImage))
	before := m.pids("ward")
	thaw := m.freezeContainerd(t)
	time.Sleep(5 * time.Second) // 25 intervals
	thaw()
	m.run("exec", "ward.app", "--", "true") // containerd is there again
	if now := m.pids("ward"); !equal(before, now) {
		t.Errorf("%v, then %v", before, now)
	}
	m.tell("app", "/dead") // the control
	eventually(t, 20*time.Second, "the dead app is started again", func() error {
		if now := m.pids("ward"); now["app"] == 0 || equal(before, now) {
			return fmt.Errorf("%v, then %v", before, now)
		}
		return nil
	})
}

// freezeContainerd keeps the daemon's containerd from doing anything until it is let go on.
func (m *machine) freezeContainerd(t testing.TB) (thaw func()) {
	t.Helper()
	found := regexp.MustCompile(`msg="started a private containerd".* pid=(\d+)`).FindStringSubmatch(m.out.String())
	if found == nil {
		t.Fatalf("no containerd in what the daemon said:\n%s", m.out)
	}
	pid, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	thaw = sync.OnceFunc(func() { syscall.Kill(pid, syscall.SIGCONT) })
	t.Cleanup(thaw)
	return thaw
}

// tell makes a file in a container.
func (m *machine) tell(container, file string) {
	m.t.Helper()
	m.run("exec", "ward."+container, "--", "touch", file)
}

// waits waits until only these containers run, and the status says why one of them is not ready.
func (m *machine) waits(t testing.TB, container, why string, running ...string) {
	t.Helper()
	eventually(t, 20*time.Second, container+" is not ready", func() error {
		g := m.status("ward")
		for _, c := range g.Containers {
			if c.Name == container && !strings.Contains(c.Waiting, why) {
				return fmt.Errorf("it says %q, want %q", c.Waiting, why)
			}
		}
		if len(m.pids("ward")) != len(running) {
			return fmt.Errorf("running: %v, want %v", m.pids("ward"), running)
		}
		return nil
	})
}

// whole waits until the group runs, with the processes it had.
func (m *machine) whole(t testing.TB, pids map[string]uint32) {
	t.Helper()
	eventually(t, 20*time.Second, "the group is whole", func() error {
		if g := m.status("ward"); g.State != shim.Running {
			return fmt.Errorf("it is %s: %s", g.State, g.Error)
		}
		return nil
	})
	if now := m.pids("ward"); !equal(pids, now) {
		t.Errorf("%v, then %v", pids, now)
	}
}

func (m *machine) container(t testing.TB, name string) shim.ContainerStatus {
	t.Helper()
	for _, c := range m.status("ward").Containers {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no container %s", name)
	return shim.ContainerStatus{}
}
