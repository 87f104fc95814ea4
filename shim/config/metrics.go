package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// metricsOff is the value of metrics.listen for no metrics.
const metricsOff = "off"

// maxSocketPath is the length of sockaddr_un's path without the zero byte at its end.
const maxSocketPath = 107

// MetricsListen returns where the metrics are served, by the setting metrics.listen: an address and
// a port, or the absolute path of a unix socket. It is empty if they are off.
func MetricsListen(text string) (address, problem string) {
	switch {
	case text == metricsOff:
		return "", ""
	case strings.HasPrefix(text, "/"):
		return text, socketProblem(text)
	}
	at, err := netip.ParseAddrPort(text)
	switch {
	case err != nil:
		return "", fmt.Sprintf("%q is neither an address and a port, nor the absolute path of a socket, nor \"off\". Write \"127.0.0.1:9469\", or \"0.0.0.0:9469\" for every address of the host.", shorten(text))
	case at.Port() == 0:
		return "", fmt.Sprintf("%q has no port that a scraper could know. Write one from 1 to 65535.", shorten(text))
	}
	return at.String(), ""
}

func socketProblem(text string) string {
	if problem := isPath("/run/sallyport/metrics.sock")(text); problem != "" {
		return problem
	}
	if strings.HasSuffix(text, "/") {
		return fmt.Sprintf("%q is a folder. Add the name of the socket: %q.", shorten(text), shorten(text)+"metrics.sock")
	}
	if len(text) > maxSocketPath {
		return fmt.Sprintf("This path has %d bytes, and the kernel allows %d. Choose a shorter one.", len(text), maxSocketPath)
	}
	return ""
}

// metricsForOthers warns of an address that other hosts can reach.
func metricsForOthers(text string) string {
	at, err := netip.ParseAddrPort(text)
	if err != nil || at.Addr().Unmap().IsLoopback() {
		return ""
	}
	return "Other hosts can read the metrics here, without a password: names of groups, containers and images, and what they do. With 127.0.0.1 only this host can."
}
