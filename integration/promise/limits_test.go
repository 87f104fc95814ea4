package promise

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/sallyport/sallyport/integration/machine"
)

// bulkPort is where the remote host discards what it is sent, and sends without end.
const bulkPort = 9100

// metered passes bytes on to the remote host through HAProxy. %[3]s is the limit in the words of a
// group file.
const metered = `
group "g" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "listen", "9000"]
  }
  ambassador "amb" {
    image = "%[2]s"
    upstream "bulk" { listen = 9001 }
    publish "echo" {
      host = 8444
      port = 7444
    }
    %[3]s
    file "/etc/haproxy/haproxy.cfg" {
      content = <<EOT
defaults
    timeout connect 2s
    timeout client 20s
    timeout server 20s
listen bulk
    bind 127.0.0.1:9001
    server remote ` + machine.Remote4 + `:9100
listen echo
    bind :7444
    server app 127.0.0.1:9000
EOT
    }
  }
}
`

// bulk is the remote end of transfers.
type bulk struct{ got atomic.Int64 }

func serveBulk(t testing.TB, s *machine.Network) *bulk {
	t.Helper()
	b := &bulk{}
	var l net.Listener
	machine.MustInNetns(t, s.Remote, func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort(machine.Remote4, fmt.Sprint(bulkPort)))
		return err
	})
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go b.serve(c)
		}
	}()
	return b
}

// serve obeys the first byte that it reads: 'o' discards what comes, 'i' sends.
func (b *bulk) serve(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 32<<10)
	if _, err := c.Read(buf[:1]); err != nil {
		return
	}
	for out := buf[0] == 'o'; ; {
		n, err := 0, error(nil)
		if out {
			n, err = c.Read(buf)
			b.got.Add(int64(n))
		} else {
			_, err = c.Write(buf)
		}
		if err != nil {
			return
		}
	}
}

// transfer moves bytes through the ambassador for a while, and returns how many arrived at the far
// end.
func (b *bulk) transfer(t testing.TB, ns netns.NsHandle, direction byte, d time.Duration) (arrived int64) {
	t.Helper()
	var c net.Conn
	machine.MustInNetns(t, ns, func() (err error) { c, err = net.DialTimeout("tcp", "127.0.0.1:9001", time.Second); return err })
	defer c.Close()
	before := b.got.Load()
	end := time.Now().Add(d)
	c.SetDeadline(end)
	if _, err := c.Write([]byte{direction}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := 0, error(nil)
		if direction == 'o' {
			_, err = c.Write(buf)
		} else {
			n, err = c.Read(buf)
		}
		arrived += int64(n)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			t.Logf("the transfer ended early: %v", err)
			break
		}
	}
	if direction == 'o' {
		// A door that shuts may end the connection at once. What had passed is still to be read at
		// the far end.
		time.Sleep(time.Until(end))
		return b.got.Load() - before
	}
	return arrived
}

