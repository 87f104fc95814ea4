package life

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
)

// TestExampleShipped checks that what a container prints leaves its group by its sidecars and the
// ambassador: rsyslog sends both of its streams, and the shipper one. Without the ambassador's
// allowance nothing leaves. With it again the shipper sends all of it. rsyslog sends what is new:
// the proxy had taken its earlier lines, and syslog over TCP confirms nothing.
func TestExampleShipped(t *testing.T) {
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) {
			m := machine.New(t, server)
			posted, syslog := m.Payments(), &machine.Output{}
			if err := machine.InNetns(m.Remote, func() error { return serveLines(t, machine.Remote4+":5140", syslog) }); err != nil {
				t.Fatal(err)
			}
			const file = "../../examples/shipped/shipped.hcl"
			m.Apply("shipped.hcl", notAllowed(t, file))
			machine.Eventually(t, time.Minute, "the shipper holds its lines back", func() error {
				return machine.Contains(m.Run("logs", "shipped.shipper"), "holding lines back")
			})
			if got := posted.String() + syslog.String(); strings.Contains(got, "order") {
				t.Errorf("without allowance this left: %s", got)
			}
			m.Run("apply", file)
			posted.WaitFor(t, "log line from "+machine.Host4+": order 1\n", ": order 3\n")
			syslog.WaitFor(t, "<134>", " web: order ", "<131>", " web: stock is low after order ")
			if out := m.Fails(1, "exec", "shipped.web", "--", "/bin/ls", "/var/log/group"); !strings.Contains(out, "No such file") {
				t.Errorf("the app sees the output: %s", out)
			}
		})
	}
}

// notAllowed returns the text of the example with another allowance for its ambassador.
func notAllowed(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Dir(filepath.Dir(dir))
	changed := strings.NewReplacer("../..", root, `source = "`, `source = "`+dir+"/", "/32:8081/tcp", "/32:9/tcp", "/32:5140/tcp", "/32:10/tcp").Replace(string(text))
	if strings.Count(changed, "/32:9/tcp") != 1 || strings.Count(changed, "/32:10/tcp") != 1 {
		t.Fatalf("the example's allowance is not found:\n%s", text)
	}
	return changed
}

// serveLines writes the lines that come by TCP to an output, until the test ends.
func serveLines(t *testing.T, addr string, to *machine.Output) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			go func() {
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					_, _ = to.Write(append(lines.Bytes(), '\n'))
				}
			}()
		}
	}()
	return nil
}
