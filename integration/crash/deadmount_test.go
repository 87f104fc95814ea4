package crash

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
)

// A deadMount is a file system that is mounted and answers no request, as a network mount whose
// server is gone.
type deadMount struct {
	t    *testing.T
	path string
	fuse int
}

// newDeadMount mounts one. The caller ends it.
func newDeadMount(t *testing.T, path string) *deadMount {
	t.Helper()
	d := &deadMount{t: t, path: path}
	if err := os.Mkdir(d.path, 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	if d.fuse, err = unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		machine.Need(t, "no /dev/fuse: "+err.Error())
	}
	if err := unix.Mount("dead", d.path, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", d.fuse)); err != nil {
		unix.Close(d.fuse)
		t.Fatal(err)
	}
	d.answerInit()
	return d
}

// fuseInit is the first request of the kernel, see linux/fuse.h.
const fuseInit = 26

// answerInit answers the first request, without which the kernel sends no other.
func (d *deadMount) answerInit() {
	d.t.Helper()
	d.await()
	buf := make([]byte, 1<<17)
	if n, err := unix.Read(d.fuse, buf); err != nil || n < 40 || binary.NativeEndian.Uint32(buf[4:]) != fuseInit {
		d.t.Fatalf("the first request: %d bytes, %v", n, err)
	}
	answer := make([]byte, 16+64) // fuse_out_header, fuse_init_out
	binary.NativeEndian.PutUint32(answer, uint32(len(answer)))
	copy(answer[8:16], buf[8:16]) // its number
	binary.NativeEndian.PutUint32(answer[16:], 7)
	binary.NativeEndian.PutUint32(answer[20:], 31)
	binary.NativeEndian.PutUint32(answer[36:], 4096) // max_write
	if _, err := unix.Write(d.fuse, answer); err != nil {
		d.t.Fatal(err)
	}
}

// await waits for a request and leaves it where it is. A process whose request was taken can't be
// killed (request_wait_answer in fs/fuse/dev.c), unlike one that waits for a network mount.
func (d *deadMount) await() {
	d.t.Helper()
	fds := []unix.PollFd{{Fd: int32(d.fuse), Events: unix.POLLIN}}
	for end := time.Now().Add(30 * time.Second); ; {
		n, err := unix.Poll(fds, int(time.Until(end).Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n == 0 || err != nil {
			d.t.Fatalf("the dead mount gets no request: %v", err)
		}
		return
	}
}

// end fails all requests and unmounts. A second call does nothing.
func (d *deadMount) end() {
	if d.fuse < 0 {
		return
	}
	if err := errors.Join(unix.Close(d.fuse), unix.Unmount(d.path, unix.MNT_DETACH)); err != nil {
		d.t.Error(err)
	}
	d.fuse = -1
}

// namesDead is a group that names a file. %[1]s is an image, %[2]s the file.
const namesDead = `
group "slow" {
  egress = "none"
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop    { signal = "SIGKILL" }
    file "/data" { source = "%[2]s" }
  }
}
`

// calm is a group without such a file. %[1]s is an image, %[2]s a word.
const calm = `
group "calm" {
  egress = "none"
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    env     = { WORD = "%[2]s" }
    stop    { signal = "SIGKILL" }
  }
}
`

// soon runs a command that must end before a read of the dead mount is given up, after 10 s. On a
// busy machine, where one apply takes the time usual, it has longer.
func soon(m *machine.Machine, usual time.Duration, args ...string) string {
	m.T.Helper()
	begun := time.Now()
	out := m.Run(args...)
	if took := time.Since(begun); took > 5*time.Second+3*usual {
		m.T.Errorf("%s took %v", args[0], took)
	}
	return out
}

// stopSoon ends the daemon as soon as that.
func stopSoon(m *machine.Machine, usual time.Duration) {
	m.T.Helper()
	begun := time.Now()
	m.Stop()
	if took := time.Since(begun); took > 5*time.Second+3*usual {
		m.T.Errorf("the daemon took %v to end", took)
	}
}

// A group file names a file on a mount that answers nothing. All other groups are listed, stopped,
// started and applied meanwhile, also while the daemon starts. Daemon and command end when they are
// asked to.
func TestDeadMount(t *testing.T) {
	t.Parallel()
	m := machine.New(t, "")
	begun := time.Now()
	m.Apply("calm.hcl", fmt.Sprintf(calm, machine.AttackImage, "one"))
	usual := time.Since(begun)
	dead, theirs := newDeadMount(t, filepath.Join(m.Root, "dead")), newDeadMount(t, filepath.Join(m.Root, "theirs"))
	m.Unmount = func() { dead.end(); theirs.end() }
	defer m.Unmount() // before the machine's own end, which needs the daemon's
	slow := filepath.Join(m.Groups, "slow.hcl")
	if err := os.WriteFile(slow, fmt.Appendf(nil, namesDead, machine.AttackImage, filepath.Join(dead.path, "data")), 0o600); err != nil {
		t.Fatal(err)
	}
	dead.await()
	soon(m, usual, "ps")
	soon(m, usual, "stop", "calm")
	if pids := m.Pids("calm"); len(pids) > 0 {
		t.Errorf("stopped: %v", pids)
	}
	soon(m, usual, "start", "calm")
	soon(m, usual, "apply", m.Write("calm.hcl", fmt.Sprintf(calm, machine.AttackImage, "two")))
	stopSoon(m, usual)

	// The command, interrupted while it reads.
	command := exec.Command(m.Binary, "--root", m.Root, "validate", filepath.Join(theirs.path, "mine.hcl"))
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.await()
	interrupted := time.Now()
	command.Process.Signal(syscall.SIGINT)
	err := command.Wait()
	if took := time.Since(interrupted); took > 9*time.Second || command.ProcessState.Success() { // the read ends after 10 s
		t.Errorf("the interrupted command took %v: %v\n%s", took, err, stderr.String())
	}

	// The next daemon, during its first load. If the load has ended before all was seen, there is
	// another one.
	machine.Eventually(t, 2*time.Minute, "the daemon serves while it starts", func() error {
		m.Launch()
		defer stopSoon(m, usual)
		loaded := func() bool { return strings.Contains(m.Out.String(), "group files are read") }
		if err := machine.Retry(time.Minute, func() error {
			out, err := m.Try("ps")
			if err = errors.Join(err, machine.Contains(out, "calm", "starting", "until the daemon has read the group files")); loaded() {
				return nil
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if soon(m, usual, "stop", "calm"); loaded() {
			m.Run("start", "calm")
			return errors.New("the first load has ended, so nothing was shown")
		}
		return nil
	})
	dead.end()
	m.Start()
	if st := m.Status("calm"); st.State != "stopped" || len(m.Pids("calm")) > 0 {
		t.Errorf("calm, which was stopped during the first load, is %s", st.State)
	}
	if err := os.Remove(slow); err != nil {
		t.Fatal(err)
	}
}
