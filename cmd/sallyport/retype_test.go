package main

import (
	"testing"

	"github.com/alecthomas/kong"
)

// The commands in a message name the instance that was on the command line.
func TestRetyper(t *testing.T) {
	model := kong.Must(&cli{}).Model
	for _, c := range []struct {
		name     string
		in       instance
		environ  []string
		in_, out string
	}{
		{"the default instance", instance{}, nil, `run "sallyport ps"`, `run "sallyport ps"`},
		{"a root", instance{Root: "/srv/two"}, nil, `run "sallyport ps"`, `run "sallyport --root /srv/two ps"`},
		{"a root of the environment", instance{Root: "/srv/two"}, []string{"SALLYPORT_ROOT=/srv/two"}, "sallyport ps", "sallyport ps"},
		{"another root than that of the environment", instance{Root: "/srv/two"}, []string{"SALLYPORT_ROOT=/srv/1"}, "sallyport ps", "sallyport --root /srv/two ps"},
		{"a run folder", instance{RunDir: "/run/two"}, nil, "sallyport start web", "sallyport --run-dir /run/two start web"},
		{"a folder to quote", instance{Root: "/srv/a b'$1"}, nil, "see `sallyport doctor`", `see ` + "`sallyport --root '/srv/a b'\\''$1' doctor`"},
		{"two commands", instance{Root: "/r"}, nil, `"sallyport logs a.b"; then sallyport rm a`, `"sallyport --root /r logs a.b"; then sallyport --root /r rm a`},
		{"no command", instance{Root: "/r"}, nil, "systemctl restart sallyport; sallyport is /usr/bin/sallyport psst", "systemctl restart sallyport; sallyport is /usr/bin/sallyport psst"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := newRetyper(model, &c.in, c.environ).text(c.in_); got != c.out {
				t.Errorf("got %q, want %q", got, c.out)
			}
		})
	}
}
