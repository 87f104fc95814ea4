package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/ctrd"
)

// A remark is what an operator should know of a host that fails nothing.
type remark struct{ text, hint string }

// Error is the remark.
func (r *remark) Error() string { return r.text }

// checkResolvers says whom an ambassador asks for names whose group names no servers.
func checkResolvers(context.Context) (string, error) {
	servers, err := ctrd.Resolvers()
	if err != nil {
		return "", err
	}
	if len(servers) == 0 {
		return "", &remark{
			text: "the host asks only itself, where no group reaches it: ambassadors resolve no names",
			hint: "name servers in the group's network block: dns { servers = [\"192.0.2.53\"] }",
		}
	}
	var all []string
	for _, s := range servers {
		all = append(all, s.String())
	}
	return strings.Join(all, ", "), nil
}

// askedWithin is how long doctor waits for a daemon that may not be there.
const askedWithin = 2 * time.Second

// unsafeFindings has a line for all that is given up in a group, whether the daemon tells of it or, where none answers, what
// it last wrote down.
func unsafeFindings(ctx context.Context, in *instance, l shim.Layout) []finding {
	given, err := givenUp(ctx, in, l)
	if err != nil {
		return []finding{{Name: "unsafe", OK: true, Note: true, Found: "what groups give up can't be told: " + err.Error(), Hint: "run doctor as root"}}
	}
	if len(given) == 0 {
		return []finding{{Name: "unsafe", OK: true, Found: "no group gives anything up"}}
	}
	var all []finding
	for _, text := range given {
		all = append(all, finding{Name: "unsafe", OK: true, Note: true, Found: text})
	}
	return all
}

func givenUp(ctx context.Context, in *instance, l shim.Layout) ([]string, error) {
	var all []string
	tell := func(group string, texts []string) {
		for _, text := range texts {
			all = append(all, fmt.Sprintf("%s: %s", group, text))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askedWithin)
	defer cancel()
	if client, err := in.client(); err == nil {
		if groups, err := client.Status(ctx, ""); err == nil {
			for _, g := range groups {
				tell(g.Name, g.Unsafe)
			}
			return all, nil
		}
	}
	known, err := shim.NewStore(l).Known()
	for i := range known {
		tell(known[i].Group.Name, shim.UnsafeTexts(&known[i].Group))
	}
	return all, err
}
