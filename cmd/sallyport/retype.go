package main

import (
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
)

// A retyper puts the instance into the commands that a message names, so that they work as typed.
// The daemon doesn't know how it was addressed. A nil retyper changes nothing.
type retyper struct {
	command *regexp.Regexp
	flags   string // " --root /srv/second"
}

// newRetyper returns nil if the instance is the default one, or comes from the environment, where
// the next command finds it too.
func newRetyper(model *kong.Application, in *instance, environ []string) *retyper {
	flags, runDir := "", in.RunDir
	if in.conf != nil && in.conf.file["run-dir"].Text == runDir { // the next command reads it, too
		runDir = ""
	}
	for _, f := range []struct{ flag, value, env string }{
		{"--root", in.Root, "SALLYPORT_ROOT"}, {"--config", in.Config, "SALLYPORT_CONFIG"}, {"--run-dir", runDir, "SALLYPORT_RUN_DIR"},
	} {
		if f.value != "" && envValue(environ, f.env) != f.value {
			flags += " " + f.flag + " " + shellWord(f.value)
		}
	}
	if flags == "" {
		return nil
	}
	var verbs []string
	for _, verb := range model.Children {
		verbs = append(verbs, verb.Name)
	}
	return &retyper{regexp.MustCompile("(^|[\"`( ])sallyport (" + strings.Join(verbs, "|") + `)\b`), flags}
}

// text returns a message with the instance in its commands.
func (r *retyper) text(message string) string {
	if r == nil {
		return message
	}
	return r.command.ReplaceAllString(message, "${1}sallyport"+strings.ReplaceAll(r.flags, "$", "$$")+" ${2}")
}

func envValue(environ []string, name string) (value string) {
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=-]+$`)

// shellWord quotes a word for a shell where that is needed.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
