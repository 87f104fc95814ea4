package life

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
)

// watched has an app that is refused one connection and ends, again and again. The third argument
// is a line of the ambassador.
const watched = `
group "watched" {
  app "web" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "echo begins; nc -w 2 %[2]s 80; exit 3"]
    output { size = "1MiB" }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop { signal = "SIGKILL" }
    resources { memory = "32MiB" }
  }
  ambassador "door" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop { signal = "SIGKILL" }
    quota = "1GiB"
    %[3]s
  }
}
`

// direct has a member that may leave.
const direct = `
group "direct" {
  egress = "direct"
  app "app" {
    image   = "%s"
    command = ["/bin/sleep", "1000"]
    stop { signal = "SIGKILL" }
  }
}
`

// scraped are the values of a scrape by their series.
type scraped map[string]float64

// scrape reads the metrics from the host of the daemon.
func scrape(m *machine.Machine, address string) (scraped, error) {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (conn net.Conn, err error) {
		err = machine.InNetns(m.Host, func() (err error) {
			conn, err = net.DialTimeout("tcp", address, 20*time.Second)
			return err
		})
		return conn, err
	}}}
	answer, err := client.Get("http://" + address + "/metrics")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	got := scraped{}
	for line := range strings.Lines(string(text)) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseFloat(value, 64); err == nil && !strings.HasPrefix(line, "#") {
			got[series] = n
		}
	}
	return got, err
}

// TestMetrics has a container that restarts and is refused something, and finds it in a scrape.
func TestMetrics(t *testing.T) {
	m := machine.NewIdle(t, "")
	configure(t, m, "metrics {\n  listen = \"127.0.0.1:9469\"\n}\n")
	m.Start()
	_, _ = m.Try("apply", m.Write("watched.hcl", fmt.Sprintf(watched, machine.AttackImage, machine.Victim4, ""))) // fails, because the app ends
	has := func(s scraped, series string, least, most float64) error {
		n, ok := s[series]
		if !ok || n < least || n > most {
			return fmt.Errorf("%s is %v (%v), want %v to %v", series, n, ok, least, most)
		}
		return nil
	}
	const many = 1e15
	machine.Eventually(t, time.Minute, "a scrape shows the restarts and the refusals", func() error {
		s, err := scrape(m, "127.0.0.1:9469")
		if err != nil {
			return err
		}
		var errs []error
		for _, x := range []struct {
			series      string
			least, most float64
		}{
			{`sallyport_container_restarts_total{container="web",group="watched"}`, 2, many},
			{`sallyport_container_last_exit_status{container="web",group="watched"}`, 3, 3},
			{`sallyport_container_ends_in_a_row{container="web",group="watched"}`, 2, many},
			{`sallyport_container_running{container="side",group="watched"}`, 1, 1},
			{`sallyport_container_memory_limit_bytes{container="side",group="watched"}`, 32 << 20, 32 << 20},
			{`sallyport_container_memory_bytes{container="side",group="watched"}`, 1, 32 << 20},
			{`sallyport_container_memory_working_set_bytes{container="side",group="watched"}`, 1, 32 << 20},
			{`sallyport_container_threads{container="side",group="watched"}`, 1, 10},
			{`sallyport_container_cpu_seconds_total{container="web",group="watched"}`, 1e-4, 100},
			{`sallyport_container_oom_kills_total{container="side",group="watched"}`, 0, 0},
			{`sallyport_container_output_bytes_total{container="web",group="watched"}`, 3 * float64(len("begins\n")), many},
			{`sallyport_container_output_stored_bytes{container="web",group="watched"}`, 1, 2 << 20},
			{`sallyport_container_denied_packets_total{container="web",group="watched"}`, 2, many},
			{`sallyport_door_denied_packets_total{group="watched",kind="members_tcp"}`, 2, many},
			{`sallyport_door_denied_packets_total{group="watched",kind="ambassador_allow"}`, 0, 0},
			{`sallyport_door_quota_bytes{group="watched"}`, 1 << 30, 1 << 30},
			{`sallyport_group_generation{group="watched"}`, 1, many},
			{`sallyport_group_reconciliations_total{group="watched"}`, 2, many},
			{`sallyport_events_total{kind="denied"}`, 1, many},
			{`sallyport_events_lost_total`, 0, 0},
			{`sallyport_uplink_route{family="ipv4"}`, 1, 1},
			{`sallyport_scrape_collector_success{collector="cgroups"}`, 1, 1},
			{`sallyport_scrape_collector_success{collector="door"}`, 1, 1},
			{`sallyport_scrape_collector_success{collector="groups"}`, 1, 1},
			{`sallyport_scrape_collector_success{collector="host"}`, 1, 1},
			{`sallyport_scrape_collector_success{collector="output"}`, 1, 1},
			{`process_resident_memory_bytes`, 1 << 20, 1 << 30},
		} {
			errs = append(errs, has(s, x.series, x.least, x.most))
		}
		return errors.Join(errs...)
	})

	// A containerd that hangs does not make a scrape hang. It is not asked.
	thaw := m.FreezeContainerd(t)
	s, err := scrape(m, "127.0.0.1:9469")
	if err != nil {
		t.Error(err)
	}
	for _, collector := range []string{"cgroups", "door", "groups", "host", "output"} { // one that hangs is given up, and has 0
		if err := has(s, `sallyport_scrape_collector_success{collector="`+collector+`"}`, 1, 1); err != nil {
			t.Errorf("while containerd hangs: %v", err)
		}
	}
	thaw()

	m.Run("rm", "watched")
	machine.Eventually(t, time.Minute, "a removed group is not shown", func() error {
		s, err := scrape(m, "127.0.0.1:9469")
		for series := range s {
			if strings.Contains(series, `group="watched"`) {
				return fmt.Errorf("%s is left", series)
			}
		}
		return err
	})
}

