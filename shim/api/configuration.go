package api

import (
	"context"
	"net/http"

	"github.com/sallyport/sallyport/shim/host"
)

// A Configuration has the settings of a running daemon, and those that wait for its restart.
type Configuration struct {
	File     string    `json:"file"`     // absolute path, whether or not there is one
	Settings []Setting `json:"settings"` // those in force that are set; the others have their defaults
	Restart  []Setting `json:"restart"`  // read at the last reload, and in force after a restart
	Problem  string    `json:"problem,omitempty"`
	Metrics  string    `json:"metrics_problem,omitempty"` // why the metrics that are asked for are not served
	// Registries has the daemon's environment, as far as it is for registries. An older daemon has
	// none.
	Registries *host.RegistryEnvironment `json:"registry_environment,omitempty"`
}

// A Setting is one setting of a configuration.
type Setting struct {
	Name   string `json:"name"`             // "folders.state"
	Value  string `json:"value"`            // empty: nothing sets it, so it has its default
	Source string `json:"source,omitempty"` // "--state-dir", "SALLYPORT_STATE_DIR" or "FILE:LINE"
}

// Configuration returns the configuration in force.
func (c *Client) Configuration(ctx context.Context) (conf Configuration, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/configuration", nil, &conf)
	return conf, err
}

func (s *Server) showConfiguration(*http.Request) (any, error) {
	if s.Configuration == nil {
		return Configuration{}, nil
	}
	return s.Configuration(), nil
}
