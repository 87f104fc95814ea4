package metrics_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/metrics"
	"github.com/sallyport/sallyport/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "rewrite the golden files")

var morning = time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)

func value[T any](v T) *T { return &v }

// A fake has two groups: one with everything, and one that is stopped and has no rules.
type fake struct {
	hang   map[string]chan struct{} // a read of that name waits until it is closed
	broken map[string]error

	mu    sync.Mutex
	reads map[string]int
}

func (f *fake) read(name string) error {
	f.mu.Lock()
	if f.reads == nil {
		f.reads = map[string]int{}
	}
	f.reads[name]++
	f.mu.Unlock()
	if c := f.hang[name]; c != nil {
		<-c
	}
	return f.broken[name]
}

func (f *fake) Status(string) ([]group.Status, error) {
	if err := f.read("status"); err != nil {
		return nil, err
	}
	shop := group.Status{
		Name: "shop", State: group.Degraded, Egress: spec.EgressAmbassador, Generation: 7, Since: morning, TrialEnds: morning.Add(time.Minute),
		Error: "web (app) has ended", Door: spec.Door{Quota: 1 << 30},
		Containers: []group.ContainerStatus{
			{Name: "proxy", Role: spec.Ambassador, Image: "haproxy:3", Task: host.TaskRunning, Ready: true, StartedAt: morning.Add(1500 * time.Millisecond)},
			{Name: "web", Role: spec.App, Image: "web\xff", Task: host.TaskStopped, Restarts: 4, EndsInARow: 3, ExitStatus: value(uint32(137)), OOMKilled: true},
			{Name: "left", Task: host.TaskUnknown},
		},
		Bounds: []host.Bound{{Container: "web", Size: 1 << 20, Used: 1 << 19, Hard: true}, {Volume: "data", Size: 1 << 30, Used: 1 << 10}},
	}
	return []group.Status{shop, {Name: "tool", State: group.Stopped, Egress: spec.EgressNone, Generation: 1, TimedOut: true}, {
		Name: "nightly", State: group.Scheduled, Egress: spec.EgressNone, Generation: 2, NextRun: time.Unix(1767225600, 0),
		LastRun: &group.Run{State: group.RunEnded, ExitStatus: new(uint32), TimedOut: true},
	}}, nil
}

func (f *fake) RunCounts() group.RunCounts {
	return group.RunCounts{Active: 2, Queued: 5, Succeeded: 10, Failed: 3, TimedOut: 1, NotRun: 4, Lost: 1, Refused: 6}
}

func (f *fake) Counts() map[string]group.Counts {
	return map[string]group.Counts{"shop": {Reconciliations: 90, Failures: 5, Repairs: 2}}
}

func (f *fake) Problems() []group.FileProblem { return make([]group.FileProblem, 3) }

func (f *fake) Counters(name string) (host.Counters, error) {
	if err := f.read("door"); err != nil {
		return host.Counters{}, err
	}
	if name != "shop" {
		return host.Counters{}, fs.ErrNotExist
	}
	n := func(packets uint64) host.Count { return host.Count{Packets: packets, Bytes: 100 * packets} }
	return host.Counters{
		AmbassadorOut: n(1), AmbassadorDenied: n(2), AmbassadorIn: n(3), Quota: n(4), FlowsFull: n(5), MembersOut: n(6), MembersTCP: n(7),
		MembersOther: n(8), MembersIn: n(9), MembersIntercepted: n(10), KernelOut: n(11), KernelIn: n(12), UnknownOut: n(13), UnknownIn: n(14),
	}, nil
}

func (f *fake) Spent(string) (used, quota uint64, err error) { return 1 << 29, 1 << 30, nil }

func (f *fake) usage(_ string, _ spec.Role, container string) host.CgroupUsage {
	switch container {
	case "proxy":
		return host.CgroupUsage{CPU: value(1250 * time.Millisecond), Memory: value(uint64(9 << 20)), WorkingSet: value(uint64(8 << 20)),
			MemoryLimit: value(uint64(64 << 20)), Threads: value(uint64(3)), OOMKills: value(uint64(0))}
	case "web":
		return host.CgroupUsage{CPU: value(time.Hour), OOMKills: value(uint64(4))}
	}
	return host.CgroupUsage{}
}

