package oci

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// defaultShell runs a HEALTHCHECK of the form CMD-SHELL if the image has no SHELL.
var defaultShell = []string{"/bin/sh", "-c"}

// Healthcheck returns the HEALTHCHECK of an image. The configuration is the JSON of the image. The
// error is [host.ErrNoHealthcheck] if the image has none, or NONE.
func Healthcheck(config []byte) (host.Healthcheck, error) {
	var image struct {
		Config struct {
			Healthcheck json.RawMessage
			Shell       []string
		} `json:"config"`
	}
	if err := json.Unmarshal(config, &image); err != nil {
		return host.Healthcheck{}, fmt.Errorf("the image's configuration: %w", err)
	}
	return healthcheck(image.Config.Healthcheck, image.Config.Shell)
}

// healthcheck returns the check with that JSON, whose times are in nanoseconds. A nil JSON means
// that there is none.
func healthcheck(raw json.RawMessage, shell []string) (host.Healthcheck, error) {
	var check struct {
		Test                                          []string
		Interval, Timeout, StartPeriod, StartInterval time.Duration
		Retries                                       int
	}
	if raw != nil {
		if err := json.Unmarshal(raw, &check); err != nil {
			return host.Healthcheck{}, fmt.Errorf("the image's configuration: Healthcheck: %w", err)
		}
	}
	h := host.Healthcheck{
		Interval: check.Interval, Timeout: check.Timeout, StartPeriod: check.StartPeriod, StartInterval: check.StartInterval, Retries: check.Retries,
	}
	form, args := "NONE", []string(nil)
	if len(check.Test) > 0 {
		form, args = check.Test[0], check.Test[1:]
	}
	switch {
	case form == "NONE":
		return host.Healthcheck{}, host.ErrNoHealthcheck
	case form != "CMD" && form != "CMD-SHELL":
		return host.Healthcheck{}, fmt.Errorf("its HEALTHCHECK can't be asked: it is of the form %q, and the forms are CMD, CMD-SHELL and NONE", hint.Excerpt(form, hint.Short))
	case len(args) == 0 || args[0] == "":
		return host.Healthcheck{}, fmt.Errorf("its HEALTHCHECK can't be asked: it is %s without a command", form)
	case form == "CMD-SHELL":
		if len(shell) == 0 {
			shell = defaultShell
		}
		args = slices.Concat(shell, args)
	}
	h.Args = args
	return h, nil
}

// CheckProbes returns an error if a probe of the container has the image's HEALTHCHECK as its test,
// and the image's can't be used. The configuration is the JSON of the image.
func CheckProbes(c spec.Container, config []byte) error {
	if !c.AsksImage() {
		return nil
	}
	if _, err := Healthcheck(config); err != nil {
		return &hint.Error{
			Err:  fmt.Errorf("container %q has a probe with image = true: %w", c.Name, err),
			Hint: `give the probe a test of its own, such as exec = ["/bin/check"], or remove it`,
		}
	}
	return nil
}
