package life

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// ward is a group whose containers are healthy only when the test makes them so. Each has a probe
// of another kind.
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
	if err := machine.GoBuild(program, "integration/patient"); err != nil {
		t.Fatal(err)
	}
	if err := machine.PackImage(archive, program+":/patient"); err != nil {
		t.Fatal(err)
	}
	return "oci-archive:" + archive
}

// TestProbes makes one container after the other ready, then lets a probe of each kind fail.
func TestProbes(t *testing.T) {
	text := fmt.Sprintf(ward, patientImage(t))
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) { probes(t, machine.New(t, server), text) })
	}
}

func probes(t *testing.T, m *machine.Machine, text string) {
	applied := make(chan error, 1)
	file := m.Write("ward.hcl", text)
	go func() {
		_, err := m.Try("apply", file)
		applied <- err
	}()
	machine.Eventually(t, time.Minute, "the group is taken up", func() error {
		if len(m.PS()) == 0 {
			return errors.New("there is no group")
		}
		return nil
	})
	expectWaiting(t, m, "door", "connect to 127.0.0.1:7001: connection refused", "door")
	touch(m, "door", "/ready")
	expectWaiting(t, m, "side", "grpc health of 127.0.0.1:7002: NOT_SERVING", "door", "side")
	touch(m, "side", "/ready")
	expectWaiting(t, m, "app", "exec /bin/busybox test -e /started: status 1", "app", "door", "side")
	touch(m, "app", "/started")
	expectWaiting(t, m, "app", "GET http://127.0.0.1:7003/ready: status 503 Service Unavailable: a headache", "app", "door", "side")
	touch(m, "app", "/ready")
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	whole := m.Pids("ward")

	m.Run("exec", "ward.app", "--", "rm", "/ready")
	expectWaiting(t, m, "app", "a headache", "app", "door", "side")
	if g := m.Status("ward"); g.State != group.Degraded {
		t.Errorf("the state is %s although the app is not ready", g.State)
	}
	touch(m, "app", "/ready")
	expectWhole(t, m, whole)

	m.Stop()
	m.Start()
	expectWhole(t, m, whole) // a container without a probe's answer yet is not unhealthy

	touch(m, "app", "/dead")
	machine.Eventually(t, machine.BeforeResync, "the dead app is started again, and it alone", func() error {
		now := m.Pids("ward")
		if now["app"] == 0 || now["app"] == whole["app"] || now["door"] != whole["door"] || now["side"] != whole["side"] {
			return fmt.Errorf("%v, then %v", whole, now)
		}
		return nil
	})
	touch(m, "app", "/started")
	touch(m, "app", "/ready")
	expectWhole(t, m, m.Pids("ward"))
	if c := containerStatus(t, m, "app"); c.Restarts != 1 {
		t.Errorf("started again %d times", c.Restarts)
	}
}

// TestProbesWithoutContainerd checks that a live probe that containerd does not carry out kills no
// container.
func TestProbesWithoutContainerd(t *testing.T) {
	m := machine.New(t, "")
	m.Apply("ward.hcl", fmt.Sprintf(`
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
`, machine.AttackImage))
	before := m.Pids("ward")
	thaw := m.FreezeContainerd(t)
	time.Sleep(5 * time.Second) // 25 intervals
	thaw()
	m.Run("exec", "ward.app", "--", "true") // containerd is there again
	if now := m.Pids("ward"); !maps.Equal(before, now) {
		t.Errorf("%v, then %v", before, now)
	}
	touch(m, "app", "/dead") // the control
	machine.Eventually(t, machine.BeforeResync, "the dead app is started again", func() error {
		if now := m.Pids("ward"); now["app"] == 0 || maps.Equal(before, now) {
			return fmt.Errorf("%v, then %v", before, now)
		}
		return nil
	})
}

// touch makes a file in a container.
func touch(m *machine.Machine, container, file string) {
	m.T.Helper()
	m.Run("exec", "ward."+container, "--", "touch", file)
}

// expectWaiting waits until only these containers run, and status gives the reason why one of them
// is not ready.
func expectWaiting(t testing.TB, m *machine.Machine, container, why string, running ...string) {
	t.Helper()
	machine.Eventually(t, time.Minute, container+" is not ready", func() error {
		g := m.Status("ward")
		for _, c := range g.Containers {
			if c.Name == container && !strings.Contains(c.Waiting, why) {
				return fmt.Errorf("it says %q, want %q", c.Waiting, why)
			}
		}
		if len(m.Pids("ward")) != len(running) {
			return fmt.Errorf("running: %v, want %v", m.Pids("ward"), running)
		}
		return nil
	})
}

// expectWhole waits until the group runs, and checks that it has the same processes.
func expectWhole(t testing.TB, m *machine.Machine, pids map[string]uint32) {
	t.Helper()
	machine.Eventually(t, time.Minute, "the group is whole", func() error {
		if g := m.Status("ward"); g.State != group.Running {
			return fmt.Errorf("it is %s: %s", g.State, g.Error)
		}
		return nil
	})
	if now := m.Pids("ward"); !maps.Equal(pids, now) {
		t.Errorf("%v, then %v", pids, now)
	}
}

func containerStatus(t testing.TB, m *machine.Machine, name string) group.ContainerStatus {
	t.Helper()
	for _, c := range m.Status("ward").Containers {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no container %s", name)
	return group.ContainerStatus{}
}