func (f *fake) output(_, container string) (printed, stored uint64, ok bool) {
	_ = f.read("output")
	return 1 << 40, 50 << 20, container == "web"
}

func (f *fake) deniedInbound() map[string]uint64 { return map[string]uint64{"checkout": 7} }

func (f *fake) denied() map[string]map[string]uint64 {
	return map[string]map[string]uint64{"shop": {"web": 15, "": 1}, "gone": {"x": 1}}
}

func (f *fake) route(ipv6 bool) (bool, error) { return !ipv6, f.read("route") }

func newCollector(t *testing.T, f *fake, change ...func(*metrics.Config)) *metrics.Collector {
	t.Helper()
	events := &metrics.Events{}
	events.Record(group.Event{Kind: group.EventDenied})
	events.Record(group.Event{Kind: group.EventDenied})
	events.Lost(2)
	config := metrics.Config{
		Version: "v1.2.3", Keeper: f, Door: f, Usage: f.usage, Output: f.output, Denied: f.denied, DeniedInbound: f.deniedInbound, Route: f.route, Unwritten: func() int { return 1 }, Events: events,
	}
	for _, do := range change {
		do(&config)
	}
	c, err := metrics.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// scrape returns what a caller of the handler gets.
func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, metrics.Path, nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

func handler(t *testing.T, c prometheus.Collector) http.Handler {
	t.Helper()
	h, err := metrics.NewHandler(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ours drops the metrics of the process, and what differs from run to run.
func ours(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		switch {
		case !strings.HasPrefix(name, "sallyport_"), strings.HasPrefix(line, "sallyport_scrape_collector_duration_seconds{"):
		case strings.HasPrefix(line, "sallyport_build_info{"):
			out.WriteString("sallyport_build_info{goversion=\"...\",version=\"v1.2.3\"} 1\n")
		default:
			out.WriteString(line)
		}
	}
	return out.String()
}

func TestGolden(t *testing.T) {
	got := ours(scrape(t, handler(t, newCollector(t, &fake{}))))
	const path = "testdata/metrics.txt"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), -update writes it:\n%s", path, diff)
	}
}

// Names and help keep the rules of Prometheus.
func TestLint(t *testing.T) {
	problems, err := testutil.CollectAndLint(newCollector(t, &fake{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if n := testutil.CollectAndCount(newCollector(t, &fake{}), "sallyport_no_such_metric"); n != 0 {
		t.Errorf("%d metrics of a name that no metric has", n)
	}
}

// A registry that checks what a collector promises finds nothing, and each metric is made.
func TestPedantic(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	c := newCollector(t, &fake{})
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	described := make(chan *prometheus.Desc)
	go func() { c.Describe(described); close(described) }()
	n := 0
	for range described {
		n++
	}
	if len(families) != n {
		t.Errorf("%d metrics are made, and %d described", len(families), n)
	}
}

func TestProcessMetrics(t *testing.T) {
	text := scrape(t, handler(t, newCollector(t, &fake{})))
	for _, name := range []string{"go_goroutines ", "process_resident_memory_bytes ", "process_open_fds "} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("no %s", name)
		}
	}
}

// A read that hangs takes nothing else along, and is not tried again until it ends. One that fails
// is shown.
func TestWhatHangs(t *testing.T) {
	all := []string{"cgroups", "door", "groups", "host", "output"}
	for _, tt := range []struct {
		name, read, collector string
		lacks, has            string
	}{
		{"a mount", "output", "output", "sallyport_container_output", `sallyport_group_state{group="shop"`},
		{"a lock of the keeper", "status", "groups", "sallyport_group", "sallyport_uplink_route"},
		{"the kernel", "door", "door", "sallyport_door", `sallyport_container_cpu_seconds_total{`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{hang: map[string]chan struct{}{tt.read: make(chan struct{})}}
				h := handler(t, newCollector(t, f))
				judge := func(text string, fails bool) {
					t.Helper()
					for _, c := range all {
						want := "1"
						if fails && c == tt.collector {
							want = "0"
						}
						if line := `sallyport_scrape_collector_success{collector="` + c + `"} ` + want + "\n"; !strings.Contains(text, line) {
							t.Errorf("no line %q", line)
						}
					}
					if !strings.Contains(text, "\n"+tt.has) {
						t.Errorf("no %s", tt.has)
					}
					if got := strings.Contains(text, "\n"+tt.lacks); got == fails {
						t.Errorf("%s: %v", tt.lacks, got)
					}
				}
				began := time.Now()
				judge(scrape(t, h), true)
				if took := time.Since(began); took != 3*time.Second {
					t.Errorf("the first scrape took %s, want the limit of 3 s", took)
				}
				began = time.Now()
				judge(scrape(t, h), true)
				if took := time.Since(began); took != 0 || f.reads[tt.read] != 1 {
					t.Errorf("the second scrape took %s, and there were %d reads: want none while the first hangs", took, f.reads[tt.read])
				}
				close(f.hang[tt.read])
				synctest.Wait()
				judge(scrape(t, h), false)
			})
		})
	}
}

