// Package denials makes events of what the kernel counts for the groups: refused packets, and bytes
// against a quota. A daemon that is killed at any moment loses no event, and the next one records
// none twice.
package denials

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/layout"
)

// A Door reads the kernel's counters of groups. Package linux/network implements it, and package
// hosttest does so in memory.
type Door interface {
	// Counts returns the counts of each of these groups, in their order. It reads what concerns
	// the whole host once for all of them.
	Counts(groups []string) []host.DoorCounts
	// RefusedByHost returns those of the groups to which the host's own rules have refused
	// something since the last call. told reports whether the host reports the next refusal.
	RefusedByHost(groups []string) (refused []string, told bool, err error)
}

// A Config holds what a Poller needs.
type Config struct {
	Door     Door             // required
	Groups   func() []string  // required: the groups to poll; records of others are removed
	Journal  *journal.Journal // required
	Layout   layout.Layout    // required: its RunDir
	Log      *slog.Logger     // optional: nil discards
	Interval time.Duration    // optional: the least between two polls; 0 means 1 s
	Now      func() time.Time // optional: nil means time.Now
	// MaxEvents is the number of destinations of a group that get an event of their own in one
	// poll. The others are added up. Optional: 0 means 16.
	MaxEvents int
}

// A Poller polls the counters of groups and records events. A group whose counts the host reports
// is read when the poller is woken, and each other group in every poll; see schedule.go. It writes
// each snapshot to the run folder, with the events of it, before it records these. A daemon that is
// killed in between leaves the events in the snapshot, and the next one records those that the
// journal does not have.
type Poller struct {
	config    Config
	polling   sync.Mutex // held while snapshots are used
	snapshots map[string]*snapshot
	host      schedule // of what the host's rules refuse
	totals    totals
	woken     woken
}

// A snapshot has the last counts of one group.
type snapshot struct {
	Denials []pendingDenial `json:"denials,omitempty"`
	Inbound []pendingDenial `json:"inbound,omitempty"`
	Level   int             `json:"level,omitempty"`  // the quotaLevel that was reported last
	Events  []group.Event   `json:"events,omitempty"` // of this snapshot

	schedule
	failing    bool          // the last poll failed, and this was logged
	unreported []host.Denial // what Events reports of Denials
	dropped    []host.Denial // what Events reports of Inbound
}

