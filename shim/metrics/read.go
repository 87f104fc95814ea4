package metrics

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// readGroups reads what the daemon has in memory.
func (c *Collector) readGroups(_ context.Context, s *scrape) error {
	groups, err := c.config.Keeper.Status("")
	if err != nil {
		return err
	}
	s.know(groups)
	byState := map[group.State]float64{}
	for _, g := range groups {
		byState[g.State]++
	}
	for _, state := range group.States {
		s.add(gauge(groupsByState, byState[state], string(state)))
	}
	counts, denied, inbound := c.config.Keeper.Counts(), c.config.Denied(), c.config.DeniedInbound()
	for _, g := range groups {
		addGroup(s, g, counts[g.Name])
		s.add(counter(deniedInbound, inbound[g.Name], g.Name))
		packets := denied[g.Name]
		for _, x := range g.Containers {
			addContainer(s, g.Name, x)
			s.add(counter(containerDenied, packets[x.Name], g.Name, x.Name)) // 0 as well: from there it increases
			delete(packets, x.Name)
		}
		for _, b := range g.Bounds {
			addBound(s, g.Name, b)
		}
		for container, n := range packets {
			s.add(counter(containerDenied, n, g.Name, container))
		}
	}
	addRuns(s, c.config.Keeper.RunCounts())
	kinds, lost := c.config.Events.counts()
	for kind, n := range kinds {
		s.add(counter(eventsTotal, n, string(kind)))
	}
	s.add(counter(eventsLost, lost), gauge(unusableFiles, float64(len(c.config.Keeper.Problems()))))
	return nil
}

// addRuns adds the runs together: there are too many for a series each.
func addRuns(s *scrape, n group.RunCounts) {
	s.add(
		gauge(runsNow, float64(n.Active), "active"), gauge(runsNow, float64(n.Queued), "queued"),
		counter(runsTotal, n.Succeeded, "succeeded"), counter(runsTotal, n.Failed, "failed"), counter(runsTotal, n.TimedOut, "timed_out"),
		counter(runsTotal, n.NotRun, "not_run"), counter(runsTotal, n.Lost, "lost"), counter(runsTotal, n.Refused, "refused"),
	)
}

func addGroup(s *scrape, g group.Status, n group.Counts) {
	for _, state := range group.States {
		s.add(gauge(groupState, bit(g.State == state), g.Name, string(state)))
	}
	if !g.Since.IsZero() {
		s.add(gauge(groupStateSince, seconds(g.Since), g.Name))
	}
	if !g.NextRun.IsZero() {
		s.add(gauge(groupNextRun, seconds(g.NextRun), g.Name))
	}
	if g.LastRun != nil && g.LastRun.State.Over() {
		s.add(gauge(groupLastRun, bit(g.LastRun.ExitCode() != 0), g.Name))
	}
	s.add(
		gauge(groupInfo, 1, g.Name, string(g.Egress)), gauge(groupError, bit(g.Error != ""), g.Name),
		gauge(groupGeneration, float64(g.Generation), g.Name), gauge(groupTrial, bit(!g.TrialEnds.IsZero()), g.Name),
		gauge(groupTimedOut, bit(g.TimedOut), g.Name),
		counter(reconciliations, n.Reconciliations, g.Name), counter(failures, n.Failures, g.Name), counter(repairs, n.Repairs, g.Name),
	)
}

func addContainer(s *scrape, in string, x group.ContainerStatus) {
	s.add(
		gauge(containerInfo, 1, in, x.Name, string(x.Role), x.Image), gauge(ready, bit(x.Ready), in, x.Name),
		counter(restarts, x.Restarts, in, x.Name), gauge(endsInARow, float64(x.EndsInARow), in, x.Name),
	)
	if x.Task != host.TaskUnknown {
		s.add(gauge(running, bit(x.Task == host.TaskRunning), in, x.Name))
	}
	if !x.StartedAt.IsZero() {
		s.add(gauge(started, seconds(x.StartedAt), in, x.Name))
	}
	if x.ExitStatus != nil {
		s.add(gauge(lastExit, float64(*x.ExitStatus), in, x.Name), gauge(lastExitOOM, bit(x.OOMKilled), in, x.Name))
	}
}

func addBound(s *scrape, in string, b host.Bound) {
	if b.Container != "" {
		s.add(gauge(containerDisk, float64(b.Used), in, b.Container), gauge(containerDiskMax, float64(b.Size), in, b.Container))
		return
	}
	s.add(gauge(volumeUsed, float64(b.Used), in, b.Volume), gauge(volumeLimit, float64(b.Size), in, b.Volume))
}

