package promise

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
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

// transfer moves bytes through the ambassador for a while, and on until least have arrived at the
// far end, for a minute at most. It returns how many have arrived, and in what time.
func (b *bulk) transfer(t testing.TB, ns netns.NsHandle, direction byte, least int64, d time.Duration) (arrived int64, took time.Duration) {
	t.Helper()
	var c net.Conn
	machine.MustInNetns(t, ns, func() (err error) { c, err = net.DialTimeout("tcp", "127.0.0.1:9001", 20*time.Second); return err })
	defer c.Close()
	before, begun := b.got.Load(), time.Now()
	var in atomic.Int64
	count := func() int64 {
		if direction == 'o' {
			return b.got.Load() - before
		}
		return in.Load()
	}
	ended := make(chan error, 1)
	go func() {
		_, err := c.Write([]byte{direction})
		for buf := make([]byte, 32<<10); err == nil; {
			n := 0
			if direction == 'o' {
				_, err = c.Write(buf)
			} else {
				n, err = c.Read(buf)
			}
			in.Add(int64(n))
		}
		ended <- err
	}()
	// A door that shuts may end the connection at once. What had passed is still to be read at the
	// far end.
	time.Sleep(d)
	_ = machine.Retry(time.Minute-d, func() error {
		if arrived = count(); arrived < least {
			return fmt.Errorf("%d bytes", arrived)
		}
		return nil
	})
	took = time.Since(begun)
	c.SetDeadline(time.Now())
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Logf("the transfer ended early: %v", err)
	}
	return arrived, took
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
	machine.Eventually(t, time.Minute, "HAProxy listens", func() error {
		return machine.InNetns(ns, func() error {
			c, err := net.Dial("tcp", "127.0.0.1:9001")
			if err == nil {
				c.Close()
			}
			return err
		})
	})

	// 4Mbit are half a million bytes a second. The queue takes as much again at once. At that rate
	// the last count would take a minute.
	const rate, burst, few, many = 500_000, 500_000, 50_000, 30_000_000
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
		// In comes first: when the transfer is over, HAProxy still sends what it has accepted.
		for _, x := range []struct {
			way     string
			bounded bool
		}{{"in", step.boundIn}, {"out", step.boundOut}} {
			least := int64(many)
			if x.bounded {
				least = few
			}
			bytes, took := b.transfer(t, ns, x.way[0], least, time.Second)
			t.Logf("%-40q %s %9d bytes in %v", step.rate, x.way, bytes, took)
			if most := int64(rate*took.Seconds()) + burst; bytes < least || x.bounded && bytes > most || !x.bounded && bytes <= most {
				t.Errorf("%s with %q: %d bytes in %v, want %d at least, and with 4Mbit there are %d at most", x.way, step.rate, bytes, took, least, most)
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
	sum, _ := b.transfer(t, ns, 'o', 1<<19, 500*time.Millisecond)
	machine.Eventually(t, time.Minute, "the quota is spent", func() error {
		in, _ := b.transfer(t, ns, 'i', 0, 500*time.Millisecond)
		sum += in
		return machine.Contains(m.Run("status", "g"), "1MiB both ways together, spent")
	})
	if sum > 1<<20 || sum < 1<<19 {
		t.Errorf("%d bytes passed a door with a quota of %d", sum, 1<<20)
	}
	seen := machine.NewCapture(t, m.Host)
	m.MustNotReach(m.Remote, "the remote host", "tcp", machine.Host4, 8444)
	if n, _ := b.transfer(t, ns, 'i', 0, time.Second); n != 0 {
		t.Errorf("%d bytes came in through a door that is shut", n)
	}
	if frames := seen.Take(t, machine.AnyFrame); len(frames) > 0 {
		t.Errorf("frames left through a door that is shut: %v", frames)
	}
	for _, proto := range []string{"tcp", "udp"} { // members still reach one another
		m.MustReach(ns, "a member", proto, "127.0.0.1", 9000)
	}

	apply(`quota = "64MiB"`)
	m.MustReach(m.Remote, "the remote host", "tcp", machine.Host4, 8444)
	if n, _ := b.transfer(t, ns, 'i', 1<<21, time.Second); n < 1<<21 {
		t.Errorf("with a larger quota %d bytes came in", n)
	}
	if frames := seen.Take(t, machine.AnyFrame); len(frames) == 0 {
		t.Error("an open door was not seen at the capture either, which proves nothing")
	}
	if now := m.Pids("g"); !maps.Equal(before, now) {
		t.Errorf("a change of quota restarted something: %v, then %v", before, now)
	}
}