// New validates and starts nothing.
func New(c Config) (*Poller, error) {
	if c.Door == nil || c.Groups == nil || c.Journal == nil {
		return nil, errors.New("denials: a Poller needs Door, Groups and Journal")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Interval == 0 {
		c.Interval = time.Second
	}
	if c.MaxEvents == 0 {
		c.MaxEvents = 16
	}
	return &Poller{config: c, snapshots: map[string]*snapshot{}, woken: newWoken()}, nil
}

// Run polls the groups until ctx ends. It logs a failure and tries again.
func (p *Poller) Run(ctx context.Context) error {
	p.polling.Lock()
	err := p.resume()
	p.polling.Unlock()
	if err != nil {
		p.config.Log.Warn("read the last counts of the groups: " + err.Error())
	}
	for ctx.Err() == nil {
		p.poll()
		p.rest(ctx)
	}
	return nil
}

// resume reads the snapshots of the daemon before, and records their events that the journal does
// not have.
func (p *Poller) resume() error {
	paths, err := filepath.Glob(p.config.Layout.DenialsPath("*"))
	if err != nil {
		return err
	}
	var errs []error
	var events []group.Event
	for _, path := range paths {
		s, err := disk.ReadJSON[snapshot](path)
		if err != nil {
			errs = append(errs, err) // the group begins without a snapshot
			continue
		}
		p.snapshots[strings.TrimSuffix(filepath.Base(path), ".json")] = &s
		events = append(events, s.Events...)
		s.Events = nil
	}
	if len(events) > 0 {
		events, err = p.config.Journal.Missing(events)
		errs = append(errs, err)
	}
	if len(events) > 0 {
		errs = append(errs, p.config.Journal.Record(events...))
	}
	return errors.Join(errs...)
}

// Flush polls one group before its time, such as before its rules go, and returns how many of its
// packets were denied since the daemon started. It is safe for concurrent use.
func (p *Poller) Flush(group string) (packets uint64) {
	p.polling.Lock()
	p.pollGroups(group)
	p.polling.Unlock()
	return p.totals.of(group)
}

func (p *Poller) poll() {
	p.polling.Lock()
	defer p.polling.Unlock()
	groups := p.config.Groups()
	p.pollGroups(p.due(groups)...)
	exist := make(map[string]bool, len(groups))
	for _, group := range groups {
		exist[group] = true
	}
	for group := range p.snapshots {
		if !exist[group] {
			p.forget(group)
		}
	}
}

func (p *Poller) forget(group string) {
	_, unreported, _ := updatePending(p.snapshots[group].Denials, nil, false, p.config.Now())
	_, inbound, _ := updatePending(p.snapshots[group].Inbound, nil, false, p.config.Now())
	delete(p.snapshots, group)
	p.totals.forget(group)
	err := p.config.Journal.Record(append(deniedEvents(group, unreported, p.config.MaxEvents), inboundEvents(group, inbound, p.config.MaxEvents)...)...)
	if err := errors.Join(err, disk.Remove(p.config.Layout.DenialsPath(group))); err != nil {
		p.config.Log.Warn("remove the last counts of a group: "+err.Error(), "group", group)
	}
}

func (p *Poller) pollGroups(groups ...string) {
	if len(groups) == 0 {
		return
	}
	for i, counts := range p.config.Door.Counts(groups) {
		p.pollGroup(groups[i], counts)
	}
}

// pollGroup takes the counts of one group and records what is new.
func (p *Poller) pollGroup(group string, counts host.DoorCounts) {
	before := p.snapshots[group]
	if before == nil {
		before = &snapshot{}
		p.snapshots[group] = before
	}
	partial := counts.Err != nil && !errors.Is(counts.Err, fs.ErrNotExist) // a group without rules has no counts
	now, dropped := p.takeSnapshot(group, *before, counts, partial)
	var err error
	if len(now.Events) > 0 || dropped || now.Level != before.Level {
		err = p.record(group, now)
	}
	if failed := cmp.Or(err, counts.Err); err != nil || partial {
		if !before.failing {
			p.config.Log.Warn("read the counts of the group: "+failed.Error(), "group", group)
		}
		now.failing, before.failing = true, true
	}
	if err != nil {
		before.next = time.Now().Add(p.config.Interval)
		return
	}
	p.totals.add(group, before.Denials, now.Denials, now.unreported)
	p.totals.addInbound(group, before.Inbound, now.Inbound, now.dropped)
	switch {
	case partial || !counts.Told || before.told || dropped || len(now.unreported)+len(now.dropped) > 0:
		now.readAgain(p.config.Interval)
		now.told = partial && before.told // what was told may be in what could not be read
	default:
		now.readLater(group, p.config.Interval, counts.Expires, now.owedIn(p.config.Now()))
	}
	now.Events, now.unreported, now.dropped = nil, nil, nil
	p.snapshots[group] = &now
}

// takeSnapshot returns the snapshot of a group, with the events since the one before. dropped
// reports whether a pending denial has ended or begun again. The file must then be written, since
// the old one would mislead the next daemon. It need not be written when a count has only grown:
// the next daemon sees that itself. partial means that a part could not be read: what was counted
// there before stays.
func (p *Poller) takeSnapshot(group string, before snapshot, counts host.DoorCounts, partial bool) (now snapshot, dropped bool) {
	at := p.config.Now()
	now.Denials, now.unreported, dropped = updatePending(before.Denials, counts.Denials, partial, at)
	var ended bool
	now.Inbound, now.dropped, ended = updatePending(before.Inbound, counts.Inbound, partial, at)
	dropped = dropped || ended
	now.Events = append(deniedEvents(group, now.unreported, p.config.MaxEvents), inboundEvents(group, now.dropped, p.config.MaxEvents)...)
	if now.Level = quotaLevel(counts.Used, counts.Quota); partial {
		now.Level = max(now.Level, before.Level)
	}
	if now.Level > before.Level {
		now.Events = append(now.Events, quotaEvent(group, now.Level, counts.Used, counts.Quota))
	}
	for i := range now.Events {
		now.Events[i].Time = at
	}
	return now, dropped
}

// record writes the snapshot, then records its events.
func (p *Poller) record(group string, now snapshot) error {
	path := p.config.Layout.DenialsPath(group)
	err := disk.WriteJSON(path, now)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			err = disk.WriteJSON(path, now)
		}
	}
	if err != nil {
		return fmt.Errorf("write the counts: %w", err)
	}
	if len(now.Events) == 0 {
		return nil
	}
	return p.config.Journal.Record(now.Events...)
}
