package pages

import (
	"fmt"
	"strings"
)

// fish is the completion of fish. Each line is one offer, with the condition under which it is
// made.
func fish(program string, verbs []verb) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion of %s\ncomplete -c %s -f\n", program, program)
	all := strings.Join(names(verbs), " ")
	for _, v := range verbs {
		when := "__fish_seen_subcommand_from " + v.name
		if v.name == "" {
			when = "not __fish_seen_subcommand_from " + all
			for _, other := range verbs[1:] {
				fmt.Fprintf(&b, "complete -c %s -n '%s' -a %s -d %s\n", program, when, other.name, quoted(other.help))
			}
		}
		offer := fmt.Sprintf("complete -c %s -n '%s'", program, when)
		for _, f := range v.flags {
			fmt.Fprintf(&b, "%s -l %s", offer, strings.TrimPrefix(f.long, "--"))
			if f.short != "" {
				fmt.Fprintf(&b, " -s %s", strings.TrimPrefix(f.short, "-"))
			}
			if f.placeholder != "" {
				fmt.Fprint(&b, " ", f.values.fish(program, "-x"))
			}
			fmt.Fprintf(&b, " -d %s\n", quoted(f.help))
		}
		if len(v.args) > 0 {
			if values := v.args[0].values.fish(program, ""); values != "" {
				fmt.Fprintf(&b, "%s %s\n", offer, values)
			}
		}
	}
	return b.String()
}

// fish returns the options of complete that offer these values.
func (v values) fish(program, none string) string {
	groups := quoted("(" + fmt.Sprintf(groupNames, program) + ")")
	switch {
	case len(v.words) > 0:
		return "-x -a " + quoted(strings.Join(v.words, " "))
	case v.folder:
		return "-x -a '(__fish_complete_directories)'"
	case v.files && v.groups:
		return "-F -a " + groups
	case v.files:
		return "-F"
	case v.groups:
		return "-x -a " + groups
	}
	return none
}

// quoted is a word in single quotes, in which fish takes only \' and \\ as special.
func quoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