// TestMetricsReload opens, moves and closes the metrics while the daemon runs. Another program has
// one of the ports.
func TestMetricsReload(t *testing.T) {
	m := machine.NewIdle(t, "")
	machine.MustInNetns(t, m.Host, func() error { return machine.ServeEcho(t, "127.0.0.1:9470") })
	configure(t, m, "metrics {\n  listen = \"127.0.0.1:9470\"\n}\n")
	m.Start() // a port in use ends no daemon
	m.Out.WaitFor(t, "metrics are not served, trying again", "address already in use")
	if out, _ := m.Try("doctor"); machine.Contains(out, "the metrics are not served: open the port of the metrics") != nil {
		t.Errorf("doctor does not name the port:\n%s", out)
	}
	serves := func(address string) {
		t.Helper()
		machine.Eventually(t, time.Minute, "metrics at "+address, func() error { _, err := scrape(m, address); return err })
	}
	configure(t, m, "metrics {\n  listen = \"127.0.0.1:9469\"\n}\n")
	hangUp(t, m)
	serves("127.0.0.1:9469")

	configure(t, m, "log_level = \"debug\"\nmetrics {\n  listen = \"127.0.0.1:9470\"\n}\n")
	hangUp(t, m)
	m.Out.WaitFor(t, "configuration not read, so nothing of it changed", "sallyport.hcl:3: metrics.listen: open the port of the metrics")
	serves("127.0.0.1:9469")

	socket := filepath.Join(m.Root, "run", "metrics.sock")
	configure(t, m, "metrics {\n  listen = \""+socket+"\"\n}\n")
	hangUp(t, m)
	machine.Eventually(t, time.Minute, "a unix socket for root", func() error {
		info, err := os.Stat(socket)
		if err == nil && info.Mode().Perm() != 0o600 {
			err = fmt.Errorf("its mode is %v", info.Mode().Perm())
		}
		return err
	})
	if _, err := scrape(m, "127.0.0.1:9469"); err == nil {
		t.Error("metrics are at the earlier address too")
	}
	configure(t, m, "")
	hangUp(t, m)
	machine.Eventually(t, time.Minute, "the socket is gone", func() error {
		if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("it is there: %v", err)
		}
		return nil
	})
}

// TestMetricsAreOutOfReach tries every address of the host from every container of a group. Only an
// ambassador that is allowed to reads the metrics.
func TestMetricsAreOutOfReach(t *testing.T) {
	m := machine.NewIdle(t, "")
	configure(t, m, "metrics {\n  listen = \"[::]:9469\"\n}\n")
	m.Start()
	m.Out.WaitFor(t, "other hosts can read the metrics here")
	group := func(allow string) string {
		return strings.Replace(fmt.Sprintf(watched, machine.AttackImage, machine.Victim4, allow), "exit 3", "exec sleep 1000", 1)
	}
	m.Apply("watched.hcl", group(""))
	if _, err := scrape(m, machine.Host4+":9469"); err != nil {
		t.Fatalf("the host reads the metrics at its own address: %v", err)
	}
	m.Apply("direct.hcl", fmt.Sprintf(direct, machine.AttackImage))
	get := func(container, address string) (string, error) {
		return m.Try("exec", container, "--", "/bin/sh", "-c", `printf 'GET /metrics HTTP/1.0\r\n\r\n' | nc -w 2 `+address+` 9469`)
	}
	addresses := []string{"127.0.0.1", "::1", machine.Host4, machine.Host6}
	for _, a := range m.Status("watched").Addrs { // the host's ends of the link are next to the group's
		addr := netip.MustParseAddr(a)
		for _, next := range []netip.Addr{addr.Prev(), addr.Next()} {
			addresses = append(addresses, next.String())
		}
	}
	for _, container := range []string{"watched.web", "watched.side", "watched.door", "direct.app"} {
		for _, address := range addresses {
			if out, err := get(container, address); err == nil || strings.Contains(out, "HTTP") {
				t.Errorf("%s reads the metrics at %s: %.80s", container, address, out)
			}
		}
	}
	// The control: it is the rules that keep the ambassador out.
	m.Apply("watched.hcl", group(`allow = ["`+machine.Host4+`:9469/tcp"]`))
	if out, err := get("watched.door", machine.Host4); err != nil || !strings.Contains(out, "sallyport_build_info") {
		t.Errorf("an ambassador that is allowed to: %v, %.80s", err, out)
	}
	if _, err := get("watched.side", machine.Host4); err == nil {
		t.Error("a sidecar reads the metrics where the ambassador is allowed to")
	}
}
