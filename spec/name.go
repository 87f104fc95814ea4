package spec

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Limits on names. containerd takes ids of up to 76 characters, and a container's id is
// GROUP.CONTAINER. A group's name is also the host name of its containers and a file's name in
// /run.
const (
	maxGroupName     = 40
	maxContainerName = 32
)

var validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

// checkName reports a name that can't be used. what is "group", "container" and so on.
func (r *report) checkName(what, name string, longest int, why string, at hcl.Range) {
	switch {
	case name == "":
		r.errorf(at, "Empty name", "%s has a name. Write at least one letter or digit.", upperFirst(article(what)))
	case len(name) > longest:
		r.errorf(at, upperFirst(what)+" name too long", "%s has %d characters; the name of %s has at most %d%s. Choose a shorter one.", quote(name), len(name), article(what), longest, why)
	case !validName.MatchString(name):
		r.errorf(at, "Invalid "+what+" name", "%s can't name %s: a name is made of lower-case letters, digits and dashes, and begins and ends with a letter or a digit.", quote(name), article(what))
	}
}

// article puts "a" or "an" before a word of the schema.
func article(what string) string {
	if strings.ContainsAny(what[:1], "aeiou") && !strings.HasPrefix(what, "ulimit") { // spoken "you"
		return "an " + what
	}
	return "a " + what
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// quote returns a text from the file for use in a sentence, however long or odd it is.
func quote(s string) string {
	const longest = 80
	if r := []rune(s); len(r) > longest {
		s = string(r[:longest]) + "…"
	}
	return strconv.Quote(s)
}
