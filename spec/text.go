package spec

import (
	"fmt"
	"strings"

	"github.com/docker/go-units"
)

// Title returns the container's name and role: "web (app)".
// A container without a role is one that has lost its labels, and has its name alone.
func (c Container) Title() string {
	if c.Role == "" {
		return c.Name
	}
	return fmt.Sprintf("%s (%s)", c.Name, c.Role)
}

// InterceptText returns where members' TCP goes when the container, an ambassador, intercepts it.
func (c Container) InterceptText() string {
	return fmt.Sprintf("members' TCP is led to port %d of %s", c.Intercept, c.Name)
}

// PingText returns who may ping from the container, an ambassador.
func (c Container) PingText() string {
	first, last, _ := strings.Cut(c.PingGroups, " ")
	if first == last {
		return fmt.Sprintf("%s may ping, as group %s", c.Name, first)
	}
	return fmt.Sprintf("%s may ping, as groups %s to %s", c.Name, first, last)
}

// String returns the destination as a group file has it: "[2001:db8::]/32:443/tcp".
func (a Allow) String() string {
	prefix, port := a.Prefix, "*"
	if addr, bits, ok := strings.Cut(prefix, "/"); ok && strings.Contains(addr, ":") {
		prefix = "[" + addr + "]/" + bits
	}
	if a.Port != 0 {
		port = fmt.Sprint(a.Port)
	}
	return prefix + ":" + port + "/" + a.Protocol
}

// HostPort returns the host's side of the published port: "8443/tcp", "192.0.2.1:8443/tcp",
// "10000-10100/udp".
func (p Publish) HostPort() string {
	port := p.HostText() + "/" + p.Protocol
	switch {
	case p.Address == "":
		return port
	case strings.Contains(p.Address, ":"):
		return "[" + p.Address + "]:" + port
	default:
		return p.Address + ":" + port
	}
}

// String returns the volume's name and properties: "logs (64MiB)", "data (persistent,
// 5GiB, owner 65532:65532)".
func (v Volume) String() string {
	var words []string
	switch {
	case v.HostPath != "":
		words = append(words, v.HostPath+" of the host")
	case v.Persistent:
		words = append(words, "persistent")
		if v.Size != 0 {
			words = append(words, FormatSize(v.Size))
		}
	default:
		words = append(words, FormatSize(v.Size))
	}
	if v.Owner != "" {
		words = append(words, "owner "+v.Owner)
	}
	if v.Mode != 0 {
		words = append(words, fmt.Sprintf("mode %04o", v.Mode))
	}
	return fmt.Sprintf("%s (%s)", v.Name, strings.Join(words, ", "))
}

// FormatSize returns a number of bytes as a group file has it, rounded to four digits: "64MiB".
func FormatSize(bytes int64) string {
	return units.CustomSize("%.4g%s", float64(bytes), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB"})
}

// FormatRate returns bits per second as a group file has them: "2Mbit".
func FormatRate(bits int64) string {
	for _, unit := range []string{"Gbit", "Mbit", "kbit"} {
		if bits%rateUnits[unit] == 0 {
			return fmt.Sprintf("%d%s", bits/rateUnits[unit], unit)
		}
	}
	return fmt.Sprintf("%dbit", bits)
}

// String returns the rate's two sides: "2Mbit out, 10Mbit in". A side without a bound is left out.
func (r Rate) String() string {
	var parts []string
	if r.Out != 0 {
		parts = append(parts, FormatRate(r.Out)+" out")
	}
	if r.In != 0 {
		parts = append(parts, FormatRate(r.In)+" in")
	}
	return strings.Join(parts, ", ")
}
