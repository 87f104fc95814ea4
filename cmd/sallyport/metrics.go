package main

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/config"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/metrics"
)

// metricsFlags are the daemon's.
type metricsFlags struct {
	MetricsListen string `default:"off" placeholder:"ADDR" env:"SALLYPORT_METRICS_LISTEN" help:"Address and port, or path of a unix socket, where Prometheus reads metrics, or off (default off)."`
}

// metricsAddress returns where the metrics are served. It is empty if they are not. The setting is
// sound: [instance.settings] has checked it.
func (s settings) metricsAddress() string {
	address, _ := config.MetricsListen(s.flags.MetricsListen)
	return address
}

// newMetrics returns what serves the metrics by the settings.
func newMetrics(c metrics.Config, now settings, access api.Access) (*metricsEndpoint, error) {
	c.Version = versionInfo().Version
	collector, err := metrics.New(c)
	if err != nil {
		return nil, err
	}
	handler, err := metrics.NewHandler(collector, c.Log)
	return newMetricsEndpoint(handler, c.Log, now.metricsAddress(), access), err
}

// outputSizes returns a function that reads the sizes of a container's files of output. What was
// deleted of the head of a file counts as printed, since it leaves a hole.
func outputSizes(l layout.Layout) func(group, container string) (printed, stored uint64, ok bool) {
	return func(group, container string) (printed, stored uint64, ok bool) {
		for _, path := range []string{l.LogPath(group, container), l.ErrLogPath(group, container)} {
			var st unix.Stat_t
			if unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
				printed, stored, ok = printed+uint64(st.Size), stored+uint64(st.Blocks)*512, true
			}
		}
		return printed, stored, ok
	}
}

// Addresses that every route to the outside leads to, and no host has (RFC 5737, RFC 3849).
var outside4, outside6 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")

func hasRoute(ipv6 bool) (bool, error) {
	if ipv6 {
		return netns.HasRoute(outside6)
	}
	return netns.HasRoute(outside4)
}

// eachOf returns a function that calls the others. Nil ones are left out.
func eachOf(all ...func(group.Event)) func(group.Event) {
	return func(e group.Event) {
		for _, do := range all {
			if do != nil {
				do(e)
			}
		}
	}
}
