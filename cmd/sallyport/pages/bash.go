package pages

import (
	"fmt"
	"strings"
)

// groupNames prints the names of the groups. Without a daemon, or without root, it prints none.
const groupNames = `%s ps -q 2>/dev/null`

// bash is the completion of bash. It needs no function of the package bash-completion.
func bash(program string, verbs []verb) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# bash completion of %[1]s
_%[1]s() {
  COMPREPLY=()
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= flags= words= kind= i
  # "--flag=value" is three words
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ ${COMP_WORDS[i]} == -- ]] && return
    if [[ -z $verb ]]; then
      case ${COMP_WORDS[i]} in
      %[2]s) verb=${COMP_WORDS[i]} ;;
      esac
    fi
  done
  case $verb:$prev in
`, program, strings.Join(names(verbs), " | "))
	for _, v := range verbs {
		for _, f := range v.flags {
			if f.placeholder == "" {
				continue
			}
			fmt.Fprintf(&b, "  %s) %s ;;\n", strings.Join(f.spellings(v.name+":"), " | "), f.values.bash("none"))
		}
	}
	fmt.Fprint(&b, "  *)\n    case $verb in\n")
	for _, v := range verbs {
		var flags []string
		for _, f := range v.flags {
			flags = append(flags, f.spellings("")...)
		}
		offer := "kind=none"
		if v.name == "" {
			offer = "words='" + strings.Join(names(verbs), " ") + "'"
		} else if len(v.args) > 0 {
			offer = v.args[0].values.bash("none")
		}
		fmt.Fprintf(&b, "    '%s') flags='%s' %s ;;\n", v.name, strings.Join(flags, " "), offer)
	}
	fmt.Fprintf(&b, `    esac
    ;;
  esac
  if [[ $cur == -* ]]; then
    words=$flags kind=
  elif [[ $kind == *groups* ]]; then
    words=$(%[2]s)
  fi
  if [[ $kind == *files* ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  elif [[ $kind == folder ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -d -- "$cur")
  fi
  [[ -z $words ]] || mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _%[1]s %[1]s
`, program, fmt.Sprintf(groupNames, program))
	return b.String()
}

// bash returns the assignment that offers these values.
func (v values) bash(none string) string {
	kind := none
	switch {
	case len(v.words) > 0:
		return "words='" + strings.Join(v.words, " ") + "'"
	case v.folder:
		kind = "folder"
	case v.files && v.groups:
		kind = "files,groups"
	case v.files:
		kind = "files"
	case v.groups:
		kind = "groups"
	}
	return "kind=" + kind
}

// names returns the names of the verbs, without the program itself.
func names(verbs []verb) (out []string) {
	for _, v := range verbs[1:] {
		out = append(out, v.name)
	}
	return out
}

// spellings returns how a flag can be written, each behind a prefix.
func (f flag) spellings(prefix string) []string {
	if f.short == "" {
		return []string{prefix + f.long}
	}
	return []string{prefix + f.short, prefix + f.long}
}
