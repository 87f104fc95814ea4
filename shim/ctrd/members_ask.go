package ctrd

import (
	"context"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/errdefs"
)

// recordsOf returns the containers of some groups: by their ids if these are known and few. If they
// are not known, all containers are listed once, to know them from then on.
func (c *Client) recordsOf(ctx context.Context, groups []string) (map[string][]containers.Container, error) {
	now, begun := time.Now(), c.members.begin() // before the events are asked about
	members, known := c.members.of(groups, now)
	if known && len(members) <= mostMembers {
		if byGroup, ok, err := c.askMembers(ctx, members); ok || err != nil {
			return byGroup, err
		}
	}
	if known || len(groups) > mostMembers || !c.events.reportedSince(now.Add(-subscribedWithin)) {
		return c.listRecords(ctx, groupFilters(groups, false))
	}
	byGroup, err := c.listIDs(ctx, groups)
	if err == nil {
		c.members.keep(byGroup, now, begun)
	}
	return byGroup, err
}

// askMembers asks for containers one by one. ok is false if one is of another group by now.
func (c *Client) askMembers(ctx context.Context, members []member) (byGroup map[string][]containers.Container, ok bool, err error) {
	byGroup = map[string][]containers.Container{}
	for _, m := range members {
		r, err := c.client.ContainerService().Get(ctx, m.id)
		if errdefs.IsNotFound(err) {
			c.members.drop(m)
			continue
		}
		if err != nil {
			return nil, false, err
		}
		if r.Labels[labelGroup] != m.group {
			c.members.forget()
			return nil, false, nil
		}
		byGroup[m.group] = append(byGroup[m.group], r)
	}
	return byGroup, true, nil
}

// listRecords lists containers, by group.
func (c *Client) listRecords(ctx context.Context, filters []string) (map[string][]containers.Container, error) {
	records, err := c.client.ContainerService().List(ctx, filters...)
	if err != nil {
		return nil, err
	}
	byGroup := map[string][]containers.Container{}
	for _, r := range records {
		group := r.Labels[labelGroup]
		byGroup[group] = append(byGroup[group], r)
	}
	return byGroup, nil
}

// listIDs lists the containers of all groups. Those of other groups than these have nothing but
// their ids: all definitions together have many megabytes.
func (c *Client) listIDs(ctx context.Context, groups []string) (map[string][]containers.Container, error) {
	byGroup, err := c.listRecords(ctx, groupFilters(nil, true))
	for group, records := range byGroup {
		if slices.Contains(groups, group) {
			continue
		}
		for i := range records {
			records[i] = containers.Container{ID: records[i].ID}
		}
	}
	return byGroup, err
}
