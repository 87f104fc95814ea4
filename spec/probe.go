package spec

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Limits on a probe's times and counts.
const (
	minProbeInterval = 100 * time.Millisecond
	maxProbeTime     = time.Hour
	maxProbeCount    = 1000
)

// A probe's defaults, those of Kubernetes. There is no default initial_delay: a probe is tried at
// once.
const (
	defaultProbeInterval  = 10 * time.Second
	defaultProbeTimeout   = time.Second
	defaultProbeFailures  = 3
	defaultProbeSuccesses = 1
	defaultProbePath      = "/"
)

var probeKinds = []string{ProbeStartup, ProbeReady, ProbeLive}

// probes reads a container's probes, in the order startup, ready, live.
func (d *groupDecoder) probes(role Role, container *hclsyntax.Block) []Probe {
	var probes []Probe
	seen := map[string]hcl.Range{}
	for _, b := range blocksOf(container.Body, "probe") {
		kind, ok := label(b)
		if !ok {
			continue
		}
		if !slices.Contains(probeKinds, kind) {
			d.errorf(b.LabelRanges[0], "Unknown probe", "There is no probe %s.%s A probe is one of %s.", quote(kind), DidYouMean(kind, probeKinds), list(probeKinds))
			continue
		}
		if role == Init && kind == ProbeReady {
			d.errorf(b.DefRange(), "An init is never ready", "The containers after an init wait until it has ended with status 0, not until it is ready. Remove the probe, or make the container a sidecar.")
		}
		d.unique(seen, "probe", kind, b.LabelRanges[0])
		probes = append(probes, d.probe(kind, b))
	}
	slices.SortStableFunc(probes, func(a, b Probe) int {
		return slices.Index(probeKinds, a.Kind) - slices.Index(probeKinds, b.Kind)
	})
	return probes
}

func (d *groupDecoder) probe(kind string, block *hclsyntax.Block) Probe {
	r := d.in(block)
	p := Probe{Kind: kind, Exec: r.texts("exec"), Image: d.imageProbe(r), Successes: defaultProbeSuccesses}
	if !p.Image {
		p.Interval, p.Timeout, p.Failures = defaultProbeInterval, defaultProbeTimeout, defaultProbeFailures
	}
	p.InitialDelay, _ = r.duration("initial_delay", 0, maxProbeTime)
	p.StartPeriod, _ = r.duration("start_period", 0, maxProbeTime)
	p.StartInterval, _ = r.duration("start_interval", minProbeInterval, maxProbeTime)
	if r.has("start_interval") && !r.has("start_period") && !p.Image {
		d.errorf(r.nameOf("start_interval"), "start_interval without a start_period", "\"start_interval\" is how often a probe is tried in its start period, and it has none. Add one: start_period = \"30s\". Or remove the line: until a probe has succeeded once, it is tried more often by itself.")
	}
	if interval, ok := r.duration("interval", minProbeInterval, maxProbeTime); ok {
		p.Interval = interval
	}
	if timeout, ok := r.duration("timeout", time.Millisecond, maxProbeTime); ok {
		p.Timeout = timeout
	}
	if failures, _, ok := r.integer("failures", 1, maxProbeCount, optional); ok {
		p.Failures = int(failures)
	}
	successes, at, ok := r.integer("successes", 1, maxProbeCount, optional)
	if ok {
		p.Successes = int(successes)
	}
	if p.Successes > 1 && kind != ProbeReady {
		d.errorf(at, "Invalid successes", "One success is enough for the probe %q; only \"ready\" can ask for more in a row. Remove the line.", kind)
	}
	if r.has("http") {
		p.HTTP = d.httpProbe(r)
	}
	if r.has("tcp") {
		port, _ := d.endpoint(r, "tcp")
		p.TCP = &TCPProbe{Port: port}
	}
	if r.has("grpc") {
		port, beside := d.endpoint(r, "grpc", "service")
		service, _ := r.textOf(beside, "service")
		p.GRPC = &GRPCProbe{Port: port, Service: service}
	}
	d.checkOneTest(r, p)
	return p
}

