package main

import (
	"context"
	"log/slog"
)

type daemonVerb struct {
	place
	runtimeFlags
	Shim     string     `enum:"group,host" default:"group" placeholder:"group|host" env:"SALLYPORT_SHIM" help:"One runc shim for each group, or one for the whole host, which takes less memory."`
	LogLevel slog.Level `default:"info" placeholder:"LEVEL" env:"SALLYPORT_LOG_LEVEL" help:"debug, info, warn or error."`
}

func (v *daemonVerb) Run(ctx context.Context, ui *ui, in *instance) error { return nil }