// TestRate checks that the file limits how much passes in a second in each direction, and that its
// next version applies to what runs. Without a rate ten times as much passes, so the test
// measured the rate.
func TestRate(t *testing.T) {
	m := machine.New(t, "")
	b := serveBulk(t, m.Network)
	apply := func(rate string) {
		m.Apply("g.hcl", fmt.Sprintf(metered, machine.AttackImage, machine.Image(t, "haproxy"), rate))
	}
	apply("")
	ns := m.Netns("g")
	before := m.Pids("g")
	const took = time.Second
	// In comes first: when the transfer is over, HAProxy still sends what it has accepted.
	measure := func() (in, out int64) { return b.transfer(t, ns, 'i', took), b.transfer(t, ns, 'o', took) }
	machine.Eventually(t, 5*time.Second, "HAProxy listens", func() error {
		return machine.InNetns(ns, func() error {
			c, err := net.Dial("tcp", "127.0.0.1:9001")
			if err == nil {
				c.Close()
			}
			return err
		})
	})

	// 4Mbit are half a million bytes. The margin is for what the queue takes at once, and for a
	// slow machine.
	const bound = 1_000_000
	for _, step := range []struct {
		rate              string
		boundOut, boundIn bool
	}{
		{"", false, false},
		{"rate { out = \"4Mbit\" }", true, false},
		{"rate { in = \"4Mbit\" }", false, true},
		{"rate {\n out = \"4Mbit\"\n in = \"4Mbit\"\n}", true, true},
		{"rate {\n out = \"1Gbit\"\n in = \"1Gbit\"\n}", false, false},
	} {
		apply(step.rate)
		in, out := measure()
		t.Logf("%-40q out %9d bytes, in %9d bytes", step.rate, out, in)
		for _, x := range []struct {
			way     string
			bytes   int64
			bounded bool
		}{{"out", out, step.boundOut}, {"in", in, step.boundIn}} {
			if x.bounded && (x.bytes > bound || x.bytes < bound/20) {
				t.Errorf("%s with %q: %d bytes in %v, want about half a million", x.way, step.rate, x.bytes, took)
			}
			if !x.bounded && x.bytes < 5*bound {
				t.Errorf("%s with %q: %d bytes in %v, too few to tell from a bound", x.way, step.rate, x.bytes, took)
			}
		}
	}
	if now := m.Pids("g"); !maps.Equal(before, now) {
		t.Errorf("a change of rate restarted something: %v, then %v", before, now)
	}
}

// TestQuota checks that nothing passes in either direction after the number of bytes in the file,
// both ways together. Members still reach one another. A larger quota lets traffic pass again.
func TestQuota(t *testing.T) {
	m := machine.New(t, "")
	b := serveBulk(t, m.Network)
	apply := func(quota string) {
		m.Apply("g.hcl", fmt.Sprintf(metered, machine.AttackImage, machine.Image(t, "haproxy"), quota))
	}
	apply(`quota = "1MiB"`)
	before := m.Pids("g")
	ns := m.Netns("g")
	m.MustReach(m.Remote, "the remote host", "tcp", machine.Host4, 8444)

	// Bytes that are not acknowledged when the quota is spent may have arrived, so a transfer ends
	// below the quota or at it.
	out := b.transfer(t, ns, 'o', 500*time.Millisecond)
	in := b.transfer(t, ns, 'i', 500*time.Millisecond)
	if sum := out + in; sum > 1<<20 || sum < 1<<19 {
		t.Errorf("%d bytes out and %d in passed a door with a quota of %d", out, in, 1<<20)
	}
	seen := machine.NewCapture(t, m.Host)
	m.MustNotReach(m.Remote, "the remote host", "tcp", machine.Host4, 8444)
	if n := b.transfer(t, ns, 'i', time.Second); n != 0 {
		t.Errorf("%d bytes came in through a door that is shut", n)
	}
	if frames := seen.Take(t, machine.AnyFrame); len(frames) > 0 {
		t.Errorf("frames left through a door that is shut: %v", frames)
	}
	if !machine.Reached(t, ns, "tcp", "127.0.0.1", 9000) || !machine.Reached(t, ns, "udp", "127.0.0.1", 9000) {
		t.Error("members don't reach one another once the quota is spent")
	}
	if said := m.Run("status", "g"); !strings.Contains(said, "1MiB both ways together, spent") {
		t.Errorf("status doesn't show the quota:\n%s", said)
	}

	apply(`quota = "64MiB"`)
	m.MustReach(m.Remote, "the remote host", "tcp", machine.Host4, 8444)
	if n := b.transfer(t, ns, 'i', time.Second); n < 1<<21 {
		t.Errorf("with a larger quota %d bytes came in", n)
	}
	if frames := seen.Take(t, machine.AnyFrame); len(frames) == 0 {
		t.Error("an open door was not seen at the capture either, which proves nothing")
	}
	if now := m.Pids("g"); !maps.Equal(before, now) {
		t.Errorf("a change of quota restarted something: %v, then %v", before, now)
	}
}
