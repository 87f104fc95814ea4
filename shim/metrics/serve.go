package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
)

// Path is where the metrics are.
const Path = "/metrics"

const (
	headerTimeout = 5 * time.Second
	answerTimeout = 30 * time.Second // for a scrape and a slow caller
	drainTimeout  = 5 * time.Second
	// maxConns bounds what callers can take of the daemon's descriptors and memory. Others wait.
	maxConns = 16
)

// NewHandler returns a handler that answers with the metrics of c, and with those of the daemon's
// process. A nil log discards.
func NewHandler(c prometheus.Collector, log *slog.Logger) (http.Handler, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	registry := prometheus.NewRegistry()
	for _, x := range []prometheus.Collector{c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := registry.Register(x); err != nil {
			return nil, err
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+Path, promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
		OfferedCompressions: []promhttp.Compression{promhttp.Identity, promhttp.Gzip},
	}))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "sallyport: the metrics are at "+Path, http.StatusNotFound)
	})
	return mux, nil
}

// Serve answers on l until ctx ends, and closes l. It returns nil when ctx ends, and otherwise why
// the listener has failed. Each caller gets one answer for a connection, so a listener that judges
// its callers judges each of them anew.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: answerTimeout, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	server.SetKeepAlivesEnabled(false)
	served := make(chan error, 1)
	go func() { served <- server.Serve(netutil.LimitListener(l, maxConns)) }()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serve the metrics: %w", err), server.Close())
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if server.Shutdown(drain) != nil {
		_ = server.Close() // closes connections whose callers don't read
	}
	<-served
	return nil
}