// Two scrapes at the same time are one after the other, and both are whole.
func TestOneScrapeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{hang: map[string]chan struct{}{"door": make(chan struct{})}}
		h := handler(t, newCollector(t, f))
		texts := make(chan string, 2)
		for range 2 {
			go func() { texts <- ours(scrape(t, h)) }()
		}
		synctest.Wait()
		if n := f.reads["status"]; n != 1 {
			t.Errorf("%d scrapes have begun, want one", n)
		}
		close(f.hang["door"])
		if a, b := <-texts, <-texts; a != b {
			t.Errorf("(-one +other):\n%s", cmp.Diff(a, b))
		}
	})
}

func TestWhatFails(t *testing.T) {
	f := &fake{broken: map[string]error{"door": errors.New("no memory"), "route": errors.New("no socket")}}
	text := scrape(t, handler(t, newCollector(t, f)))
	for _, want := range []string{
		`sallyport_scrape_collector_success{collector="door"} 0`, `sallyport_scrape_collector_success{collector="host"} 0`,
		`sallyport_scrape_collector_success{collector="output"} 1`, `sallyport_unwritten_state_files 1`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no line %q", want)
		}
	}
}

func TestNewNeedsItsParts(t *testing.T) {
	if _, err := metrics.New(metrics.Config{}); err == nil {
		t.Error("nothing is missing")
	}
}

func TestHandler(t *testing.T) {
	h := handler(t, newCollector(t, &fake{}))
	for _, tt := range []struct {
		method, path string
		code         int
	}{{"GET", "/metrics", 200}, {"HEAD", "/metrics", 200}, {"POST", "/metrics", 404}, {"GET", "/", 404}, {"GET", "/debug/pprof/", 404}} {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest(tt.method, tt.path, nil))
		if answer.Code != tt.code {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, answer.Code, tt.code)
		}
	}
	request := httptest.NewRequest(http.MethodGet, metrics.Path, nil)
	request.Header.Set("Accept-Encoding", "zstd, gzip")
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, request)
	r, err := gzip.NewReader(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || !bytes.Contains(text, []byte("sallyport_build_info")) {
		t.Errorf("packed: %v", err)
	}
}

// docs/metrics.md has every metric in its table, and no other anywhere.
func TestDocument(t *testing.T) {
	r := prometheus.NewRegistry()
	r.MustRegister(newCollector(t, &fake{}))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	for _, f := range families {
		made[f.GetName()] = true
	}
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	name := regexp.MustCompile("sallyport_[a-z_]+")
	for line := range strings.Lines(string(text)) {
		for _, n := range name.FindAllString(line, -1) {
			if !made[n] {
				t.Errorf("docs/metrics.md has %s, and there is no such metric", n)
			}
			listed[n] = listed[n] || strings.HasPrefix(line, "| `")
		}
	}
	for n := range made {
		if !listed[n] {
			t.Errorf("docs/metrics.md has no row for %s", n)
		}
	}
}

func TestEveryStateAndKindIsShown(t *testing.T) {
	text := ours(scrape(t, handler(t, newCollector(t, &fake{}))))
	for _, s := range group.States {
		if !strings.Contains(text, `sallyport_groups{state="`+string(s)+`"}`) {
			t.Errorf("no groups in state %s", s)
		}
	}
	for _, k := range group.EventKinds {
		if !strings.Contains(text, `sallyport_events_total{kind="`+string(k)+`"}`) {
			t.Errorf("no events of kind %s", k)
		}
	}
	if !slices.Contains(strings.Split(text, "\n"), "sallyport_events_lost_total 2") {
		t.Error("lost events are not counted")
	}
}
