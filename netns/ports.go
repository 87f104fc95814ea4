package netns

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/kernfile"
)

// Ports is a set of ports as ranges: sorted, and neither overlapping nor adjacent. The kernel lists
// ports in the same form.
type Ports []PortRange

// A PortRange is the ports from First to Last, both included.
type PortRange struct{ First, Last uint16 }

// PortsOf returns the set of these ports, in any order and with repetitions.
func PortsOf(ports ...uint16) Ports {
	ranges := make(Ports, len(ports))
	for i, p := range ports {
		ranges[i] = PortRange{p, p}
	}
	return ranges.Union(nil)
}

// Union returns the ports that are in either set.
func (p Ports) Union(other Ports) Ports {
	var out Ports
	for _, r := range slices.SortedFunc(slices.Values(slices.Concat(p, other)), func(a, b PortRange) int { return int(a.First) - int(b.First) }) {
		if n := len(out); n > 0 && int(r.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// String returns the ports in the kernel's words: "443,8080-8082".
func (p Ports) String() string {
	parts := make([]string, len(p))
	for i, r := range p {
		if parts[i] = strconv.Itoa(int(r.First)); r.Last != r.First {
			parts[i] += "-" + strconv.Itoa(int(r.Last))
		}
	}
	return strings.Join(parts, ",")
}

func parsePorts(text string) (Ports, error) {
	var out Ports
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("ports %q: %w", text, err)
		}
		to, err := strconv.ParseUint(last, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("ports %q: %w", text, err)
		}
		out = append(out, PortRange{uint16(from), uint16(to)})
	}
	return out.Union(nil), nil
}

// reservedPorts are the ports that the kernel does not choose by itself, for a socket that listens,
// connects or sends without a port of its own.
const reservedPorts = "ipv4/ip_local_reserved_ports"

// ReservePorts makes these the reserved ports of a namespace, for both families and every protocol.
// A socket gets a reserved port only by naming it in bind(2). The kernel replaces the set word by
// word, so a port that was in it and stays in it is reserved throughout. More than 341 ranges
// take several writes, though.
func ReservePorts(ns *os.File, p Ports) error {
	return Inside(ns, func() error {
		if got, err := ReservedPortsHere(); err == nil && slices.Equal(got, p) {
			return nil
		}
		if err := writeReserved(p); err != nil {
			return fmt.Errorf("set net/%s: %w", reservedPorts, err)
		}
		return nil
	})
}

// ReservedPorts returns the reserved ports of a namespace.
func ReservedPorts(ns *os.File) (p Ports, err error) {
	err = Inside(ns, func() error {
		p, err = ReservedPortsHere()
		return err
	})
	return p, err
}

// sysctlPage is the most that the kernel reads of one write (proc_do_large_bitmap). It would cut a
// longer one within a number.
const sysctlPage = 4096 - 1

// writeReserved sets the ports in the calling thread's namespace. The first write replaces the set,
// and later ones of the same open file add to it.
func writeReserved(p Ports) error {
	f, err := os.OpenFile(sysctls+reservedPorts, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for first := true; first || len(p) > 0; first = false {
		const longest = len("65535-65535,")
		n := min(len(p), sysctlPage/longest)
		// An empty write would change nothing. An empty line stands for no port.
		if _, err := f.WriteString(p[:n].String() + "\n"); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// ReservedPortsHere is [ReservedPorts] for the calling thread's namespace.
func ReservedPortsHere() (Ports, error) {
	text, err := kernfile.Read(sysctls + reservedPorts)
	if err != nil {
		return nil, err
	}
	return parsePorts(strings.TrimSpace(string(text)))
}

// OpenReservedPorts opens the file with the reserved ports of a namespace, to watch it. Nothing can
// be read from it. It does not keep the namespace. The caller closes it.
func OpenReservedPorts(ns *os.File) (f *os.File, err error) {
	err = Inside(ns, func() error {
		f, err = os.OpenFile(sysctls+reservedPorts, unix.O_PATH, 0)
		return err
	})
	return f, err
}
