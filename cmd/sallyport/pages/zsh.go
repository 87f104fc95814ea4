package pages

import (
	"fmt"
	"strings"
)

// zsh is the completion of zsh, for its function _arguments.
func zsh(program string, verbs []verb) string {
	var b strings.Builder
	fmt.Fprintf(&b, `#compdef %[1]s
_%[1]s_groups() {
  local -a groups
  groups=(${(f)"$(%[2]s)"})
  compadd -a groups
}
_%[1]s() {
  local curcontext=$curcontext state line ret=1
  local -a verbs
  typeset -A opt_args
  _arguments -C \
`, program, fmt.Sprintf(groupNames, program))
	for _, f := range verbs[0].flags {
		fmt.Fprintf(&b, "    %s \\\n", f.zsh(program))
	}
	fmt.Fprint(&b, "    '1:verb:->verb' '*::argument:->arguments' && ret=0\n  case $state in\n  verb)\n    verbs=(\n")
	for _, v := range verbs[1:] {
		fmt.Fprintf(&b, "      %s\n", zshQuoted(v.name+":"+v.help))
	}
	fmt.Fprint(&b, "    )\n    _describe -t verbs verb verbs && ret=0\n    ;;\n  arguments)\n    curcontext=${curcontext%:*}-$words[1]:\n    case $words[1] in\n")
	for _, v := range verbs[1:] {
		fmt.Fprintf(&b, "    %s)\n      _arguments -s", v.name)
		for _, f := range v.flags {
			fmt.Fprintf(&b, " \\\n        %s", f.zsh(program))
		}
		if len(v.args) > 0 {
			fmt.Fprintf(&b, " \\\n        '*:%s:%s'", strings.NewReplacer("[", "(", "]", ")").Replace(v.args[0].summary), v.args[0].values.zsh(program))
		}
		fmt.Fprint(&b, " && ret=0\n      ;;\n")
	}
	fmt.Fprintf(&b, "    esac\n    ;;\n  esac\n  return ret\n}\n_%s \"$@\"\n", program)
	return b.String()
}

// zsh returns the specification of a flag for _arguments.
func (f flag) zsh(program string) string {
	spec, text := f.long, "["+strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`).Replace(f.help)+"]"
	if f.placeholder != "" {
		spec += "="
		text += ":" + strings.NewReplacer(":", `\:`).Replace(f.placeholder) + ":" + f.values.zsh(program)
	}
	switch {
	case f.repeats:
		return zshQuoted("*" + spec + text)
	case f.short == "":
		return zshQuoted(spec + text)
	case f.placeholder != "":
		return fmt.Sprintf("'(%s %s)'{%s+,%s}%s", f.short, f.long, f.short, spec, zshQuoted(text))
	}
	return fmt.Sprintf("'(%s %s)'{%s,%s}%s", f.short, f.long, f.short, spec, zshQuoted(text))
}

// zsh returns the action of _arguments that offers these values.
func (v values) zsh(program string) string {
	switch {
	case len(v.words) > 0:
		return "(" + strings.Join(v.words, " ") + ")"
	case v.folder:
		return "_files -/"
	case v.files && v.groups:
		return fmt.Sprintf("{_%s_groups; _files}", program)
	case v.files:
		return "_files"
	case v.groups:
		return fmt.Sprintf("_%s_groups", program)
	}
	return " "
}

func zshQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