// eachContainer calls do until ctx ends.
func (s *scrape) eachContainer(ctx context.Context, do func(in string, x group.ContainerStatus)) error {
	for _, g := range s.groups {
		for _, x := range g.Containers {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			do(g.Name, x)
		}
	}
	return nil
}

// readCgroups reads what the kernel counts for each container.
func (c *Collector) readCgroups(ctx context.Context, s *scrape) error {
	return s.eachContainer(ctx, func(in string, x group.ContainerStatus) {
		u := c.config.Usage(in, x.Role, x.Name)
		if u.CPU != nil {
			s.add(metric(cpuSeconds, prometheus.CounterValue, u.CPU.Seconds(), []string{in, x.Name}))
		}
		if u.OOMKills != nil {
			s.add(counter(oomKills, *u.OOMKills, in, x.Name))
		}
		for _, g := range []struct {
			of    *prometheus.Desc
			value *uint64
		}{{memoryBytes, u.Memory}, {workingSet, u.WorkingSet}, {memoryLimit, u.MemoryLimit}, {threads, u.Threads}} {
			if g.value != nil {
				s.add(gauge(g.of, float64(*g.value), in, x.Name))
			}
		}
	})
}

// readOutput reads the sizes of the files of output.
func (c *Collector) readOutput(ctx context.Context, s *scrape) error {
	return s.eachContainer(ctx, func(in string, x group.ContainerStatus) {
		if printed, stored, ok := c.config.Output(in, x.Name); ok {
			s.add(counter(outputBytes, printed, in, x.Name), gauge(outputStored, float64(stored), in, x.Name))
		}
	})
}

// readDoor reads the counters of each group's rules.
func (c *Collector) readDoor(ctx context.Context, s *scrape) error {
	var errs []error
	for _, g := range s.groups {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := c.config.Door.Counters(g.Name)
		if err == nil {
			addCounters(s, g.Name, n)
			if g.Quota != 0 {
				err = c.addQuota(s, g.Name)
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // no rules yet, or no longer
			errs = append(errs, fmt.Errorf("group %s: %w", g.Name, err))
		}
	}
	return errors.Join(errs...)
}

func addCounters(s *scrape, in string, n host.Counters) {
	for _, x := range []struct {
		side    string
		out, in host.Count
	}{{"ambassador", n.AmbassadorOut, n.AmbassadorIn}, {"kernel", n.KernelOut, n.KernelIn}, {"members", n.MembersOut, host.Count{}}} {
		s.add(counter(transmitPackets, x.out.Packets, in, x.side), counter(transmitBytes, x.out.Bytes, in, x.side))
		if x.side != "members" { // what arrives for them is denied
			s.add(counter(receivePackets, x.in.Packets, in, x.side), counter(receiveBytes, x.in.Bytes, in, x.side))
		}
	}
	for _, x := range []struct {
		kind string
		host.Count
	}{
		{"ambassador_allow", n.AmbassadorDenied}, {"ambassador_flows", n.FlowsFull}, {"ambassador_quota", n.Quota},
		{"members_in", n.MembersIn}, {"members_other", n.MembersOther}, {"members_tcp", n.MembersTCP},
		{"unknown_in", n.UnknownIn}, {"unknown_out", n.UnknownOut},
	} {
		s.add(counter(doorDenied, x.Packets, in, x.kind))
	}
	s.add(counter(intercepted, n.MembersIntercepted.Packets, in))
}

func (c *Collector) addQuota(s *scrape, in string) error {
	used, quota, err := c.config.Door.Spent(in)
	if err == nil && quota > 0 {
		s.add(gauge(quotaUsed, float64(used), in), gauge(quotaBytes, float64(quota), in))
	}
	return err
}

// readHost reads the rest.
func (c *Collector) readHost(_ context.Context, s *scrape) (err error) {
	for _, x := range []struct {
		family string
		ipv6   bool
	}{{"ipv4", false}, {"ipv6", true}} {
		ok, routeErr := c.config.Route(x.ipv6)
		if routeErr == nil {
			s.add(gauge(uplinkRoute, bit(ok), x.family))
		}
		err = errors.Join(err, routeErr)
	}
	s.add(gauge(unwrittenFiles, float64(c.config.Unwritten())))
	return err
}