// checkOneTest reports a probe without a test, or with several.
func (d *groupDecoder) checkOneTest(r reader, p Probe) {
	var tests []string
	for _, name := range []string{"http", "tcp", "grpc", "exec", "image"} {
		if r.has(name) {
			tests = append(tests, name)
		}
	}
	// An unknown attribute may be meant as the test. It has been reported with its name.
	meant := func(a *hclsyntax.Attribute) bool { return !slices.Contains(kinds["probe"].attrs, a.Name) }
	switch {
	case len(tests) == 0 && slices.ContainsFunc(attributes(r.body), meant):
	case len(tests) == 0:
		d.errorf(r.at, "A probe without a test", "The probe %q tests nothing. Give it one of http = { port = 8080, path = \"/healthz\" }, tcp = { port = 8080 }, grpc = { port = 8080 }, exec = [\"...\"], image = true.", p.Kind)
	case len(tests) > 1:
		d.errorf(r.body.Attributes[tests[1]].NameRange, "A probe with several tests", "A probe tests one thing, and this one has %s. Keep one of them.", strings.Join(tests, " and "))
	case p.Exec != nil && (len(p.Exec) == 0 || p.Exec[0] == ""):
		d.errorf(r.body.Attributes["exec"].Expr.Range(), "Empty command", "An empty command tests nothing. Name a program of the container.")
	}
}

// imageProbe reads the attribute image.
func (d *groupDecoder) imageProbe(r reader) bool {
	v, at, ok := r.value("image", cty.Bool, optional)
	if ok && v.False() {
		d.errorf(at, "A probe without a test", "image = true takes the test from the image's HEALTHCHECK. Without it a probe has a test of its own. Remove the line.")
	}
	return ok && v.True()
}

// httpProbe reads the attribute http.
func (d *groupDecoder) httpProbe(r reader) *HTTPProbe {
	port, beside := d.endpoint(r, "http", "path", "https", "method", "host", "headers")
	p := &HTTPProbe{Port: port, Path: defaultProbePath}
	if path, ok := r.textOf(beside, "path"); ok {
		p.Path = cmp.Or(path, defaultProbePath)
		switch _, err := url.ParseRequestURI(p.Path); {
		case !strings.HasPrefix(p.Path, "/"):
			d.errorf(beside["path"].at, "Invalid path", "%s does not begin with a slash. Write: path = \"/healthz\"", quote(path))
		case err != nil:
			d.errorf(beside["path"].at, "Invalid path", "%s is no path of a URL: two hexadecimal digits have to follow a %%, and control characters are not allowed. Write: path = \"/healthz\"", quote(path))
		}
	}
	if https, ok := beside["https"]; ok {
		v, ok := r.convert(https.value, cty.Bool, `"https"`, https.at)
		p.HTTPS = ok && v.True()
	}
	if method, ok := r.textOf(beside, "method"); ok {
		at := beside["method"].at
		switch {
		case !slices.Contains(probeMethods, method):
			d.errorf(at, "Invalid method", "%s is none of %s.%s", quote(method), list(probeMethods), DidYouMean(strings.ToUpper(method), probeMethods))
		case method != probeMethods[0]:
			p.Method = method
		}
	}
	if host, ok := r.textOf(beside, "host"); ok {
		p.Host = d.probeHost(host, beside["host"].at)
	}
	if headers, ok := beside["headers"]; ok {
		p.Headers = d.probeHeaders(r, headers)
	}
	return p
}

// textOf reads a text that stands beside a port.
func (r reader) textOf(beside map[string]item, name string) (string, bool) {
	i, ok := beside[name]
	if !ok {
		return "", false
	}
	v, ok := r.convert(i.value, cty.String, quote(name), i.at)
	if !ok {
		return "", false
	}
	return v.AsString(), true
}

// endpoint reads { port = 8080 }, and returns what may stand beside the port, by name.
func (d *groupDecoder) endpoint(r reader, name string, others ...string) (port uint16, beside map[string]item) {
	allowed := append([]string{"port"}, others...)
	items, ok := r.entries(name)
	if !ok {
		return 0, nil
	}
	hasPort := false
	beside = map[string]item{}
	for _, i := range items {
		switch {
		case i.key == "port":
			hasPort = true
			port = d.probePort(r, i)
		case slices.Contains(others, i.key):
			beside[i.key] = i
		case probeWords[i.key] != "" && name == "http":
			d.errorf(i.keyAt, "Unknown attribute", "There is no %s in http = { ... }. %s", quote(i.key), probeWords[i.key])
		default:
			d.errorf(i.keyAt, "Unknown attribute", "There is no %s in %s = { ... }.%s Allowed are %s.", quote(i.key), name, DidYouMean(i.key, allowed), list(allowed))
		}
	}
	if at := r.body.Attributes[name].Expr.Range(); !hasPort && !d.mentions(at) {
		d.errorf(at, "Missing port", "The port to test is missing. Write: %s = { port = 8080 }", name)
	}
	return port, beside
}
