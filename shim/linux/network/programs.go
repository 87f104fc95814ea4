package network

import "strconv"

// surveyGroups looks at the cgroups of all groups at once, and at the programs attached to them.
func (d *Drift) surveyGroups(groups []string) {
	if d.survey == nil {
		return
	}
	paths := make([]string, len(groups))
	for i, group := range groups {
		paths[i] = d.network.layout.GroupCgroup(group)
	}
	var err error
	d.prints, err = d.survey.Prints(paths)
	if err != nil && !d.warned {
		d.warned = true
		d.network.log.Info("the cgroups of groups are looked at one by one", "error", err)
	}
}

// surveyed returns what the last survey saw of a group. If it saw nothing of it, the group has to
// be asked for by itself.
func (d *Drift) surveyed(group string) (print string, ok bool) {
	p, ok := d.prints[d.network.layout.GroupCgroup(group)]
	return strconv.FormatUint(p, 16), ok
}
