package child

import (
	"bytes"
	"path/filepath"
	"strconv"
)

// unused are the plugins that a private containerd runs without: those for Kubernetes, for file
// systems that we don't use, for other tools' metrics, and one that makes folders in /opt. Both 1.6
// and 2.x ignore names that they don't know. 1.6's io.containerd.runtime.v1.linux stays: its tasks
// service doesn't load without it.
var unused = []string{
	// 1.6
	"io.containerd.snapshotter.v1.aufs",
	"io.containerd.snapshotter.v1.btrfs",
	"io.containerd.snapshotter.v1.devmapper",
	"io.containerd.snapshotter.v1.zfs",
	"io.containerd.monitor.v1.cgroups",
	"io.containerd.internal.v1.restart",
	// both
	"io.containerd.grpc.v1.cri",
	"io.containerd.internal.v1.opt",
	"io.containerd.internal.v1.tracing",
	"io.containerd.tracing.processor.v1.otlp",
	// 2.x
	"io.containerd.cri.v1.images",
	"io.containerd.cri.v1.runtime",
	"io.containerd.differ.v1.erofs",
	"io.containerd.http.v1.pprof",
	"io.containerd.image-verifier.v1.bindir",
	"io.containerd.metrics.v1.grpc-otel",
	"io.containerd.metrics.v1.grpc-prometheus",
	"io.containerd.monitor.container.v1.restart",
	"io.containerd.monitor.task.v1.cgroups",
	"io.containerd.mount-handler.v1.erofs",
	"io.containerd.nri.v1.nri",
	"io.containerd.server.v1.debug",
	"io.containerd.server.v1.metrics",
	"io.containerd.snapshotter.v1.blockfile",
	"io.containerd.snapshotter.v1.erofs",
	"io.containerd.ttrpc.v1.otelttrpc",
}

// configFile returns the config.toml of a private containerd, in the one version of the format that
// both 1.6 and 2.x read. It asks for no OOM score, which needs CAP_SYS_RESOURCE, and imports
// nothing from /etc.
func configFile(root, state, socket string) []byte {
	var b bytes.Buffer
	line := func(key, value string) { b.WriteString(key + " = " + value + "\n") }
	b.WriteString("# Written by sallyport at every start; changes are lost.\n")
	line("version", "2")
	line("root", strconv.Quote(filepath.Clean(root)))
	line("state", strconv.Quote(filepath.Clean(state)))
	line("imports", "[]")
	line("oom_score", "0")
	b.WriteString("disabled_plugins = [\n")
	for _, p := range unused {
		b.WriteString("  " + strconv.Quote(p) + ",\n")
	}
	b.WriteString("]\n\n[grpc]\n")
	line("  address", strconv.Quote(socket))
	b.WriteString("\n[debug]\n")
	line("  level", `"warn"`)
	return b.Bytes()
}
