package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/config"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/logs/bound"
	"github.com/sallyport/sallyport/shim/prune"
	"github.com/sallyport/sallyport/shim/signed"
)

// A configurationInForce is the configuration of a running daemon. A reload changes the settings
// that can change while it runs. It is safe for concurrent use.
type configurationInForce struct {
	read  func() (settings, error)   // what a start of the daemon would read now
	admit func(api.Access) error     // required before the first reload
	bound func(bound.Settings) error // the same
	prune func(prune.Limits)         // the same
	runs  func(settings)             // the same
	reach func(settings)             // the same
	sign  func(signed.Demands)       // the same
	// metrics gets ready for another address of the metrics, or another access to them. One of
	// commit and cancel is called. Required as well.
	metrics  func(address string, access api.Access) (commit, cancel func(), err error)
	unserved func() string // optional: why metrics that are asked for are not served
	level    *slog.LevelVar
	log      *slog.Logger

	mu    sync.Mutex
	now   settings
	shown api.Configuration
}

// newConfigurationInForce begins with the settings that the daemon started with.
func newConfigurationInForce(now settings, read func() (settings, error), level *slog.LevelVar, log *slog.Logger) *configurationInForce {
	return &configurationInForce{read: read, level: level, log: log, now: now, shown: api.Configuration{File: now.file, Settings: now.set}}
}

// apply puts the settings in force that can change while the daemon runs. After an error nothing
// has changed.
func (c *configurationInForce) apply(next settings) error {
	access, err := next.access()
	if err != nil {
		return err
	}
	demands, err := next.demands(context.Background(), lookAt)
	if err != nil {
		return err
	}
	commit, cancel, err := c.metrics(next.metricsAddress(), access)
	if err != nil {
		return &hint.Error{Err: fmt.Errorf("%s: metrics.listen: %w", next.source("metrics.listen"), err), Hint: hintOf(err)}
	}
	err = c.admit(access)
	if err == nil {
		err = c.bound(next.output())
	}
	if err != nil {
		cancel()
		return err
	}
	commit()
	c.prune(next.images())
	c.runs(next)
	c.reach(next)
	c.sign(demands)
	c.level.Set(next.flags.LogLevel.Level())
	return nil
}

// show returns the configuration in force.
func (c *configurationInForce) show() api.Configuration {
	c.mu.Lock()
	defer c.mu.Unlock()
	shown := c.shown
	if c.unserved != nil {
		shown.Metrics = c.unserved()
	}
	return shown
}

// reload reads the configuration again. It applies what it can, and logs what waits for a restart.
// After a mistake nothing changes.
func (c *configurationInForce) reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	next, err := c.read()
	if err == nil {
		err = c.apply(next)
	}
	if err != nil {
		c.log.Error("configuration not read, so nothing of it changed", "error", err, "hint", hintOf(err))
		c.shown.Problem = err.Error()
		return
	}
	shown := api.Configuration{File: next.file}
	for _, s := range config.Settings {
		name := s.FullName()
		from := c.now
		before, after := c.now.effective[name], next.effective[name]
		switch {
		case s.Live || before == after:
			from = next
			if before != after {
				c.log.Info("setting changed", "setting", name, "value", after, "before", before)
			}
			c.now.effective[name] = after
		default:
			c.log.Warn("setting waits for a restart of the daemon", "setting", name, "value", after, "in force", before)
			shown.Restart = append(shown.Restart, api.Setting{Name: name, Value: after, Source: next.source(name)})
		}
		if i := from.find(name); i >= 0 {
			shown.Settings = append(shown.Settings, from.set[i])
		}
	}
	c.now.set, c.shown = slices.Clone(shown.Settings), shown
}
