package spec

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// hintBlock and hintAttribute match a block and an attribute in a hint, as in:
// mount "NAME" { path = "/path" }.
var (
	hintBlock     = regexp.MustCompile(`\b([a-z_]+)(?: "[^"]*")? \{`)
	hintAttribute = regexp.MustCompile(`\b([a-z_]+) = `)
)

// inValues are the names in the maps of attributes that a hint has in an example.
var inValues = []string{"for_each", "service", "team", "method", "headers", "https"}

// A hint names no block or attribute that there is not, so it can be typed as it stands.
func TestHintsNameWhatThereIs(t *testing.T) {
	attrs, hints := slices.Clone(inValues), map[string]string{}
	for _, k := range kinds {
		attrs = append(attrs, k.attrs...)
	}
	maps.Copy(hints, foreign)
	for place, words := range foreignIn {
		for name, hint := range words {
			hints[place+"/"+name] = hint
		}
	}
	for name, form := range blockForms {
		hints["form/"+name] = form
	}
	for name, hint := range hints {
		for _, m := range hintBlock.FindAllStringSubmatch(hint, -1) {
			if _, known := kinds[m[1]]; !known {
				t.Errorf("%s: the hint has a block %q: %s", name, m[1], hint)
			}
		}
		for _, m := range hintAttribute.FindAllStringSubmatch(hint, -1) {
			if !slices.Contains(attrs, m[1]) {
				t.Errorf("%s: the hint has an attribute %q: %s", name, m[1], hint)
			}
		}
	}
}

// Each word has one row in its table, in the spelling that canonical gives it.
func TestHintsAreFound(t *testing.T) {
	places := map[string][]translation{"": foreignWords}
	for place, rows := range foreignPlaces {
		places["in "+place] = rows
	}
	for place, rows := range places {
		seen := map[string]bool{}
		for _, row := range rows {
			if strings.TrimSpace(row.names) == "" || row.instead == "" {
				t.Errorf("%s: an empty row: %q", place, row)
			}
			for _, name := range strings.Fields(row.names) {
				if seen[name] {
					t.Errorf("%s: %q has two rows", place, name)
				}
				if canonical(name) != name {
					t.Errorf("%s: %q is looked up as %q", place, name, canonical(name))
				}
				if TakenAway(name) != "" && place != "in "+fileKind {
					t.Errorf("%s: %q is refused before its hint is looked up", place, name)
				}
				seen[name] = true
			}
		}
	}
}

func TestCanonical(t *testing.T) {
	for written, want := range map[string]string{
		"hostNetwork": "host_network", "HostNetwork": "host_network", "host-network": "host_network", "host_network": "host_network",
		"DNSSearch": "dns_search", "UIDMap": "uid_map", "hostIPC": "host_ipc", "IP6": "ip6", "setHostnameAsFQDN": "set_hostname_as_fqdn", "UserNS": "user_ns",
	} {
		if got := canonical(written); got != want {
			t.Errorf("%s is %s, want %s", written, got, want)
		}
	}
}

// The nearest name is found among all, however many there are.
func TestSlipOfForeign(t *testing.T) {
	for given, want := range map[string]string{"enviroment": "environment", "pull_polcy": "pull_policy", "imagePullSecret": "image_pull_secrets", "xyzzy": ""} {
		if got := slipOfForeign(given); got != want {
			t.Errorf("%s: %q, want %q", given, got, want)
		}
	}
}
