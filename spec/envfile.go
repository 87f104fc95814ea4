package spec

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// maxEnvFile limits an environment file in bytes. The kernel takes no larger environment with an
// ordinary stack.
const maxEnvFile = 256 << 10

// envFiles reads a container's environment files and returns its environment: that of the files,
// the last one that has a name counts, and over them the container's own env. The names that the
// files alone have are noted, so that no command shows their values.
func (d *groupDecoder) envFiles(container string, r reader, own map[string]string) map[string]string {
	names, ok := r.list("env_file")
	if !ok {
		return own
	}
	env := map[string]string{}
	for _, i := range names {
		if v, ok := r.convert(i.value, textType, elementOf("env_file"), i.at); ok {
			d.envFile(v.AsString(), i.at, env)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if _, ok := own[name]; !ok {
			d.hidden = append(d.hidden, container+".env."+name)
		}
	}
	maps.Copy(env, own)
	if len(env) == 0 {
		return own
	}
	return env
}

// envFile reads one environment file into env, in the syntax of docker's --env-file: a line is
// NAME=VALUE, a comment or empty. The value is all that follows the first =, with its quotes.
func (d *groupDecoder) envFile(name string, at hcl.Range, env map[string]string) {
	content, ok := d.read(name, at)
	if !ok {
		return
	}
	if len(content) > maxEnvFile {
		d.errorf(at, "File too large", "%s has %d KiB; an environment file has at most %d KiB.", quote(name), len(content)>>10, maxEnvFile>>10)
		return
	}
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		wrong := func(form string, args ...any) {
			d.errorf(at, "Invalid environment file", "%s, line %d: %s", quote(path.Base(name)), n, fmt.Sprintf(form, args...))
		}
		line = strings.TrimLeft(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, assigned := strings.Cut(line, "=")
		switch {
		case !utf8.ValidString(line) || strings.ContainsRune(line, 0):
			wrong("it is no text.")
		case strings.HasPrefix(key, "export "):
			wrong("the file is no shell script. Write NAME=VALUE without export.")
		case !assigned: // it may be a part of a key, so it is not shown
			wrong("it has no value. Write NAME=VALUE. A value of this machine's environment can't be taken.")
		case !envName.MatchString(key):
			wrong("what stands before = can't name an environment variable: a name is a letter or _, then letters, digits and any of _-.")
		default:
			if len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
				d.warnf(at, "Quotes in an environment file", "%s, line %d: the quotes are part of the value of %s, as with docker run --env-file. Remove them if they are not meant.", quote(path.Base(name)), n, key)
			}
			env[key] = value
			continue
		}
		return // what follows may be as wrong
	}
}
