package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/ctrd"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/reach"
	"github.com/sallyport/sallyport/shim/store"
)

// checkResolvers returns the name servers for ambassadors whose group file names none.
func checkResolvers(context.Context) (string, error) {
	servers, err := ctrd.Resolvers()
	if err != nil {
		return "", err
	}
	if len(servers) == 0 {
		return "", &note{
			text: "the host's only name server is on its own loopback, which no group reaches: ambassadors can't resolve names",
			hint: "name servers in the group's network block: dns { servers = [\"192.0.2.53\"] }",
		}
	}
	return resolversText(servers)
}

// resolversText lists the name servers. A note names those that the host's rules refuse.
func resolversText(servers []netip.Addr) (string, error) {
	var all, refused []string
	for _, s := range servers {
		all = append(all, s.String())
		if reach.Reserved(netip.PrefixFrom(s, s.BitLen())) {
			refused = append(refused, s.String())
		}
	}
	if len(refused) == 0 {
		return strings.Join(all, ", "), nil
	}
	return "", &note{
		text: strings.Join(all, ", ") + ". Cloud metadata or link-local, so refused to ambassadors: " + strings.Join(refused, ", "),
		hint: "other name servers in the group's network block: dns { servers = [\"192.0.2.53\"] }. Or name them in allow, with all other destinations",
	}
}

// checkState looks for damaged files of the state folder that a daemon has set aside.
func checkState(l layout.Layout) (string, error) {
	var paths []string
	for _, p := range store.New(l).Aside() {
		paths = append(paths, p.Path)
	}
	if len(paths) == 0 {
		return "no damaged file was set aside", nil
	}
	return "", &note{
		text: "damaged, and set aside: " + strings.Join(paths, ", ") + ". \"sallyport events\" has what was done",
		hint: "look at them, and then type: rm -r " + strings.Join(paths, " "),
	}
}

// daemonTimeout bounds doctor's question to a daemon that may not run.
const daemonTimeout = 2 * time.Second

// daemonResults has a line for the daemon, and one for the group files that it can't use. No daemon
// is no failure: doctor is also for a host that has none yet.
func daemonResults(ctx context.Context, in *instance) []result {
	l, err := in.layout(paths{})
	if err != nil {
		return []result{{Name: "daemon", Error: err.Error()}}
	}
	client := api.NewClient(l.Socket()).WithPatience(patience)
	problems, err := client.Problems(ctx)
	err = in.explainNoDaemon(err)
	switch {
	case errors.Is(err, api.ErrNoDaemon):
		return []result{{Name: "daemon", OK: true, Note: true, Found: err.Error(), Hint: hint.Of(err)}}
	case err != nil:
		return []result{{Name: "daemon", Error: err.Error(), Hint: hint.Of(err)}}
	}
	results := []result{{Name: "daemon", OK: true, Found: "answers at " + l.Socket()}}
	if len(problems) == 0 {
		return append(results, result{Name: "group files", OK: true, Found: "all are used"})
	}
	return append(results, result{
		Name: "group files", Error: fmt.Sprintf("%s can't be used; the first is %s: %s", plural(len(problems), "file"), problems[0].Path, problems[0].Error),
		Hint: "mend or remove them; \"sallyport ps --all\" lists them",
	})
}

// fullBound is how many percent of a bound make it worth a note.
const fullBound = 90

// boundResults has one line for each bound on disk, as the daemon last saw them. Without a daemon
// there is none: nothing looks at them.
func boundResults(ctx context.Context, in *instance) []result {
	ctx, cancel := context.WithTimeout(ctx, daemonTimeout)
	defer cancel()
	client, err := in.client(ctx)
	if err != nil {
		return nil
	}
	groups, err := client.Status(ctx, "")
	if err != nil {
		return nil
	}
	return boundsFound(groups)
}

func boundsFound(groups []group.Status) (all []result) {
	for _, g := range groups {
		for _, b := range g.Bounds {
			all = append(all, result{Name: "bounds on disk", OK: true, Note: !b.Hard || b.Percent() >= fullBound, Found: g.Name + ": " + b.String()})
		}
	}
	return all
}

// unsafeResults has one line for everything that an unsafe block of a group gives up. It asks the
// daemon. If none answers, it reads what the last one stored.
func unsafeResults(ctx context.Context, in *instance, l layout.Layout) []result {
	texts, err := unsafeTexts(ctx, in, l)
	if err != nil {
		return []result{{Name: "unsafe", OK: true, Note: true, Found: "can't read what groups give up: " + err.Error(), Hint: "run doctor as root"}}
	}
	if len(texts) == 0 {
		return []result{{Name: "unsafe", OK: true, Found: "no group gives anything up"}}
	}
	var all []result
	for _, text := range texts {
		all = append(all, result{Name: "unsafe", OK: true, Note: true, Found: text})
	}
	return all
}

func unsafeTexts(ctx context.Context, in *instance, l layout.Layout) ([]string, error) {
	var all []string
	add := func(group string, texts []string) {
		for _, text := range texts {
			all = append(all, fmt.Sprintf("%s: %s", group, text))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, daemonTimeout)
	defer cancel()
	if client, err := in.client(ctx); err == nil {
		if groups, err := client.Status(ctx, ""); err == nil {
			for _, g := range groups {
				add(g.Name, g.Unsafe)
			}
			return all, nil
		}
	}
	known, err := store.New(l).List()
	for i := range known {
		add(known[i].Group.Name, reach.Unsafe(&known[i].Group))
	}
	return all, err
}
