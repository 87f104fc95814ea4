package spec

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// probeMethods are the methods of an http probe. The first is the default. CONNECT and TRACE are
// for proxies, and no handler answers them.
var probeMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// probeWords are hints for what other systems' http probes have.
var probeWords = map[string]string{
	"scheme":          "Write: https = true",
	"tls":             "Write: https = true",
	"tls_skip_verify": "The certificate is not verified. Leave the line out.",
	"insecure":        "The certificate is not verified. Leave the line out.",
	"httpHeaders":     `Write: headers = { NAME = "value" }`,
	"http_headers":    `Write: headers = { NAME = "value" }`,
	"header":          `Write: headers = { NAME = "value" }`,
	"url":             `The probe asks 127.0.0.1. Write: path = "/healthz"`,
	"body":            "A probe sends no body.",
	"status":          "A probe succeeds on a status from 200 to 399.",
}

// Bounds on the headers of an http probe. Servers take about 8 KiB of all headers together.
const (
	maxProbeHeaders     = 32
	maxProbeHeaderBytes = 4096
)

var headerName = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$") // RFC 9110, section 5.6.2: token

// ownHeaders are the headers that describe the message itself, or its connection. The HTTP client
// writes them.
var ownHeaders = []string{"Connection", "Content-Length", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// probeHeaders reads the headers of an http probe, by canonical name.
func (d *groupDecoder) probeHeaders(r reader, from item) map[string]string {
	t := from.value.Type()
	switch {
	case !from.value.IsKnown():
		return nil
	case from.value.IsNull() || !t.IsObjectType() && !t.IsMapType():
		d.errorf(from.at, "Wrong type", "%q is a map (%s), and this is something else.", "headers", `{ NAME = "value" }`)
		return nil
	}
	headers, size := map[string]string{}, 0
	for k, e := range from.value.Elements() {
		written := k.AsString()
		v, ok := r.convert(e, cty.String, quote(written), from.at)
		if !ok {
			continue
		}
		name, value := canonicalHeader(written), v.AsString()
		size += len(name) + len(value)
		_, twice := headers[name]
		switch {
		case !headerName.MatchString(written):
			d.errorf(from.at, "Invalid header", "%s can't name a header: a name is letters, digits and hyphens.", quote(written))
		case name == "Host":
			d.errorf(from.at, "Host has an attribute", "Write beside the port: host = %s", quote(value))
		case slices.Contains(ownHeaders, name):
			d.errorf(from.at, "Invalid header", "%s is about the connection, which the probe makes. Leave it out.", name)
		case strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }):
			d.errorf(from.at, "Invalid header", "The value of %s has a control character, such as a line break, which no header can have.", name)
		case twice:
			d.errorf(from.at, "Duplicate header", "There are several headers %s: upper and lower case are the same here. Keep one.", quote(name))
		}
		headers[name] = value
	}
	if len(headers) > maxProbeHeaders || size > maxProbeHeaderBytes {
		d.errorf(from.at, "Too many headers", "A probe has at most %d headers, of %d bytes together.", maxProbeHeaders, maxProbeHeaderBytes)
	}
	if len(headers) == 0 {
		return nil
	}
	return headers
}

// canonicalHeader returns the name of a header with each of its words in title case.
func canonicalHeader(name string) string {
	words := strings.Split(strings.ToLower(name), "-")
	for i, w := range words {
		words[i] = upperFirst(w)
	}
	return strings.Join(words, "-")
}

// probeHost checks the Host of an http probe.
func (d *groupDecoder) probeHost(host string, at hcl.Range) string {
	u, err := url.Parse("http://" + host)
	if err != nil || u.Host != host || strings.HasSuffix(host, ":") {
		u = &url.URL{}
	}
	name, port := u.Hostname(), u.Port()
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		name = ""
	}
	_, err = netip.ParseAddr(name)
	if name == "" || err != nil && !validHost.MatchString(strings.ToLower(name)) {
		d.errorf(at, "Invalid host", "%s is no host. Write a name or an address, with or without a port: \"shop.example\", \"shop.example:8443\".", quote(host))
		return ""
	}
	return host
}

// probePort reads a port: a number, or the name of a publish or upstream block.
func (d *groupDecoder) probePort(r reader, i item) uint16 {
	if name, ok := portName(i.value); ok {
		port, why := d.namedPort(name)
		if why != "" {
			d.errorf(i.at, "Invalid port", "%s %s", quote(name), why)
		}
		return port
	}
	v, ok := r.convert(i.value, cty.Number, `"port"`, i.at)
	if !ok {
		return 0
	}
	p, _, _ := r.whole(v.AsBigFloat(), "port", 1, 65535, i.at)
	return uint16(p)
}

// portName returns the text of a value that is no number in quotes.
func portName(v cty.Value) (string, bool) {
	if !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return "", false
	}
	_, err := strconv.ParseFloat(v.AsString(), 64)
	return v.AsString(), err != nil
}

// namedPort returns the port of the ambassador that a publish or an upstream block of the name
// gives it. If there is none, why says so, as the end of a sentence.
func (d *groupDecoder) namedPort(name string) (port uint16, why string) {
	var found []uint16
	var names []string
	udp := false
	for _, all := range d.published {
		for _, p := range all {
			switch {
			case p.Protocol != "tcp":
				udp = udp || p.Name == name
				continue
			case p.Name == name && p.Count > 0:
				return 0, fmt.Sprintf("is a range of ports, %s. Write the number of one of them.", p.PortText())
			case p.Name == name:
				found = append(found, p.Port)
			}
			names = append(names, p.Name)
		}
	}
	for _, u := range d.listens {
		if u.Name == name {
			found = append(found, u.Listen)
		}
		names = append(names, u.Name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	slices.Sort(found)
	found = slices.Compact(found)
	switch {
	case len(found) == 1:
		return found[0], ""
	case len(found) > 1:
		return 0, fmt.Sprintf("names both a published port and an upstream, at ports %d and %d. Write the number.", found[0], found[1])
	case udp:
		return 0, "is published over UDP, and this probe asks over TCP. Write another port."
	case len(names) == 0:
		return 0, "is no number, and the group has no publish or upstream block that could give a port this name. Write a number: port = 8080"
	}
	return 0, fmt.Sprintf("is neither a number nor the name of a publish or upstream block.%s The group has %s.", DidYouMean(name, names), list(names))
}
