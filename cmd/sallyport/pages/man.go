package pages

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/cpuguy83/go-md2man/v2/md2man"
)

// The pages are written as Markdown, in which md2man finds the title in the first line.

// program is the page of the whole command.
func program(app *kong.Application, verbs []verb) string {
	var b strings.Builder
	head(&b, app.Name, "1", "runs groups of containers, each behind its ambassador")
	fmt.Fprintf(&b, "# SYNOPSIS\n**%s** *VERB* [*FLAGS*] [*ARGUMENTS*]\n\n# DESCRIPTION\n%s\n\n", app.Name, plain(app.Help))
	fmt.Fprint(&b, "# VERBS\n")
	for i, v := range verbs[1:] {
		if i == 0 || verbs[i].group != v.group {
			fmt.Fprintf(&b, "### %s\n", v.group)
		}
		fmt.Fprintf(&b, "**%s-%s**(1)\n:   %s\n\n", app.Name, v.name, plain(v.help))
	}
	flagList(&b, verbs[0].flags)
	details(&b, app.Detail)
	fmt.Fprint(&b, "# ENVIRONMENT\n")
	var seen []string
	for _, v := range verbs {
		for _, f := range v.flags {
			for _, env := range f.envs {
				if !slices.Contains(seen, env) {
					seen = append(seen, env)
					fmt.Fprintf(&b, "**%s**\n:   For **%s**.\n\n", plain(env), plain(f.long))
				}
			}
		}
	}
	fmt.Fprintf(&b, "**NO\\_COLOR**\n:   If it is not empty, nothing is coloured.\n\n")
	fmt.Fprintf(&b, "# FILES\n*/etc/sallyport/groups.d/*\n:   The group files, see **%[1]s-group**(5).\n\n"+
		"*/etc/sallyport/sallyport.hcl*\n:   The daemon's configuration, see **%[1]s.hcl**(5).\n\n"+
		"*/etc/default/sallyport*\n:   The environment of the daemon as a service of systemd.\n\n"+
		"*/var/lib/sallyport/*\n:   State and persistent volumes.\n\n*/var/log/sallyport/*\n:   Output of the containers.\n\n", app.Name)
	fmt.Fprintf(&b, "# SEE ALSO\n**%[1]s-group**(5), **%[1]s.hcl**(5), **containerd**(8), **nft**(8)\n", app.Name)
	return md(b.String())
}

// page is the page of a verb.
func (v verb) page(program string) string {
	var b strings.Builder
	head(&b, program+"-"+v.name, "1", strings.TrimSuffix(v.help, "."))
	fmt.Fprintf(&b, "# SYNOPSIS\n**%s %s** [*FLAGS*]", program, v.name)
	for _, a := range v.args {
		fmt.Fprintf(&b, " %s", plain(a.summary))
	}
	fmt.Fprintf(&b, "\n\n# DESCRIPTION\n%s\n\n", plain(v.help))
	if len(v.args) > 0 {
		fmt.Fprint(&b, "# ARGUMENTS\n")
		for _, a := range v.args {
			fmt.Fprintf(&b, "**%s**\n:   %s\n\n", plain(a.summary), plain(a.help))
		}
	}
	flagList(&b, v.flags)
	details(&b, v.detail)
	fmt.Fprintf(&b, "# SEE ALSO\n**%[1]s**(1) has the exit status and the environment. **%[1]s-group**(5), **%[1]s.hcl**(5)\n", program)
	return md(b.String())
}

// document is the page of a document, whose first line is its title. A link within it, or to
// another document of ours, leads nowhere from a page, and only its text stays.
func document(program, name, text string) string {
	var b strings.Builder
	title, body, _ := strings.Cut(text, "\n")
	head(&b, name, "5", strings.ToLower(strings.TrimPrefix(title, "# ")))
	body = table.ReplaceAllStringFunc(inner.ReplaceAllString(body, "$1"), list)
	fmt.Fprintf(&b, "# DESCRIPTION\n%s\n\n# SEE ALSO\n**%s**(1)\n", body, program)
	return md(b.String())
}

var (
	inner = regexp.MustCompile(`\[([^\]\n]+)\]\((?:#|\.\./|[A-Za-z]+\.md)[^)\n]*\)`)
	table = regexp.MustCompile(`(?m)(^\|.*\|\n)+`)
)

// list makes a list of a table, because most of the reference's tables are wider than a terminal. A
// row's first cell is the term. Each other cell follows the head of its column.
func list(table string) string {
	var heads []string
	var b strings.Builder
	for row := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(row, "|\n"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case heads == nil:
			heads = cells
			continue
		case strings.Trim(row, "|- \n") == "":
			continue
		}
		var parts []string
		for i, cell := range cells[1:] {
			switch {
			case cell == "":
			case i+1 < len(heads) && heads[i+1] != "":
				parts = append(parts, "*"+heads[i+1]+":* "+cell)
			default:
				parts = append(parts, cell)
			}
		}
		for i, part := range parts {
			parts[i] = strings.TrimSuffix(part, ".")
		}
		fmt.Fprintf(&b, "**%s**\n:   %s.\n\n", strings.ReplaceAll(cells[0], "`", ""), strings.Join(parts, ". "))
	}
	return b.String()
}

func head(b *strings.Builder, name, section, help string) {
	fmt.Fprintf(b, "%% %s %s \"\" \"Sallyport\" \"Sallyport\"\n# NAME\n%s - %s\n\n", strings.ToUpper(name), section, plain(name), plain(help))
}

func flagList(b *strings.Builder, flags []flag) {
	fmt.Fprint(b, "# FLAGS\n")
	for _, f := range flags {
		if f.short != "" {
			fmt.Fprintf(b, "**%s**, ", plain(f.short))
		}
		fmt.Fprintf(b, "**%s**", plain(f.long))
		if f.placeholder != "" {
			fmt.Fprintf(b, "=*%s*", plain(f.placeholder))
		}
		fmt.Fprintf(b, "\n:   %s", plain(f.help))
		if len(f.envs) > 0 {
			fmt.Fprintf(b, " Environment: %s.", plain(strings.Join(f.envs, ", ")))
		}
		fmt.Fprint(b, "\n\n")
	}
}

// details writes what help shows in parts: a title with a colon, and below it a block of indented
// lines.
func details(b *strings.Builder, text string) {
	if title, body, ok := strings.Cut(text, ":\n"); ok {
		fmt.Fprintf(b, "# %s\n%s\n", strings.ToUpper(title), body)
	}
}

// plain escapes what Markdown would read as its own.
func plain(text string) string { return special.ReplaceAllString(text, `\$0`) }

var special = regexp.MustCompile("[\\\\`*_{}\\[\\]<>#|~]")

func md(text string) string { return string(md2man.Render([]byte(text))) }
